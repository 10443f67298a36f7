"""What the logs may say during a soak, and why; everything else from a warning on is a fault."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

EXPLAINED = {
    # Of the traffic.
    r"django\.request Conflict: /api/v1/chat/import": "a file is sent before the last one's end",
    # Of PostgreSQL, which is restarted: what failed is tried again, or was answered 503.
    r"WARNING psycopg(\.pool)? ": "the pool tells of each connection that it lost or did not get",
    r"alchemyst\.errors The database does not answer: OperationalError": "answered 503",
    r"ERROR django\.request Service Unavailable: ": "the same, as Django tells it",
    r"ERROR django\.request Internal Server Error: .* (the database system is|terminating"
    r" connection|closed the connection|connection (failed|is bad|timeout))": "answered 503",
    r"WARNING [\w.]+ [^:]+: (OperationalError|InterfaceError|PoolTimeout|ConnectionError)$": (
        "one of our own lines: what could not be done is done a moment later"
    ),
    r"An answer was given up, the database is away": "its reader is told so, and may ask again",
    r"batch_writer \d+ [\w ]+ wait for the database": "they are written when it is back",
    r"The budgets could not be read: OperationalError": "those of a moment before hold",
    r"chats\.answers\.runner A title failed: OperationalError": "the chat keeps its first words",
    # Of Redis, which is killed: each process goes on by itself.
    r"channels_redis\.pubsub Unexpected exception in receive task": "it connects again",
    r"Redis (does not answer|takes no notifications)": "each process goes on by itself",
    r"celery\.(worker|redirected)\S* .*([Cc]onnection to broker lost|Cannot connect to redis)": (
        "the worker connects again"
    ),
    r"CPendingDeprecationWarning": "Celery tells of another setting each time it loses Redis",
    # Of the worker.
    r"SecurityWarning|superuser": "the tests' worker may be root's",
}
"""A pattern of a line, and the reason why it may be there."""
QUIET = {"DEBUG", "INFO"}


def unexplained(files: list[Path]) -> Counter[str]:
    """Return how often the logs say what nobody has explained, by the line without its numbers."""
    lines = (line for file in files for line in file.read_text(errors="replace").splitlines())
    faults: Counter[str] = Counter()
    for line in filter(None, map(_loud, lines)):
        if not any(re.search(pattern, line) for pattern in EXPLAINED):
            faults[re.sub(r"[0-9a-f]{4,}|\d+", "N", line)[:400]] += 1
    return faults


def _loud(line: str) -> str:
    """Return a line's level, logger and message, if it is a warning or worse.

    What is no JSON comes from outside of the application's logs: of that, what sounds like a fault.
    """
    try:
        entry = json.loads(line)
    except ValueError:
        return line.strip() if re.search(r"Error|Exception|Traceback|[Ww]arning", line) else ""
    if not isinstance(entry, dict) or entry.get("level") in QUIET:
        return ""
    exception = re.findall(
        r"^[\w.]+(?:Error|Exception)\b.*", entry.get("exception", ""), re.MULTILINE
    )
    words = [entry["level"], entry["logger"], entry["message"], *exception[-1:]]
    return " ".join(" ".join(words).split())
