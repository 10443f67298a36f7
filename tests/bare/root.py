"""Root file systems of Debian, and commands run in them as on a machine of their own.

Each command has a mount and a process namespace: what it mounted and what it started end with it,
however it ends, so that a root is a plain folder whenever nobody uses it. The network is this
machine's.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

PACKAGES = ("python3", "python3-venv", "make", "git", "ca-certificates")
SUITE = "trixie"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PROXIES = ("http_proxy", "https_proxy", "no_proxy")
# As a container has them when all its capabilities are dropped.
WITHOUT_RIGHTS = ("--bounding-set=-all", "--inh-caps=-all", "--no-new-privs")


@dataclass(frozen=True)
class Surroundings:
    """What a command finds around it, beside the root's files."""

    user: str = "root"
    folder: str = "/"
    environment: Mapping[str, str] = field(default_factory=dict)
    is_read_only: bool = False
    is_without_rights: bool = False
    tmpfs: Mapping[str, str] = field(default_factory=dict)
    """Options of the file systems in memory, by where they are mounted."""
    volumes: Mapping[str, Path] = field(default_factory=dict)
    """Folders of this machine, by where they are mounted."""


@dataclass(frozen=True)
class Root:
    """A folder that is a whole file system."""

    path: Path

    def copy(self, path: Path) -> Root:
        subprocess.run(["cp", "-a", self.path, path], check=True)
        return Root(path)

    def inside(self, path: str) -> Path:
        """Return where a path of the root is on this machine."""
        return self.path / path.lstrip("/")

    def output(self, command: Sequence[str], around: Surroundings) -> str:
        """Return what a command prints; fail, with it, if it does."""
        ended = self.run(command, around)
        assert ended.returncode == 0, f"{shlex.join(command)}\n{ended.stdout}"
        return ended.stdout

    def run(self, command: Sequence[str], around: Surroundings) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._command(command, around),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    @contextmanager
    def running(
        self, command: Sequence[str], around: Surroundings, log: IO[bytes]
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Run a command until the block ends."""
        process = subprocess.Popen(
            self._command(command, around), stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        try:
            yield process
        finally:
            # Its child is the first process in there: the others end with it.
            process.kill()
            process.wait()

    def _command(self, command: Sequence[str], around: Surroundings) -> list[str]:
        """Return the command that runs another in this root."""
        script = [*self._mounts(around), f"exec {shlex.join(self._entering(command, around))}"]
        return [
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "sh",
            "-euc",
            "\n".join(script),
        ]

    def _mounts(self, around: Surroundings) -> Iterator[str]:
        root = shlex.quote(str(self.path))
        yield f"mount --bind {root} {root}"
        yield f"mount -t proc proc {root}/proc"
        yield f"mount --rbind /dev {root}/dev"
        for folder in local_indices():
            yield f"mkdir -p {root}{folder} && mount --bind -o ro {folder} {root}{folder}"
        for place, folder in around.volumes.items():
            yield f"mount --bind {shlex.quote(str(folder))} {root}{place}"
        for place, options in around.tmpfs.items():
            yield f"mount -t tmpfs -o {options or 'mode=1777'} tmpfs {root}{place}"
        if around.is_read_only:
            yield f"mount -o remount,bind,ro {root}"

    def _entering(self, command: Sequence[str], around: Surroundings) -> list[str]:
        environment = {"PATH": PATH, "LANG": "C.UTF-8", **from_outside(), **around.environment}
        return [
            *("chroot", str(self.path), "setpriv", "--reset-env", "--reuid", around.user),
            *("--regid", around.user, "--init-groups"),
            *(WITHOUT_RIGHTS if around.is_without_rights else ()),
            *("env", "--chdir", around.folder),
            *(f"{name}={value}" for name, value in environment.items()),
            *command,
        ]


def first_process(process: subprocess.Popen[bytes]) -> int:
    """Return the process, by its number here, that is the first one in a root."""
    return int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])


def stop(process: subprocess.Popen[bytes], *, seconds: float) -> int:
    """Ask what runs in a root to end, as an engine does, and return its exit code."""
    os.kill(first_process(process), signal.SIGTERM)
    return process.wait(seconds)


# ---- making one


def missing() -> str:
    """Return why no root can be made here, or nothing."""
    if os.geteuid() != 0:
        return "only root can make a root file system"
    if subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"], check=False).returncode:
        return "no namespaces can be made here"
    if not _mirror():
        return "apt knows no mirror of Debian"
    if not shutil.which("mmdebstrap"):
        install = ["apt-get", "install", "--yes", "-qq", "mmdebstrap"]
        if subprocess.run(install, stdout=subprocess.DEVNULL, check=False).returncode:
            return "mmdebstrap cannot be installed"
    return ""


def make(path: Path) -> Root:
    """Make a root of Debian 13, or of what the mirror has, with Python and little else."""
    for suite in (SUITE, _own_suite()):
        command = ["mmdebstrap", "--mode=root", "--variant=minbase", "--quiet"]
        command += [f"--include={','.join(PACKAGES)}", suite, str(path), _mirror()]
        if subprocess.run(command, check=False).returncode == 0:
            root = Root(path)
            _connect(root)
            return root
        print(f"== {suite} is not to be had", flush=True)
        shutil.rmtree(path, ignore_errors=True)
    raise SystemExit("The mirror has no Debian that could be installed.")


def _connect(root: Root) -> None:
    """Give a root this machine's names of others, and the files that its pip is set up with."""
    files = [value for value in _words_of_pip() if Path(value).is_file()]
    for file in ("/etc/resolv.conf", "/etc/hosts", *files):
        place = root.inside(file)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        shutil.copyfile(file, place)


def _mirror() -> str:
    """Return the first mirror of Debian itself that this machine's apt uses."""
    targets = _output(
        *("apt-get", "indextargets", "--format", "$(REPO_URI)"),
        *("Created-By: Packages", "Origin: Debian", "Label: Debian"),
    )
    return next(iter(targets.split()), "")


def _own_suite() -> str:
    release = Path("/etc/os-release").read_text(encoding="utf-8")
    codename = re.search(r"^VERSION_CODENAME=(\w+)", release, re.MULTILINE)
    return codename[1] if codename else "stable"


# ---- how this machine's pip is set up


def from_outside() -> dict[str, str]:
    """Return how packages are reached from here, as environment variables."""
    names = [*PROXIES, *(name.upper() for name in PROXIES)]
    proxies = {name: os.environ[name] for name in names if name in os.environ}
    pip = {f"PIP_{key.upper().replace('-', '_')}": value for key, value in _pip_options().items()}
    return proxies | pip


def local_indices() -> list[str]:
    """Return the folders of this machine in which its pip looks for packages."""
    words = _words_of_pip()
    # An index names files that lie beside it.
    indices = {str(Path(word[7:]).parent) for word in words if word.startswith("file:///")}
    links = {word for word in words if word.startswith("/") and Path(word).is_dir()}
    return sorted(indices | links)


def _words_of_pip() -> list[str]:
    return [word for value in _pip_options().values() for word in value.split()]


def _pip_options() -> dict[str, str]:
    """Return pip's options for all of its commands; the environment's come last, and win."""
    listed = _output(sys.executable, "-m", "pip", "config", "list")
    options = re.findall(r"^(global|:env:)\.([\w-]+)='(.*)'$", listed, re.MULTILINE)
    return {name: value for _, name, value in sorted(options, reverse=True)}


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout
