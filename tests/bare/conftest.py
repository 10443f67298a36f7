"""A fresh clone, and the bare root that `make check-bare` made."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from tests.bare.root import Root

REPOSITORY = Path(__file__).parents[2]
START_SECONDS = 400


@pytest.fixture(scope="session")
def base() -> Root:
    return Root(Path(os.environ["ALCHEMYST_BARE_ROOT"]))


@pytest.fixture(scope="session")
def scratch(base: Root, worker_id: str) -> Path:
    """A folder beside the root, which goes away with it."""
    folder = base.path.parent / worker_id
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def clone(to: Path) -> None:
    """Make a fresh clone of what is committed."""
    command = ["git", "clone", "--quiet", "--depth", "1", f"file://{REPOSITORY}", to]
    subprocess.run(command, check=True)


def wait_until(is_true: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait for what a process shall bring about; fail, with its log, when it ends before."""
    end = time.monotonic() + START_SECONDS
    while not is_true():
        has_ended = process.poll() is not None
        assert not has_ended, f"It ended.\n{log.read_text(encoding='utf-8')}"
        assert time.monotonic() < end, f"It took too long.\n{log.read_text(encoding='utf-8')}"
        time.sleep(0.3)


def answers(url: str, **headers: str) -> bool:
    try:
        return requests.get(url, headers=headers, timeout=10).ok
    except requests.ConnectionError:
        return False
