"""OpenAI's format in full: each field goes up, each byte down, what belongs together stays."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import requests
from aiohttp import web

from proxy.filtering import result
from proxy.filtering.result import FilterOptions
from proxy.wire import openai
from proxy.wire.dialect import Route
from tests.fakes import FakeProvider, Received
from tests.proxy.conftest import HISTORY, completion, said

Through = Callable[..., str]
ROUTE = Route("https://x", "/chat/completions", "chat/completions", is_filtered=True)

# Every field that the reference names, also those that are deprecated and still sent.
FIELDS: dict[str, Any] = {
    "audio": {"voice": "alloy", "format": "wav"},
    "frequency_penalty": 0.10,
    "function_call": "auto",
    "functions": [],
    "logit_bias": {"50256": -100},
    "logprobs": True,
    "max_completion_tokens": 10,
    "max_tokens": 10,
    "metadata": {"a": "b"},
    "modalities": ["text"],
    "moderation": {},
    "n": 2,
    "parallel_tool_calls": False,
    "prediction": {"type": "content", "content": "x"},
    "presence_penalty": -0.5,
    "prompt_cache_key": "k",
    "prompt_cache_options": {},
    "prompt_cache_retention": "24h",
    "reasoning_effort": "low",
    "response_format": {"type": "json_schema", "json_schema": {"name": "x", "strict": True}},
    "safety_identifier": "u",
    "seed": 12345678901234567890,
    "service_tier": "auto",
    "stop": ["\n"],
    "store": False,
    "stream_options": {"include_usage": True, "include_obfuscation": False},
    "temperature": 0.7,
    "tool_choice": "auto",
    "tools": [{"type": "function", "function": {"name": "f", "strict": True}}],
    "top_logprobs": 5,
    "top_p": 0.9,
    "user": "u",
    "verbosity": "low",
    "web_search_options": {},
}

RICH_ANSWER = {
    "id": "chatcmpl-1",
    "choices": [
        {
            "index": index,
            "finish_reason": reason,
            "message": {
                "role": "assistant",
                "content": None,
                "refusal": "No.",
                "annotations": [{"type": "url_citation"}],
                "audio": {"id": "audio_1"},
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f"}}],
                "reasoning_content": "vendor",
            },
            "logprobs": {
                "content": [{"token": "a", "bytes": [97], "logprob": -1.0e-7, "top_logprobs": []}],
                "refusal": None,
            },
        }
        for index, reason in enumerate(["stop", "content_filter", "error", "something_new"])
    ],
    "usage": {
        "prompt_tokens": 5,
        "completion_tokens": 9,
        "completion_tokens_details": {"reasoning_tokens": 4, "rejected_prediction_tokens": 1},
        "prompt_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 1},
    },
    "service_tier": "default",
    "system_fingerprint": "fp",
    "moderation": None,
    "vendor": {"x": [1.50]},
}

RICH_STREAM = (
    ": a comment\r\n\r\n"
    'data:{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}],"usage":null}\r\n\r\n'
    'event: message\ndata: {"choices":[{"index":1,"delta":{"tool_calls":[{"index":0,"id":"c1",'
    '"function":{"name":"f","arguments":""}}]},"logprobs":{"content":[]}}]}\n\n'
    'data: {"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"{\\"a\\""}}]}}]}\n\n'
    'data: {"obfuscation":"aGV5","choices":[{"index":0,"delta":{"content":"é 漢"},'
    '"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":9}}\n\n'
    'data: {"choices":[],"moderation":{}}\n\n'
    'data: {"error":{"message":"late","code":502}}\n\n'
)


async def replay(request: web.Request, received: Received) -> web.StreamResponse:
    """Answer with the text that stands in the request, three bytes at a time."""
    response = web.StreamResponse(headers={"content-type": received.json["as"]})
    await response.prepare(request)
    text = received.json["replay"].encode()
    for place in range(0, len(text), 3):
        await response.write(text[place : place + 3])
    return response


@pytest.fixture(autouse=True)
def _replaying(provider: FakeProvider) -> None:
    """Have the provider answer what it is told to."""
    provider.behaviours["replay"] = replay


def filtered(messages: list[dict[str, Any]], **more: Any) -> list[dict[str, Any]]:
    body = json.dumps(completion(messages, **more)).encode()
    request = openai.read(body, ROUTE, most_messages=2000)
    sent = result.filtered(request, openai, FilterOptions("very_strict", seconds=60)).body
    return json.loads(sent)["messages"]


def test_every_field_goes_up_as_it_came(
    http: requests.Session, through: Through, provider: FakeProvider
):
    http.post(f"{through()}/chat/completions", json=completion(**FIELDS))

    sent = provider.last().json
    assert sent.pop("messages") == HISTORY[:2] + HISTORY[4:]
    assert sent == FIELDS | {"model": "gpt-test"}
    assert list(sent) == ["model", *FIELDS]


@pytest.mark.parametrize(
    ("kind", "text"),
    [("application/json", json.dumps(RICH_ANSWER)), ("text/event-stream", RICH_STREAM)],
)
def test_an_answer_comes_down_byte_for_byte(
    http: requests.Session, through: Through, kind: str, text: str
):
    body = completion(HISTORY[-1:], replay=text, **{"as": kind})

    answer = http.post(f"{through('replay')}/chat/completions", json=body)

    assert answer.content == text.encode()
    assert answer.headers["content-type"] == kind
    assert openai.reported(answer.content)["completion_tokens"] == 9


class TestWhatStays:
    def test_a_message_with_its_own_fields(self):
        odd = [
            {"role": "user", "name": "ann", "content": HISTORY[0]["content"]},
            {
                "role": "assistant",
                "content": HISTORY[1]["content"],
                "reasoning_content": "r",
                "annotations": [],
                "audio": {"id": "a"},
            },
        ]

        assert filtered([*odd, *HISTORY[2:]]) == [*odd, *HISTORY[4:]]

    @pytest.mark.parametrize("role", ["system", "developer"])
    @pytest.mark.parametrize("place", [0, 3, 6])
    def test_a_system_message_wherever_it_stands(self, role: str, place: int):
        rule = {"role": role, "content": "Speak like a pirate."}

        assert rule in filtered([*HISTORY[:place], rule, *HISTORY[place:]])

    @pytest.mark.parametrize(
        "part",
        [
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
            {"type": "file", "file": {"file_id": "f"}},
        ],
    )
    def test_what_is_no_text(self, part: dict[str, Any]):
        shown = [{"role": "user", "content": [part]}, {"role": "assistant", "content": "A cat."}]

        assert filtered([*shown, *HISTORY])[:2] == shown

    @pytest.mark.parametrize("mark", ["cache_control", "prompt_cache_breakpoint"])
    def test_a_message_with_a_cache_mark(self, mark: str):
        part = {"type": "text", "text": "A long letter.", mark: {"type": "ephemeral"}}
        marked = [{"role": "user", "content": [part]}, {"role": "assistant", "content": "Read."}]

        assert filtered([*marked, *HISTORY])[:2] == marked

    def test_the_word_json_where_the_format_needs_it(self):
        asked = said("Please always answer in JSON.", "Understood.")
        wanted = {"response_format": {"type": "json_object"}}

        assert filtered([*asked, *HISTORY], **wanted)[:2] == asked

    def test_a_call_of_the_older_kind_with_its_result(self):
        older = [
            {"role": "user", "content": "What is the weather in Rome?"},
            {"role": "assistant", "content": None, "function_call": {"name": "w"}},
            {"role": "function", "name": "w", "content": "sunny"},
        ]

        stays = filtered([*older, *HISTORY])

        assert sum(message in stays for message in older) in (0, 3)

    def test_a_single_message(self):
        assert filtered(HISTORY[-1:]) == HISTORY[-1:]
