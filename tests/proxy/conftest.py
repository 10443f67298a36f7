"""What the tests of the proxy share: conversations, and clients that reach a provider."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import openai
import pytest
import requests
from django.conf import LazySettings

from proxy.models import UsageRecord
from tests import anthropic, gemini, responses
from tests.conftest import Server
from tests.fakes import FakeProvider

KEY = "sk-provider-1"
Connected = Callable[..., set[str]]


def said(*texts: str) -> list[dict[str, str]]:
    """Messages of user and assistant in turn."""
    return [
        {"role": ("user", "assistant")[place % 2], "content": text}
        for place, text in enumerate(texts)
    ]


# Bread, then Paris, then film: a question about bread needs one exchange of the three, and the
# last one always stays.
HISTORY = said(
    "How do I bake sourdough bread at home?",
    "Mix flour, water, salt and sourdough starter, proof it overnight, then bake the bread.",
    "What is the capital of France?",
    "The capital of France is Paris, on the river Seine.",
    "Which film by Tarkovsky should I watch first?",
    "Start with Stalker, a slow and beautiful journey.",
    "How long does sourdough bread have to bake?",
)

GEMINI_ROLES = {"user": "user", "assistant": "model"}
CONTENTS = [
    {"role": GEMINI_ROLES[said["role"]], "parts": [{"text": said["content"]}]} for said in HISTORY
]


def completion(messages: list[dict[str, Any]] = HISTORY, **more: Any) -> dict[str, Any]:
    return {"model": "gpt-test", "messages": messages, **more}


@pytest.fixture
def through(server: str, provider: FakeProvider) -> Callable[..., str]:
    """The base URL by which a client reaches the provider, in a behaviour of its."""

    def url(behaviour: str = "", *, key: str = KEY) -> str:
        target = f"{provider.url}/{behaviour}/v1" if behaviour else f"{provider.url}/v1"
        return f"{server}/api/v1/proxy/{target}/{quote(key, safe='')}"

    return url


@pytest.fixture
def sdk(token: str) -> Iterator[Callable[..., openai.OpenAI]]:
    """Makes the openai package's client for a base URL."""
    made: list[openai.OpenAI] = []

    def client(base_url: str, **options: Any) -> openai.OpenAI:
        made.append(openai.OpenAI(base_url=base_url, api_key=token, **{"max_retries": 0} | options))
        return made[-1]

    yield client
    for each in made:
        each.close()


@pytest.fixture
async def async_sdk(token: str) -> AsyncIterator[Callable[..., openai.AsyncOpenAI]]:
    made: list[openai.AsyncOpenAI] = []

    def client(base_url: str, **options: Any) -> openai.AsyncOpenAI:
        made.append(
            openai.AsyncOpenAI(base_url=base_url, api_key=token, **{"max_retries": 0} | options)
        )
        return made[-1]

    yield client
    for each in made:
        await each.close()


@pytest.fixture
def leaving(token: str) -> Iterator[Callable[..., socket.socket]]:
    """Sends a request on a bare socket, so that the test can hang up whenever it likes."""
    opened: list[socket.socket] = []

    def send(url: str, body: dict) -> socket.socket:
        parts = urlsplit(url)
        data = json.dumps(body).encode()
        connection = socket.create_connection((parts.hostname, parts.port), timeout=10)
        connection.sendall(
            f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            f"Authorization: Bearer {token}\r\nContent-Length: {len(data)}\r\n\r\n".encode()
            + data
        )
        opened.append(connection)
        return connection

    yield send
    for connection in opened:
        connection.close()


_connected: list[tuple[str, int]] | None = None


def _see_connections(event: str, args: tuple[Any, ...]) -> None:
    """Note where this process connects to, and refuse whatever is not loopback."""
    if _connected is None or event != "socket.connect" or not isinstance(args[1], tuple):
        return
    host, port = args[1][:2]
    _connected.append((host, port))
    if host != "127.0.0.1" or port < 1024:
        raise ConnectionRefusedError


# It can't be taken out again, so it does nothing outside of the tests that ask for it.
sys.addaudithook(_see_connections)


@pytest.fixture
def connected() -> Iterator[Connected]:
    """Tells to which addresses this process, the server in it too, has connected at some ports."""
    global _connected
    seen = _connected = []

    def at(*ports: int) -> set[str]:
        return {host for host, port in seen if port in ports}

    yield at
    _connected = None


@pytest.fixture
def bounds(settings: LazySettings) -> LazySettings:
    """Settings with a second for what takes minutes."""
    settings.PROXY_FIRST_BYTE_TIMEOUT = 1
    settings.PROXY_IDLE_TIMEOUT = 1
    return settings


@pytest.fixture
def rows(server: str, the_server: Server) -> Callable[[], list[UsageRecord]]:
    """The usage rows, once those that wait in memory are written."""

    def written() -> list[UsageRecord]:
        the_server.write_usage()
        return list(UsageRecord.objects.order_by("pk"))

    return written


@pytest.fixture
def ask_responses(http: requests.Session, through: Callable[..., str]) -> responses.Ask:
    """Posts a body that asks for a response."""

    def ask(
        body: Any = None,
        *,
        behaviour: str = "responses",
        query: str = "",
        headers: dict[str, str] | None = None,
        **fields: Any,
    ) -> requests.Response:
        body = {"model": "gpt-test", "input": HISTORY} | fields if body is None else body
        data = body if isinstance(body, bytes) else json.dumps(body)
        url = f"{through(behaviour)}/responses{query}"
        return http.post(url, data=data, headers=headers, stream=True)

    return ask


@pytest.fixture
def ask_gemini(http: requests.Session, server: str, provider: FakeProvider) -> gemini.Ask:
    """Posts a body to a model's task; `headers` stand beside the token and the provider's key."""

    def ask(
        body: Any = None,
        task: str = "generateContent",
        *,
        behaviour: str = "gemini",
        version: str = "v1beta",
        query: str = "",
        headers: dict[str, str] | None = None,
    ) -> requests.Response:
        body = {"contents": CONTENTS[-1:]} if body is None else body
        data = body if isinstance(body, bytes) else json.dumps(body)
        url = f"{gemini.base_of(server, provider, behaviour)}/{version}/models/m:{task}{query}"
        shown = {"x-goog-api-key": gemini.KEY} if headers is None else headers
        return http.post(url, data=data, headers=shown, stream=True)

    return ask


@pytest.fixture
def ask_anthropic(http: requests.Session, server: str, provider: FakeProvider) -> anthropic.Ask:
    """Posts a body to Messages; `headers` stand beside the token and the provider's key."""

    def ask(
        body: Any = None,
        endpoint: str = "messages",
        *,
        behaviour: str = "anthropic",
        query: str = "",
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> requests.Response:
        asked = HISTORY[-1:] if body is None else body
        if isinstance(asked, list):
            asked = {"model": anthropic.MODEL, "max_tokens": 9, "messages": asked} | more
        data = asked if isinstance(asked, bytes) else json.dumps(asked)
        url = f"{anthropic.base_of(server, provider, behaviour)}/v1/{endpoint}{query}"
        shown = {"x-api-key": anthropic.KEY, "anthropic-version": "2023-06-01"} | (headers or {})
        return http.post(url, data=data, headers=shown, stream=True)

    return ask
