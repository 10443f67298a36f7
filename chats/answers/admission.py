"""Who limits callers is asked before a model is. Who that is, the roof says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Lease(Protocol):
    """What an answer takes up while it is being written."""

    def release(self) -> None:
        """Give it back. Never raises; a second time does nothing."""

    async def arelease(self) -> None:
        """Do the same on an event loop."""


class UnlimitedLease:
    """The place of an answer where nobody counts."""

    def release(self) -> None:
        pass

    async def arelease(self) -> None:
        pass


def _open(user_id: int, key_id: str) -> Lease:
    return UnlimitedLease()


# Raises what refuses a user (with an API key's id, or "") another answer.
gate: Callable[[int, str], Lease] = _open


def admit(user_id: int, key_id: str) -> Lease:
    """Let a question through, or raise; counted, so ask once for each, and leave the place."""
    return gate(user_id, key_id)
