"""Who limits callers is asked before a model is. Who that is, the roof says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Place(Protocol):
    """What an answer takes up while it is being written."""

    def leave(self) -> None:
        """Give it back. Never raises; a second time does nothing."""

    async def aleave(self) -> None:
        """Do the same on an event loop."""


class Unlimited:
    """The place of an answer where nobody counts."""

    def leave(self) -> None:
        pass

    async def aleave(self) -> None:
        pass


def _open(user_id: int, key_id: str) -> Place:
    return Unlimited()


# Raises what refuses a user (with an API key's id, or "") another answer.
gate: Callable[[int, str], Place] = _open


def admit(user_id: int, key_id: str) -> Place:
    """Let a question through, or raise; counted, so ask once for each, and leave the place."""
    return gate(user_id, key_id)
