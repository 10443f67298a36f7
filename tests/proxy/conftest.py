"""What the tests of the proxy share: conversations, and clients that reach a provider."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import openai
import pytest
from django.conf import LazySettings

from proxy.models import UsageRecord
from tests.conftest import Server
from tests.fakes import FakeProvider

KEY = "sk-provider-1"


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
