"""The encoder of this process: loaded off the path when first wanted, or not to be had, and why."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import Final, Protocol

from django.conf import settings

from proxy.meaning import weights
from proxy.meaning.weights import WeightsUnavailable

logger = logging.getLogger("proxy.meaning.encoder")

OFF: Final = "off"
NAMES: Final = ("minilm", OFF)
TRY_AGAIN_SECONDS: Final = 600.0


class Encoder(Protocol):
    """Gives a text a direction; the same text must always get the same one."""

    def vector(self, text: str) -> bytes:
        """Return `weights.WIDTH` numbers, packed."""


_lock = threading.Lock()
_encoder: Encoder | None = None
_failed_at = float("-inf")


def folder() -> Path:
    """Return where the weights are kept."""
    path: Path = settings.DATA_DIR / "encoder"
    return path


def is_wanted() -> bool:
    """Whether texts are to be encoded here: the operator wants it, and it did not just fail."""
    return settings.PROXY_ENCODER != OFF and time.monotonic() - _failed_at > TRY_AGAIN_SECONDS


def loaded() -> Encoder | None:
    """Return the encoder, if it can be asked right now."""
    return _encoder


def load() -> Encoder | None:
    """Return the encoder, loaded now if need be, which may take seconds; None: words alone."""
    global _encoder, _failed_at
    with _lock:
        if _encoder is None and is_wanted():
            try:
                _encoder = _opened()
            except WeightsUnavailable as error:
                _failed_at = time.monotonic()
                logger.warning("No encoder, so words alone count: %s", error)
        return _encoder


def use(encoder: Encoder | None) -> None:
    """Have `encoder` asked from now on; None: the operator's, loaded when it is wanted."""
    global _encoder, _failed_at
    with _lock:
        _encoder, _failed_at = encoder, float("-inf")


def trouble() -> str:
    """Return why there is no encoder on this machine; empty if there is one. Loads it."""
    try:
        _opened()
    except WeightsUnavailable as error:
        return str(error)
    return ""


def _opened() -> Encoder:
    path = weights.made(folder()) or weights.make_apart(folder())
    try:
        from proxy.meaning.minilm import MiniLM

        return MiniLM(path)
    except Exception as error:
        # A library that this machine can't load, or a file that it can't use.
        reason = f"{type(error).__name__}: {error}"
        raise WeightsUnavailable(f"the encoder can't be loaded: {reason[:200]}") from None
