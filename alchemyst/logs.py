"""What may stand in a log line: the request's id always, a secret never.

Provider keys can stand in the path of a request, so paths are masked twice: `RequestIdMiddleware`
takes the key out of what a server's access log reads, and `MaskingFormatter` goes over every
finished line, its traceback included.
"""

from __future__ import annotations

import itertools
import json
import logging
import re
import secrets
import time
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache

from proxy.common.web.asgi import App, Message, Receive, Scope, Send

PROXY_PREFIX = "/api/v1/proxy/"
# Of characters that no server escapes when it writes a path down.
MASK = "~masked~"

# A request's id: which process of which start, and which of its requests. Cheaper than as many
# random bytes, and no secret: whatever is looked up by it is looked up among the caller's own.
_PROCESS = secrets.token_hex(8)
_count = itertools.count(1)

request_id: ContextVar[str] = ContextVar("request_id", default="-")

_PROXY_PATH = re.compile(r"(?P<path>/api/v1/proxy/[^\s\"'<>?]+)(?P<query>\?[^\s\"'<>]*)?")
# A target with a question mark has the rest of itself, its key included, in the query.
_HARMLESS_QUERIES = ("", "?", "?alt=sse")
_TAIL = re.compile(
    r"(/(?:chat/)?(?:completions|embeddings|responses|models)"
    r"|/v1(?:alpha|beta)?/models/[\w.-]{1,100}(?::|%3A)[A-Za-z]{1,40})/*$"
)
_ORIGIN = re.compile(
    r"(?P<kind>https?)(?::|%3A)(?:/|%2F)+(?P<authority>(?:(?!%2F)[^/])*)", re.IGNORECASE
)
_OWN_ROUTES = re.compile(r"(?:default|preview|requests)(?:/|$)")
_SECRETS = re.compile(
    r"""
      (?P<named>\b(?:bearer\s+|basic\s+|(?:x-goog-api-key|x-upstream-api-key|api[-_]?key|
          (?:access|refresh)?_?token|password|secret)["']?\s*[=:]\s*["']?))[^\s"'&,;})\]]+
    | (?P<query>[?&]key=)[^\s"'&]+
    | \b(?:sk|pk|rk|alk|gsk|xai|hf)[-_][A-Za-z0-9_\-]{8,}
    | \bAIza[0-9A-Za-z_\-]{20,}
    | \beyJ[A-Za-z0-9_\-]+\.[A-Za-z0-9_\-]+(?:\.[A-Za-z0-9_\-]*)?
    """,
    re.VERBOSE | re.IGNORECASE,
)


def masked(text: str) -> str:
    """Return `text` without provider keys, tokens and passwords."""
    if PROXY_PREFIX in text:
        text = _PROXY_PATH.sub(
            lambda match: masked_path(match["path"]) + _masked_query(match["query"] or ""), text
        )
    return _SECRETS.sub(lambda match: (match["named"] or match["query"] or "") + MASK, text)


def _masked_query(query: str) -> str:
    return query if query in _HARMLESS_QUERIES else f"?{MASK}"


@lru_cache(maxsize=512)
def masked_path(path: str) -> str:
    """Return a proxy path that names the target's host and the endpoint, and nothing between.

    Where no scheme says that the first segment is a host, it may be the key itself, so it goes.
    """
    rest = path.removeprefix(PROXY_PREFIX)
    if _OWN_ROUTES.match(rest):
        return path
    end = _TAIL.search(rest)
    tail = end[1] if end else ""
    origin = _ORIGIN.match(rest)
    if not origin:
        return f"{PROXY_PREFIX}{MASK}{tail}"
    authority = origin["authority"].rpartition("@")[2]
    return f"{PROXY_PREFIX}{origin['kind'].lower()}://{authority}/{MASK}{tail}"


class MaskingFormatter(logging.Formatter):
    """A formatter whose finished text, traceback included, holds no secret."""

    def format(self, record: logging.LogRecord) -> str:
        return masked(super().format(record))


class JSONFormatter(logging.Formatter):
    """One JSON object for each record, for machines to read; no text in it holds a secret."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "request_id": getattr(record, "request_id", "-"),
            "message": masked(record.getMessage()),
        }
        if record.exc_info:
            text = record.exc_text or self.formatException(record.exc_info)
            entry["exception"] = masked(text)
        return json.dumps(entry, ensure_ascii=False)


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
        if scope["path"].startswith(PROXY_PREFIX):
            scope["path"] = masked_path(scope["path"])
            scope["raw_path"] = scope["path"].encode()
            query = _masked_query(f"?{scope['query_string'].decode('latin-1')}")
            scope["query_string"] = query[1:].encode()
        elif scope["query_string"]:
            query = masked(f"?{scope['query_string'].decode('latin-1')}")
            scope["query_string"] = query[1:].encode("latin-1")
        header = (b"x-alchemyst-request-id", name.encode())

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                inner["has_begun"] = True
                message["headers"] = [*message.get("headers", ()), header]
            await send(message)

        await self.app(inner, receive, send_with_id)
