"""What a streamed chat costs a chunk, beside the plain proxy path, in one run.

    python -m tests.bench.chat --streams 16 --chunks 400 --rounds 3

Starts this application on one core with a provider on loopback whose chunks come 10 ms apart, and
streams the same answers by both ways. CPU is what the server process used, less what a request
without chunks costs; `written down` is the chat's way: each piece in the event log, then sent.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

REPOSITORY = Path(__file__).resolve().parents[2]
_PREPARE = """
from alchemyst.accounts.models import ApiKey, SCOPES, User
from personas.models import Persona
from proxy.models import Provider
user = User.objects.create_user("bench")
stored = Provider(owner=user, name="bench", base_url="{base}/v1")
stored.seal("sk-bench-bench-bench")
stored.save()
persona, _ = Persona.objects.get_or_create(slug="bench", owner=user)
persona.revise(name="Bench", provider=stored, model="m", scopes=["internal"])
print(ApiKey.make(user, name="bench", scopes=SCOPES)[1])
"""


def chunk(text: str, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    body = {"id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


class Upstream:
    """A provider in a thread of its own; its messages say how many chunks are wanted."""

    def __init__(self, pause: float) -> None:
        self.pause, self.port = pause, 0
        self._ready = threading.Event()
        threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True).start()
        self._ready.wait(10)

    async def _serve(self) -> None:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(threading.get_native_id(), {1 % (os.cpu_count() or 1)})
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.port = runner.addresses[0][1]
        self._ready.set()
        await asyncio.Event().wait()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        words = asked["messages"][-1]["content"].split()
        count = int(words[-1]) if words[-1].isdecimal() else 0
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for number in range(count):
            await response.write(chunk(f"{number} "))
            await asyncio.sleep(self.pause)
        await response.write(chunk("", "stop") + b"data: [DONE]\n\n")
        return response


class Server:
    """The application on one core."""

    def __init__(self, folder: Path, upstream: Upstream) -> None:
        base = f"http://127.0.0.1:{upstream.port}"
        self.environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "alchemyst.settings",
            "ALCHEMYST_DATA_DIR": str(folder),
            "ALCHEMYST_PROXY_ALLOWED_TARGETS": f"127.0.0.1:{upstream.port}",
            "ALCHEMYST_RATE_CHAT": "0",
            "ALCHEMYST_RATE_PROXY": "0",
            "ALCHEMYST_CHAT_MAX_RUNNING": "1000",
            "ALCHEMYST_PROXY_MAX_CONCURRENT": "0",
        }
        self.manage("migrate", "--verbosity", "0")
        prepare = _PREPARE.replace("{base}", base)
        self.key = self.manage("shell", "--no-imports", "-c", prepare).split()[-1]
        self.port = 18000 + os.getpid() % 1000
        command = ["-m", "uvicorn", "alchemyst.asgi:application", "--port", str(self.port)]
        self.process = subprocess.Popen(
            [sys.executable, *command, "--no-access-log", "--log-level", "warning"],
            cwd=REPOSITORY,
            env=self.environment,
        )
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(self.process.pid, {0})

    def cpu(self) -> float:
        """Seconds of CPU that the process has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def manage(self, *command: str) -> str:
        return subprocess.run(
            [sys.executable, "manage.py", *command],
            cwd=REPOSITORY,
            env=self.environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout


async def read(client: aiohttp.ClientSession, url: str, body: dict[str, Any]) -> None:
    async with client.post(url, json=body) as response:
        assert response.status == 200, await response.text()
        async for _ in response.content.iter_any():
            pass


async def measured(server: Server, way: str, streams: int, chunks: int) -> float:
    """Return the seconds of CPU that so many streams of so many chunks take."""
    url = f"http://127.0.0.1:{server.port}/api/v1"
    said = [{"role": "user", "content": f"Count to {chunks}"}]
    if way == "chat":
        url, body = f"{url}/chat/generate/stream", {"chat_history": said, "persona": "bench"}
    else:
        url = f"{url}/proxy/bench/chat/completions"
        body = {"model": "m", "messages": said, "stream": True}
    headers = {"Authorization": f"Bearer {server.key}"}
    async with aiohttp.ClientSession(headers=headers) as client:
        began = server.cpu()
        await asyncio.gather(*(read(client, url, body) for _ in range(streams)))
        # What is done after the answer is part of its price.
        await asyncio.sleep(2)
        return server.cpu() - began


async def run(options: argparse.Namespace, server: Server) -> None:
    async with aiohttp.ClientSession() as client:
        for _ in range(300):
            try:
                async with client.get(f"http://127.0.0.1:{server.port}/healthz"):
                    break
            except aiohttp.ClientError:
                await asyncio.sleep(0.1)
    ways = ("proxy", "chat")
    for way in ways:
        await measured(server, way, 4, 20)
    figures: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(options.rounds):
        for way in ways:
            empty = await measured(server, way, options.streams, 1)
            whole = await measured(server, way, options.streams, options.chunks)
            count = options.streams * (options.chunks - 1)
            figures[way].append((whole - empty) / count * 1e6)
    proxy, chat = (statistics.median(figures[way]) for way in ways)
    print(f"{options.streams} streams of {options.chunks} chunks, {options.rounds} rounds")
    print(f"plain proxy path   {proxy:6.0f} µs of CPU a chunk  {_each(figures['proxy'])}")
    print(f"chat, written down {chat:6.0f} µs of CPU a chunk  {_each(figures['chat'])}")
    print(f"ratio              {chat / proxy:6.2f}")


def _each(figures: list[float]) -> str:
    return f"({', '.join(f'{figure:.0f}' for figure in figures)})"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--streams", type=int, default=16)
    parser.add_argument("--chunks", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pause", type=float, default=0.01, help="seconds between chunks")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="alchemyst-bench-") as folder:
        upstream = Upstream(options.pause)
        server = Server(Path(folder), upstream)
        try:
            asyncio.run(run(options, server))
        finally:
            server.process.terminate()
            server.process.wait(40)
    return 0


if __name__ == "__main__":
    sys.exit(main())
