"""A folder that one process of this machine works in, while others wait."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

Notice = Callable[[], object]


@contextmanager
def folder_lock(folder: Path, *, on_wait: Notice = lambda: None) -> Iterator[None]:
    """Hold a folder among the processes of this machine that ask for it in this way.

    `on_wait` is called if another one has it. The lock ends with its process, however that ends.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
