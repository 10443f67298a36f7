"""The ORM for asynchronous code: short calls on a few threads that live as long as the process.

A connection is held for the call alone, so that a stream of minutes holds none.
"""

from __future__ import annotations

from proxy.common.threads import on_database_thread as on_thread
from proxy.common.threads import on_writer_thread as on_writing_thread

__all__ = ["on_thread", "on_writing_thread"]
