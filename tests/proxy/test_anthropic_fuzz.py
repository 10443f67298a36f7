"""Whatever stands in a request or an answer of Anthropic's format, it is read or refused."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.common.errors import ApiError
from proxy.filtering import result as filtering_result
from proxy.filtering.result import FilterOptions
from proxy.wire import anthropic
from proxy.wire.dialect import Route, Step, StreamEvent

ROUTE = Route("https://x", "/v1/messages", "messages", is_filtered=True)
TYPES = ["text", "tool_use", "tool_result", "thinking", "server_tool_use", "compaction", "image"]
TYPES += ["web_search_tool_result", "message_start", "message_delta", "message", "error", "new"]
NAMES = ["type", "text", "id", "tool_use_id", "content", "input", "name", "source", "caller"]
NAMES += ["cache_control", "thinking", "title", "delta", "usage", "message", "stop_reason", "error"]
LEAVES = st.none() | st.booleans() | st.integers() | st.sampled_from([*TYPES, "", "\ud800"])
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)
    ),
    max_leaves=12,
)
BLOCKS = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=5).flatmap(
    lambda fields: st.sampled_from(TYPES).map(lambda kind: fields | {"type": kind})
)
MESSAGES = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["user", "assistant", "system"]),
        "content": st.lists(BLOCKS, max_size=3) | VALUES,
    }
)
bounded = settings(max_examples=300, deadline=None, derandomize=True)


@bounded
@given(
    st.lists(MESSAGES, min_size=1, max_size=8),
    st.dictionaries(
        st.sampled_from(
            ["system", "tools", "thread", "container", "context_management", "cache_control"]
        ),
        VALUES,
        max_size=3,
    ),
)
def test_a_request_is_filtered_or_refused(messages: list[Any], more: dict[str, Any]):
    body = json.dumps({"model": "m", "messages": messages} | more).encode()

    with suppress(ApiError):
        request = anthropic.read(body, ROUTE, most_messages=100)
        done = filtering_result.filtered(
            request, anthropic, FilterOptions("very_strict", seconds=9)
        )
        assert done.filtering in ("unchanged", "filtered")


@bounded
@given(BLOCKS)
def test_an_event_is_read_or_is_none(event: dict[str, Any]):
    data = json.dumps(event).encode()

    with suppress(ApiError, ValueError):
        assert isinstance(anthropic.parse_event(data), StreamEvent)
    with suppress(ValueError):
        assert isinstance(anthropic.step(data), Step)
