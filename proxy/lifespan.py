"""What the proxy holds while a process lives, and how it lets go."""

from __future__ import annotations

from proxy import builtin, connections, records, tokens, usage


def warm_up() -> None:
    """Load what the first request would wait for: a tenth of a second for the vocabulary."""
    tokens.count("")


async def close() -> None:
    """Close providers' connections, end the built-in model, write the last rows."""
    await connections.close()
    await builtin.close()
    await usage.close()
    await records.close()
