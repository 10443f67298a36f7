"""What the proxy costs, beside peers and a bare pass-through, in one run.

    python -m tests.bench.proxy --only asgi-aiohttp,nginx --rounds 3

It runs the harness `proxy_overhead` from the folder that --shared names (by default `../shared`,
beside the repository) with this application as one target more: token check, user state, rate
limit and filter on. Everything after the options known here goes to the harness. The other dialects
are measured by `tests.bench.dialects`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
_MAKE_TOKEN = """
from alchemyst.accounts.models import User
from alchemyst.accounts.auth.jwt import issue
user, _ = User.objects.get_or_create(username="bench")
print(issue(user).access)
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=REPOSITORY.parent / "shared")
    parser.add_argument("--only", default="asgi-aiohttp", help="the harness's targets beside ours")
    options, passed_on = parser.parse_known_args()
    harness = options.shared / "bench" / "proxy_overhead"
    if not (harness / "run.py").is_file():
        print(f"Skipped: the harness is not at {harness}.")
        return 0
    with tempfile.TemporaryDirectory(prefix="alchemyst-bench-") as folder:
        only = f"alchemyst,{options.only}" if options.only else "alchemyst"
        return _run(harness, ["--only", only, *passed_on], Path(folder))


def _run(harness: Path, arguments: list[str], folder: Path) -> int:
    targets = folder / "targets.toml"
    own = (Path(__file__).parent / "targets.toml").read_text()
    known = (harness / "targets.toml").read_text()
    targets.write_text(f"{known}\n{own}")
    values = {
        "REPO": REPOSITORY,
        "OURS": Path(sys.executable).parent.parent,
        "DATA": folder,
        "TOKEN": token(folder),
    }
    command = [sys.executable, str(harness / "run.py"), *arguments, "--targets", str(targets)]
    for name, value in values.items():
        command += ["--var", f"{name}={value}"]
    return subprocess.call(command, cwd=REPOSITORY)


def token(folder: Path, make: str = _MAKE_TOKEN, checkout: Path = REPOSITORY) -> str:
    """Return an access token that outlasts the run, as the script `make` prints it."""
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "alchemyst.settings",
        "ALCHEMYST_DATA_DIR": str(folder),
        "ALCHEMYST_ACCESS_MINUTES": "600",
    }
    manage = [sys.executable, str(checkout / "manage.py")]
    subprocess.run([*manage, "migrate", "--verbosity", "0"], env=environment, check=True)
    made = subprocess.run(
        [*manage, "shell", "--no-imports", "-c", make],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return made.stdout.split()[-1]


if __name__ == "__main__":
    sys.exit(main())
