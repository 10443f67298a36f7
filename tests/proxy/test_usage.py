"""Every call leaves a row: who, where, how much; never a word of what was said."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import requests
from aiohttp import web
from django.conf import LazySettings
from django.db import models
from django.utils import timezone

from proxy.accounting import usage_writer
from proxy.models import UsageRecord
from proxy.wire import openai
from tests import gemini
from tests.fakes import USAGE, Behaviour, FakeProvider, Received, chunk
from tests.proxy.conftest import completion

Through = Callable[..., str]
Rows = Callable[[], list[UsageRecord]]


@pytest.mark.parametrize("is_streamed", [True, False])
def test_a_call_leaves_its_row(
    http: requests.Session, through: Through, provider: FakeProvider, alice, rows: Rows, is_streamed
):
    more = {"stream": True, "stream_options": {"include_usage": True}} if is_streamed else {}
    response = http.post(f"{through()}/chat/completions", json=completion(**more))

    (row,) = rows()

    assert row.request_id == response.headers["x-alchemyst-request-id"]
    assert row.caller == alice
    assert row.endpoint == "chat/completions"
    assert row.target == provider.url.removeprefix("http://")
    assert (row.model, row.mode, row.filtering) == ("gpt-test", "strict", "filtered")
    assert (row.messages_before, row.messages_after) == (7, 5)
    assert row.tokens_before > row.tokens_after > 0
    assert (row.prompt_tokens, row.cached_tokens, row.completion_tokens) == (21, 16, 4)
    assert (row.status, row.outcome) == (200, UsageRecord.Outcome.COMPLETE)
    assert row.milliseconds >= row.first_byte_milliseconds


def test_a_call_by_key_names_the_key(
    http: requests.Session, server: str, through: Through, rows: Rows
):
    made = http.post(f"{server}/api/v1/auth/keys", json={"name": "k", "scopes": ["proxy"]}).json()

    requests.post(
        f"{through()}/chat/completions",
        json=completion(),
        headers={"Authorization": f"Bearer {made['key']}"},
    )

    assert rows()[0].key_id == made["id"]


def test_a_call_that_we_refuse_leaves_its_row(http: requests.Session, through: Through, rows: Rows):
    http.post(f"{through()}/chat/completions", data=b"{")

    (row,) = rows()

    assert (row.status, row.outcome) == (400, UsageRecord.Outcome.REFUSED)


def test_a_list_of_models_leaves_its_row(http: requests.Session, through: Through, rows: Rows):
    http.get(f"{through()}/models")

    assert rows()[0].endpoint == "models"


def test_no_row_has_a_word_of_the_conversation_or_the_key(
    http: requests.Session, through: Through, rows: Rows
):
    secret = "xylophone-secret"
    http.post(
        f"{through(key='sk-canary-1')}/chat/completions",
        json=completion([{"role": "user", "content": secret}]),
    )

    (row,) = rows()

    texts = [
        str(getattr(row, field.attname))
        for field in row._meta.concrete_fields
        if isinstance(field, models.CharField)
    ]
    assert not any(secret in text or "canary" in text for text in texts)


def test_usage_outlives_the_account(http: requests.Session, through: Through, alice, rows: Rows):
    http.post(f"{through()}/chat/completions", json=completion())
    rows()

    alice.delete()

    assert UsageRecord.objects.get().caller is None


def test_rows_that_are_no_longer_kept_go_as_new_ones_come(
    http: requests.Session,
    through: Through,
    rows: Rows,
    settings: LazySettings,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(usage_writer.expiry, "seconds", -1)
    http.post(f"{through()}/chat/completions", json=completion())
    (old,) = rows()
    UsageRecord.objects.update(created=timezone.now() - timedelta(settings.PROXY_USAGE_DAYS + 1))

    http.post(f"{through()}/chat/completions", json=completion())

    (row,) = rows()
    assert row.pk != old.pk


def test_a_call_is_never_delayed_by_rows_that_cannot_be_written(
    http: requests.Session, through: Through, monkeypatch: pytest.MonkeyPatch, rows: Rows
):
    monkeypatch.setattr(usage_writer.queue, "limit", 2 * usage_writer.BARE_BYTES)
    before = usage_writer.queue.dropped

    answers = [http.post(f"{through()}/chat/completions", json=completion()) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200] * 3
    assert len(rows()) + usage_writer.queue.dropped - before == 3
    assert usage_writer.queue.dropped > before


@pytest.mark.parametrize(
    ("tail", "prompt", "completed"),
    [
        (b"", None, None),
        (b'{"usage": null}', None, None),
        (b'{"usage":{"prompt_tokens":7,"completion_tokens":2}}', 7, 2),
        (
            b'data: {"usage":{"prompt_tokens":1}}\n\ndata: {"usage":{"prompt_tokens":9}}\n\n',
            9,
            None,
        ),
        (
            b'data: {"usage":{"prompt_tokens":9}}\n\ndata: {"usage":null}\n\ndata: [DONE]\n\n',
            9,
            None,
        ),
        (b'"usage":{"prompt_tokens":9,"completion_tok', None, None),
        (b'"usage":{"prompt_tokens":"many","completion_tokens":-4}', None, None),
        (b'"usage":{"prompt_tokens":5,"prompt_tokens_details":null}}', 5, None),
        (b'"usage":{"prompt_tokens":16111.0,"completion_tokens":2.5}}', 16111, None),
        (b'"usage":{"prompt_tokens":5}} "usage":{"search_context_size":"low"}', 5, None),
    ],
)
def test_the_providers_own_count_is_read_from_the_end_of_its_answer(tail, prompt, completed):
    counts = openai.reported(tail)

    assert (counts["prompt_tokens"], counts["completion_tokens"]) == (prompt, completed)


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens_details": {"cached_tokens": 15872}},
        {"prompt_tokens_details": {"cached_tokens": None}, "prompt_cache_hit_tokens": 15872},
        {"prompt_tokens_details": None, "prompt_cache_hit_tokens": 15872.0},
        {"cached_tokens": None, "cache_read_input_tokens": 15872},
        {"prompt_tokens_details": {}, "cached_tokens": 15872},
    ],
    ids=str,
)
def test_a_name_without_a_count_does_not_hide_another(usage):
    counts = openai.reported(json.dumps({"usage": usage}).encode())

    assert counts["cached_tokens"] == 15872


class TestReasoning:
    @pytest.mark.parametrize("reasoning", [0, 64])
    def test_is_told_of_the_completion(self, reasoning: int):
        counts = openai.counts_in(
            {"completion_tokens": 80, "completion_tokens_details": {"reasoning_tokens": reasoning}}
        )

        assert (counts["completion_tokens"], counts["reasoning_tokens"]) == (80, reasoning)

    @pytest.mark.parametrize("details", [{}, None, {"reasoning_tokens": None}], ids=repr)
    def test_that_is_not_told_is_not_none_at_all(self, details):
        counts = openai.counts_in({"completion_tokens": 80, "completion_tokens_details": details})

        assert counts["reasoning_tokens"] is None

    @pytest.mark.parametrize(("total", "completion"), [(100, 80), (164, 144), (None, 80)])
    def test_beside_the_completion_is_added_to_it_where_the_total_says_so(
        self, total: int | None, completion: int
    ):
        counts = openai.counts_in(
            {
                "prompt_tokens": 20,
                "completion_tokens": 80,
                "total_tokens": total,
                "completion_tokens_details": {"reasoning_tokens": 64},
            }
        )

        assert counts["completion_tokens"] == completion

    def test_is_in_the_calls_row(self, http, through, provider, rows):
        usage = USAGE | {"completion_tokens_details": {"reasoning_tokens": 3}}
        provider.behaviours["given"] = sending(answered(usage=usage), 10**6, "application/json")

        http.post(f"{through('given')}/chat/completions", json=completion())

        (row,) = rows()
        assert (row.completion_tokens, row.reasoning_tokens) == (4, 3)
        assert row.written_for_long_tokens is None


@pytest.mark.parametrize(
    "usage",
    [
        {"cache_creation": {"ephemeral_5m_input_tokens": 7, "ephemeral_1h_input_tokens": 512}},
        {"prompt_tokens_details": {"cache_creation": {"ephemeral_1h_input_tokens": 512}}},
        {
            "cache_creation": None,
            "prompt_tokens_details": {
                "cache_creation_token_details": {"ephemeral_1h_input_tokens": 512}
            },
        },
    ],
    ids=str,
)
def test_what_a_gateway_to_claude_wrote_for_an_hour_is_read(usage):
    counts = openai.counts_in(usage | {"cache_creation_input_tokens": 519})

    assert (counts["written_tokens"], counts["written_for_long_tokens"]) == (519, 512)


COUNTS = {"prompt_tokens": 21, "completion_tokens": 4, "cached_tokens": 16}
DETAILS = {"details": [{"tokens": 1}] * 800}
LARGE = {"search_results": [{"title": "x" * 200}] * 200}


def answered(**fields: Any) -> bytes:
    message = {"role": "assistant", "content": "word " * 4000}
    return json.dumps(
        fields | {"choices": [{"message": message, "finish_reason": "stop"}]}
    ).encode()


def streamed(*ends: bytes) -> bytes:
    return b"".join([chunk({"content": "word"}, usage=None)] * 100) + b"".join(ends)


class TestCountsAreReadWhereverTheyStand:
    @pytest.mark.parametrize(
        "body",
        [
            answered(id="1", usage=USAGE),
            answered(usage=USAGE, **LARGE),
            answered(**LARGE)[:-1] + b',"usage":' + json.dumps(USAGE | DETAILS).encode() + b"}",
        ],
        ids=["early", "before-results", "with-large-details"],
    )
    @pytest.mark.parametrize("size", [1500, 10**6])
    def test_in_a_whole_answer(self, http, through, provider, rows, body: bytes, size: int):
        provider.behaviours["given"] = sending(body, size, "application/json")

        answer = http.post(f"{through('given')}/chat/completions", json=completion())

        assert answer.content == body
        (row,) = rows()
        assert {name: getattr(row, name) for name in COUNTS} == COUNTS

    @pytest.mark.parametrize(
        "ends",
        [
            [chunk({}, "stop", usage=USAGE | DETAILS)],
            [chunk({}, "stop", usage=USAGE, citations=["x" * 200] * 60)],
            [chunk({}, "stop", usage=USAGE), chunk({}, choices=[], citations=["x" * 200] * 200)],
            [chunk({"content": "a"}, usage=USAGE), *[chunk({"content": "b"})] * 200],
        ],
        ids=["large", "before-citations", "long-before-the-end", "early"],
    )
    @pytest.mark.parametrize("size", [77, 1500, 10**6])
    def test_in_a_stream(self, http, through, provider, rows, ends: list[bytes], size: int):
        body = streamed(*ends, chunk({}, "stop"), b"data: [DONE]\n\n")
        provider.behaviours["given"] = sending(body, size, "text/event-stream")

        answer = http.post(f"{through('given')}/chat/completions", json=completion(stream=True))

        assert answer.content == body
        (row,) = rows()
        assert {name: getattr(row, name) for name in COUNTS} == COUNTS

    def test_in_a_stream_of_geminis(self, ask_gemini, provider, rows):
        first = gemini.answer({"text": "a"})
        later = gemini.answer({"text": "b" * 40_000}, finishReason="STOP")
        del later["usageMetadata"]
        body = b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in (first, later))
        provider.behaviours["given"] = sending(body, 1500, "text/event-stream")

        answer = ask_gemini(task="streamGenerateContent", query="?alt=sse", behaviour="given")

        assert answer.content == body
        (row,) = rows()
        assert (row.prompt_tokens, row.completion_tokens, row.cached_tokens) == (21, 7, 16)


def sending(body: bytes, size: int, kind: str) -> Behaviour:
    """A provider's behaviour: it answers with a body, in pieces of a size."""

    async def behaviour(request: web.Request, received: Received) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": kind})
        await response.prepare(request)
        for start in range(0, len(body), size):
            await response.write(body[start : start + size])
        return response

    return behaviour
