"""Who limits callers is asked before a model is. Who that is, the roof says."""

from __future__ import annotations

from collections.abc import Callable

# Each raises what refuses a user (with an API key's id, or "") another answer.
gates: list[Callable[[int, str], None]] = []


def admit(user_id: int, key_id: str) -> None:
    """Let a question through, or raise; counted, so ask once for each."""
    for gate in gates:
        gate(user_id, key_id)
