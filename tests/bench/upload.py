"""What a large upload and a large download take of the server's memory, and how fast they pass.

    python -m tests.bench.upload [--megabytes 200]

A server of its own and a provider on loopback, each a process. The peak of the server's resident
memory is read before and after each transfer. Exits with 1 where one adds more than 20 MB.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import multiprocessing
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from aiohttp import web

from tests.bench import proxy

MEGABYTE = 1024 * 1024
ALLOWED_MB = 20
PIECE = b"x" * 65536
START_SECONDS = 60


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=200)
    size = parser.parse_args().megabytes * MEGABYTE
    provider_port, port = _free_port(), _free_port()
    provider = multiprocessing.Process(target=_provide, args=[provider_port], daemon=True)
    provider.start()
    with tempfile.TemporaryDirectory(prefix="alchemyst-bench-") as folder:
        token = proxy.token(Path(folder))
        with _server(Path(folder), port, f"127.0.0.1:{provider_port}") as process_id:
            path = f"/api/v1/proxy/http://127.0.0.1:{provider_port}/v1/files/f"
            ask = _Asker(port, path, token)
            # What the first requests load has nothing to do with their size.
            ask.upload(MEGABYTE)
            ask.download(MEGABYTE)
            results = [
                _measured(process_id, each.__name__, partial(each, size))
                for each in (ask.upload, ask.download)
            ]
    provider.terminate()
    return 0 if all(added <= ALLOWED_MB for added in results) else 1


class _Asker:
    """Sends and fetches bodies of any size, and holds none of them."""

    def __init__(self, port: int, path: str, token: str) -> None:
        self._port, self._path = port, path
        self._headers = {"Authorization": f"Bearer {token}", "X-Upstream-Api-Key": "sk-bench"}

    def upload(self, size: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port)
        headers = self._headers | {"Content-Length": str(size)}
        pieces = (PIECE for _ in range(size // len(PIECE)))
        connection.request("POST", self._path, body=pieces, headers=headers)
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, str(size).encode())
        connection.close()

    def download(self, size: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port)
        connection.request("GET", f"{self._path}?size={size}", headers=self._headers)
        answer = connection.getresponse()
        received = 0
        while piece := answer.read(MEGABYTE):
            received += len(piece)
        assert (answer.status, received) == (200, size)
        connection.close()


def _measured(process_id: int, name: str, transfer: Callable[[], None]) -> float:
    """Print a transfer's speed and what it added to the peak of memory, which is returned."""
    before, began = _peak(process_id), time.perf_counter()
    transfer()
    seconds, after = time.perf_counter() - began, _peak(process_id)
    print(f"{name}: {before:.0f} MB before, {after:.0f} MB at most, {seconds:.1f} s")
    return after - before


def _peak(process_id: int) -> float:
    """Return the most memory that a process has had resident, in MB."""
    status = Path(f"/proc/{process_id}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


@contextmanager
def _server(folder: Path, port: int, allowed: str) -> Iterator[int]:
    """Serve the application by uvicorn as the Procfile does; the process's id."""
    environment = os.environ | {
        "ALCHEMYST_DATA_DIR": str(folder),
        "ALCHEMYST_PROXY_ALLOWED_TARGETS": allowed,
    }
    command = [sys.executable, "-m", "uvicorn", "alchemyst.asgi:application", "--no-access-log"]
    command += ["--port", str(port), "--http", "alchemyst.web.connections:ClockedProtocol"]
    with subprocess.Popen(command, cwd=proxy.REPOSITORY, env=environment) as process:
        try:
            _wait_for(port)
            yield process.pid
        finally:
            process.terminate()


def _wait_for(port: int) -> None:
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < end, "the server did not start"
            time.sleep(0.1)
        else:
            return


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _provide(port: int) -> None:
    """Serve a provider that takes bodies and answers with any number of bytes."""

    async def take(request: web.Request) -> web.StreamResponse:
        size = 0
        async for piece in request.content.iter_any():
            size += len(piece)
        return web.Response(text=str(size))

    async def give(request: web.Request) -> web.StreamResponse:
        size = int(request.query["size"])
        answer = web.StreamResponse(headers={"content-length": str(size)})
        await answer.prepare(request)
        for _ in range(size // len(PIECE)):
            await answer.write(PIECE)
        return answer

    async def serve() -> None:
        app = web.Application()
        app.router.add_post("/{path:.*}", take)
        app.router.add_get("/{path:.*}", give)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        await asyncio.Event().wait()

    asyncio.run(serve())


if __name__ == "__main__":
    sys.exit(main())
