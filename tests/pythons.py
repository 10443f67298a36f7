"""Run the quick tests on each Python that the application supports, where it is found.

`make check-pythons` calls it. Of a Python that is not found here, it is seen whether there are
wheels of all that is installed, and those that are missing are named: pip resolves for another
Python than its own.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

VERSIONS = ("3.11", "3.12", "3.13", "3.14")
REQUIREMENTS = ("requirements.txt", "requirements-dev.txt")
# Where pyenv and uv keep theirs.
FOLDERS = (".pyenv/versions/{version}.*/bin", ".local/share/uv/python/cpython-{version}.*/bin")


def main() -> int:
    outcomes = [_check(version) for version in VERSIONS]
    print(*outcomes, sep="\n")
    return 1 if any(outcome.endswith("FAILED") for outcome in outcomes) else 0


def _check(version: str) -> str:
    """Return what became of a Python, as a line."""
    if python := next(_interpreters(version), ""):
        has_passed = _passes_on(version, python)
        return f"{version}: the quick tests {'passed' if has_passed else 'FAILED'}"
    if missing := _without_wheel(version):
        return f"{version}: not found here, and no wheel of {', '.join(missing)}: FAILED"
    return f"{version}: not found here; of all that is installed there is a wheel"


def _interpreters(version: str) -> Iterator[str]:
    """Yield interpreters of a version that start: pyenv puts names on the path that do not."""
    name = f"python{version}"
    homes = [folder.format(version=version) for folder in FOLDERS]
    kept = [str(path / name) for home in homes for path in Path.home().glob(home)]
    for python in [shutil.which(name), *kept]:
        if (
            python
            and subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0
        ):
            yield python


def _passes_on(version: str, python: str) -> bool:
    print(f"== Python {version}", flush=True)
    command = ["make", "test-fast", f"VENV=.venv-{version}", f"PYTHON={python}"]
    return subprocess.run(command, check=False).returncode == 0


def _without_wheel(version: str) -> list[str]:
    """Return the requirements of which there is no wheel for a Python."""
    files = [option for name in REQUIREMENTS for option in ("-r", name)]
    if _resolves(version, *files):
        return []
    lines = [line for name in REQUIREMENTS for line in Path(name).read_text().splitlines()]
    pins = [line for line in lines if line and not line.startswith("#")]
    return [pin for pin in pins if not _resolves(version, "--no-deps", pin)] or ["what these need"]


def _resolves(version: str, *requirements: str) -> bool:
    """Whether pip would install these on a Python, from wheels alone; it installs nothing."""
    pip = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--ignore-installed"]
    options = ["--python-version", version, "--only-binary", ":all:", "--target", "nowhere"]
    return (
        subprocess.run([*pip, *options, *requirements], capture_output=True, check=False).returncode
        == 0
    )


if __name__ == "__main__":
    sys.exit(main())
