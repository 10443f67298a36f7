"""The application with one path more, that says how much its process holds."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from pathlib import Path

from alchemyst.asgi import application as alchemyst
from proxy.common.web.asgi import Receive, Scope, Send
from proxy.limits import active_calls

PATH = "/soak"


def holdings() -> dict[str, float]:
    """Return what this process holds: MB, open files and sockets, threads, tasks, calls."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "megabytes": round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1),
        "files": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
        "tasks": len(asyncio.all_tasks()),
        "calls": active_calls.count(),
    }


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http" or scope["path"] != PATH:
        await alchemyst(scope, receive, send)
        return
    body = json.dumps(holdings()).encode()
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
