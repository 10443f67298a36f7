"""What the proxy holds while a process lives, and how it lets go."""

from __future__ import annotations

from proxy.accounting import conversation_capture, decision_writer, usage_writer
from proxy.meaning import learner
from proxy.options import options
from proxy.upstream import builtin, pool
from proxy.wire import token_count


def warm_up() -> None:
    """Load what the first request would wait for: a tenth of a second for the vocabulary.

    Raises ImproperlyConfigured for settings that make no sense.
    """
    options()
    token_count.count("")


async def close() -> None:
    """Close providers' connections, end the built-in model, write the last rows."""
    pool.close()
    await builtin.close()
    await usage_writer.queue.close()
    await decision_writer.queue.close()
    await conversation_capture.queue.close()
    await learner.close()
