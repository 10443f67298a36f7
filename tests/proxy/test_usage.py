"""Every call leaves a row: who, where, how much; never a word of what was said."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
import requests
from django.conf import LazySettings
from django.db import models
from django.utils import timezone

from proxy.accounting import usage_writer
from proxy.models import UsageRecord
from proxy.wire import openai
from tests.fakes import FakeProvider
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
    monkeypatch.setattr(usage_writer, "EXPIRE_EVERY_SECONDS", -1)
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
    ],
)
def test_the_providers_own_count_is_read_from_the_end_of_its_answer(tail, prompt, completed):
    counts = openai.reported(tail)

    assert (counts["prompt_tokens"], counts["completion_tokens"]) == (prompt, completed)
