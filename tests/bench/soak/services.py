"""A PostgreSQL and a Redis of the soak's own, on free ports, that it may stop and start."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

REDIS = shutil.which("redis-server")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def programs_of_postgresql() -> Path | None:
    """Return the folder with initdb and pg_ctl, which Debian keeps off the path; None without."""
    if program := shutil.which("initdb"):
        return Path(program).parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return folders[-1].parent if folders else None


class PostgreSQL:
    """A server with a folder of its own; not root's, which PostgreSQL refuses."""

    def __init__(self, programs: Path) -> None:
        self.programs, self.port = programs, free_port()
        self.url = f"postgres://postgres@127.0.0.1:{self.port}/postgres"
        self.folder = Path(tempfile.mkdtemp(prefix="alchemyst-soak-pg-"))
        self.user = "postgres" if os.geteuid() == 0 else None
        if self.user:
            os.chown(self.folder, pwd.getpwnam(self.user).pw_uid, -1)
        self._run("initdb", "--auth=trust", "--username=postgres", "--pgdata", str(self._data))
        self.start()

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self.programs / program, *arguments],
            cwd=self.folder,
            user=self.user,
            check=True,
            stdout=subprocess.DEVNULL,
        )

    def start(self) -> None:
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1"
        log = str(self.folder / "log")
        self._run("pg_ctl", "-D", str(self._data), "-o", options, "-l", log, "-w", "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop it: `fast` as an operator does, `immediate` as a failure of power does."""
        self._run("pg_ctl", "-D", str(self._data), "-m", mode, "-w", "stop")

    def end(self) -> None:
        self.stop("immediate")
        shutil.rmtree(self.folder)


class Redis:
    """A server that keeps nothing on disk: what it had is gone when it is killed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        assert REDIS
        self.process = subprocess.Popen(
            [REDIS, "--port", str(self.port), "--save", "", "--dir", str(self.folder)],
            stdout=subprocess.DEVNULL,
        )

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        self.stop()
