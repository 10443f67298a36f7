"""The web processes and the worker of a soak: always at the same place, whoever kills them."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

import requests

from tests.bench.soak.probe import PATH
from tests.bench.soak.services import free_port
from tests.chats.processes import ROOT

PATIENCE = 120
"""Seconds for a process to be there again on a busy machine."""


class Process:
    """A Python process that can be killed and started again, with one log for all its lives."""

    def __init__(self, environment: dict[str, str], log: Path, *arguments: str) -> None:
        self.environment, self.log, self.arguments = environment, log, arguments
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as out:
            self.popen = subprocess.Popen(
                [sys.executable, *self.arguments],
                cwd=ROOT,
                env=self.environment,
                stdout=out,
                stderr=out,
            )

    def stop(self, number: int = signal.SIGTERM) -> None:
        self.popen.send_signal(number)
        try:
            self.popen.wait(60)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            raise

    def end(self) -> None:
        self.popen.kill()
        self.popen.wait()


class Web(Process):
    """A web process on a port of its own, which says what it holds."""

    @classmethod
    def serve(cls, environment: dict[str, str], log: Path) -> Self:
        port = free_port()
        options = ["--no-access-log", "--timeout-graceful-shutdown", "25", "--port", str(port)]
        web = cls(environment, log, "-m", "uvicorn", "tests.bench.soak.probe:application", *options)
        web.url = f"http://127.0.0.1:{port}"
        return web

    url: str

    def is_ready(self) -> bool:
        try:
            return requests.get(f"{self.url}/readyz", timeout=5).ok
        except requests.RequestException:
            return False

    def wait(self) -> None:
        end = time.monotonic() + PATIENCE
        while not self.is_ready():
            assert self.popen.poll() is None, f"a web process ended: {self.log}"
            assert time.monotonic() < end, f"a web process is not ready: {self.log}"
            time.sleep(0.1)

    def holdings(self) -> dict[str, float]:
        """Return what the process holds: see `probe.holdings`."""
        holdings: dict[str, float] = requests.get(f"{self.url}{PATH}", timeout=10).json()
        return holdings


class Worker(Process):
    """A worker for background tasks."""

    @classmethod
    def work(cls, environment: dict[str, str], log: Path) -> Self:
        options = ["--concurrency", "1", "--without-gossip", "--without-mingle"]
        return cls(
            environment, log, "-m", "celery", "-A", "alchemyst", "--quiet", "worker", *options
        )

    def end(self) -> None:
        """End it with its child, which outlives a parent that is killed by some seconds."""
        self.popen.terminate()
        try:
            self.popen.wait(30)
        except subprocess.TimeoutExpired:
            super().end()
