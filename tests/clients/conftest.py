"""What the tests with real clients share: a way through the proxy, a tool, a picture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests import faults
from tests.clients.node import Node
from tests.proxy.conftest import async_sdk, bounds, leaving, rows, sdk, through

__all__ = ["async_sdk", "bounds", "faults", "leaving", "rows", "sdk", "through"]

PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5E"
    "rkJggg=="
)
PICTURE = f"data:image/png;base64,{PIXEL}"
WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


@pytest.fixture(scope="session")
def node() -> Iterator[Node]:
    """The clients on Node, which take their time to start."""
    running = Node()
    yield running
    running.end()
