"""Which calls are under way for whom, so that they can be ended from elsewhere.

Each process knows its own. A call that is ended tells its caller so, as of any break.
"""

from __future__ import annotations

from typing import Protocol


class Abortable(Protocol):
    """A call that any thread can abort."""

    def abort(self) -> None: ...


_calls: dict[int, set[Abortable]] = {}


def add(user_id: int, call: Abortable) -> None:
    """Note that a call is under way for this user."""
    _calls.setdefault(user_id, set()).add(call)


def remove(user_id: int, call: Abortable) -> None:
    """Forget it again."""
    calls = _calls[user_id]
    calls.discard(call)
    if not calls:
        del _calls[user_id]


def abort(user_id: int) -> None:
    """End all calls of this user; from any thread."""
    for call in tuple(_calls.get(user_id, ())):
        call.abort()


def count() -> int:
    """How many calls are under way in this process."""
    return sum(map(len, tuple(_calls.values())))
