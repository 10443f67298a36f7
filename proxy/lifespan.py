"""What the proxy holds while a process lives, and how it lets go."""

from __future__ import annotations

from proxy import builtin, connections, conversed, records, tokens, usage
from proxy.options import options


def warm_up() -> None:
    """Load what the first request would wait for: a tenth of a second for the vocabulary.

    Raises ImproperlyConfigured for settings that make no sense.
    """
    options()
    tokens.count("")


async def close() -> None:
    """Close providers' connections, end the built-in model, write the last rows."""
    connections.close()
    await builtin.close()
    await usage.waiting.close()
    await records.waiting.close()
    await conversed.waiting.close()
