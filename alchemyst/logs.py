"""What may stand in a log line: the request's id always, a secret never.

Provider keys can stand in the path of a request, so paths are masked twice: `RequestIdMiddleware`
takes the key out of what a server's access log reads, and the formatters go over every finished
line, its traceback included. What is masked in it, `alchemyst.web.redaction` says.
"""

from __future__ import annotations

import itertools
import json
import logging
import secrets
import time
from copy import copy
from datetime import UTC, datetime
from urllib.parse import quote

from alchemyst.web.redaction import mask, mask_path, mask_query
from proxy.common.web.asgi import App, Message, Receive, Scope, Send, request_id

# A request's id: which process of which start, and which of its requests. Cheaper than as many
# random bytes, and no secret: whatever is looked up by it is looked up among the caller's own.
_PROCESS = secrets.token_hex(8)
_count = itertools.count(1)


class MaskingFormatter(logging.Formatter):
    """A formatter whose finished text, traceback included, holds no secret."""

    def format(self, record: logging.LogRecord) -> str:
        return mask(super().format(_with_masked_paths(record)))


class JSONFormatter(logging.Formatter):
    """One JSON object for each record, for machines to read; no text in it holds a secret."""

    def format(self, record: logging.LogRecord) -> str:
        record = _with_masked_paths(record)
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "request_id": getattr(record, "request_id", "-"),
            "message": mask(record.getMessage()),
        }
        if record.exc_info:
            text = record.exc_text or self.formatException(record.exc_info)
            entry["exception"] = mask(text)
        return json.dumps(entry, ensure_ascii=False)


def _with_masked_paths(record: logging.LogRecord) -> logging.LogRecord:
    """Return a record whose arguments are masked where they are paths.

    In the finished line nothing says where a path with blanks or quotes ends.
    """
    if not isinstance(record.args, tuple):
        return record
    result = copy(record)
    result.args = tuple(
        mask_path(each) if isinstance(each, str) and each.startswith("/") else each
        for each in record.args
    )
    return result


class WithRequestId(logging.Filter):
    """Gives each record the id of the request that it belongs to, or a dash."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        return True


class RequestIdMiddleware:
    """The outermost ASGI layer: gives a request its id and hides its secrets from the server's log.

    The server keeps the scope that it made for its access log, so that one is masked in place;
    the application gets a copy with the path as it came.
    """

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        inner = dict(scope)
        inner["began"] = time.perf_counter()
        inner["has_begun"] = False
        inner["request_id"] = name = f"req_{_PROCESS}{next(_count):08x}"
        request_id.set(name)
        _mask(scope)
        header = (b"x-alchemyst-request-id", name.encode())

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                inner["has_begun"] = True
                message["headers"] = [*message.get("headers", ()), header]
            await send(message)

        await self.app(inner, receive, send_with_id)


def _mask(scope: Scope) -> None:
    """Take the secrets out of the path and the query of a request."""
    path, query = scope["path"], scope["query_string"]
    if query:
        scope["query_string"] = mask_query(path, query.decode("latin-1")).encode("latin-1")
    if (safe := mask_path(path)) != path:
        scope["path"], scope["raw_path"] = safe, quote(safe, safe="/:~@%").encode()
