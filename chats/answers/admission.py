"""Asks whoever limits callers before a model is asked; the project sets who that is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Lease(Protocol):
    """What an answer reserves of its caller's limits while it is being written."""

    def release(self) -> None:
        """Give it back. Never raises; a second time does nothing."""

    async def arelease(self) -> None:
        """Do the same on an event loop."""


class UnlimitedLease:
    """The lease of an answer where there are no limits."""

    def release(self) -> None:
        pass

    async def arelease(self) -> None:
        pass


def _open(user_id: int, key_id: str) -> Lease:
    return UnlimitedLease()


# Raises an error to refuse a user (with an API key's id, or "") another answer.
gate: Callable[[int, str], Lease] = _open


def admit(user_id: int, key_id: str) -> Lease:
    """Return a lease for an answer, or raise. It counts: call once for each, and release it."""
    return gate(user_id, key_id)
