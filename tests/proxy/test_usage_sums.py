"""Usage is added up by hour and day as its rows are written; pages and the API read the sums."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from django.core.management import call_command

from proxy.accounting import usage_writer
from proxy.accounting.call_finished import CallFinished
from proxy.common.bulk_insert import columns_of
from proxy.models import UsageRecord, UsageRollup
from proxy.models.usage_row import UsageRow
from proxy.wire.dialect import Counts
from tests.proxy.conftest import completion

Through = Callable[..., str]
Rows = Callable[[], list[UsageRecord]]

URL = "/api/v1/usage"
NOON = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)


def a_call(user: Any, **changes: Any) -> CallFinished:
    """A call as it is handed to the writer when it has ended."""
    counts: Counts = {
        "prompt_tokens": 50,
        "cached_tokens": 20,
        "completion_tokens": 7,
        "written_tokens": None,
    }
    counts.update(changes.pop("counts", {}))
    fields = {
        "created": NOON,
        "request_id": f"req_{next(_numbers):08x}",
        "caller_id": user.pk,
        "key_id": "",
        "endpoint": "chat/completions",
        "target": "api.example.com:443",
        "model": "gpt-test",
        "mode": "very_strict",
        "filtering": "filtered",
        "tokens_before": 100,
        "tokens_after": 60,
        "status": 200,
        "outcome": "complete",
        "milliseconds": 900,
        "first_byte_milliseconds": 300,
        "usage_texts": [],
        "parse_usage": lambda tail: counts,
        **changes,
    }
    return CallFinished(**fields)


_numbers = iter(range(1, 1_000_000))


def written(*calls: CallFinished) -> None:
    usage_writer.queue._write(list(calls))


def test_a_row_has_the_tables_columns_in_their_order():
    assert UsageRow._fields == columns_of(UsageRecord)


@pytest.mark.django_db
class TestSums:
    def test_have_each_call_once_by_hour_and_by_day(self, alice):
        written(*(a_call(alice) for _ in range(3)), a_call(alice, created=NOON.replace(hour=23)))
        written(a_call(alice))

        hours = UsageRollup.objects.filter(period="hour").order_by("starts")
        day = UsageRollup.objects.get(period="day")
        assert [(row.starts.hour, row.requests) for row in hours] == [(12, 4), (23, 1)]
        assert (day.requests, day.tokens_before, day.tokens_after) == (5, 500, 300)
        assert (day.prompt_tokens, day.cached_tokens, day.completion_tokens) == (250, 100, 35)
        assert (day.first_bytes, day.first_byte_milliseconds, day.first_byte_500) == (5, 1500, 5)

    def test_do_not_count_a_batch_that_comes_a_second_time(self, alice):
        first, second = a_call(alice), a_call(alice)
        written(first)

        written(first, second)

        assert UsageRecord.objects.count() == 2
        assert UsageRollup.objects.get(period="day").requests == 2

    def test_do_not_take_shadow_for_savings(self, alice):
        written(a_call(alice, filtering="shadow"))

        day = UsageRollup.objects.get(period="day")
        assert (day.tokens_before, day.tokens_after) == (100, 100)

    @pytest.mark.parametrize(
        "changes",
        [{"status": 502, "outcome": "refused"}, {"status": 400}, {"outcome": "failed"}],
    )
    def test_do_not_take_a_failure_for_savings(self, alice, changes):
        written(a_call(alice, **changes))

        day = UsageRollup.objects.get(period="day")
        assert (day.errors, day.tokens_before, day.tokens_after) == (1, 0, 0)

    def test_of_what_no_provider_told_are_unknown(self, alice):
        written(a_call(alice))

        day = UsageRollup.objects.get(period="day")
        assert (day.reasoning_tokens, day.written_for_long_tokens) == (None, None)

    def test_add_up_what_some_providers_told(self, alice):
        told: list[dict[str, Any]] = [{"reasoning_tokens": 5}, {}, {"reasoning_tokens": 0}]
        for counts in ({}, *told):
            written(a_call(alice, counts=counts))
        written(*(a_call(alice, counts=counts) for counts in told))

        day = UsageRollup.objects.get(period="day")
        assert (day.reasoning_tokens, day.written_for_long_tokens) == (10, None)

    def test_stay_when_the_account_goes(self, alice):
        written(a_call(alice))
        number = alice.pk

        alice.delete()

        assert UsageRollup.objects.get(period="day").caller_id == number

    def test_keep_models_hosts_keys_and_personas_apart(self, alice, bob):
        written(
            a_call(alice),
            a_call(bob),
            a_call(alice, model="other"),
            a_call(alice, target="elsewhere:443"),
            a_call(alice, key_id="k1"),
            a_call(alice, persona="maya"),
        )

        assert UsageRollup.objects.filter(period="day", requests=1).count() == 6


def test_a_call_through_the_proxy_is_added_up(
    http: requests.Session, server: str, through: Through, rows: Rows
):
    for _ in range(2):
        http.post(f"{through()}/chat/completions", json=completion())
    rows()

    usage = http.get(f"{server}{URL}").json()

    assert usage["total"]["requests"] == 2
    assert usage["total"]["prompt_tokens"] == 42
    assert usage["total"]["tokens_saved"] > 0
    assert [row["requests"] for row in usage["rows"]] == [2]


def test_writers_in_many_threads_lose_nothing(transactional_db, alice):
    batches = [[a_call(alice, model=f"m{n % 3}") for n in range(20)] for _ in range(8)]

    async def at_once() -> None:
        await asyncio.gather(*(asyncio.to_thread(_write_and_close, batch) for batch in batches))

    asyncio.run(at_once())

    days = UsageRollup.objects.filter(period="day")
    assert sum(days.values_list("requests", flat=True)) == UsageRecord.objects.count() == 160


def _write_and_close(batch: list[CallFinished]) -> None:
    from django.db import connection

    try:
        written(*batch)
    finally:
        connection.close()


@pytest.mark.django_db
class TestTheApi:
    def test_tells_the_callers_own_usage_alone(self, as_alice, alice, bob):
        written(a_call(alice), a_call(bob, model="secret-model"))

        response = as_alice.get(URL, {"from": "2026-11-01", "group_by": "model"})

        assert response.status_code == 200
        assert [row["model"] for row in response.json()["rows"]] == ["gpt-test"]

    def test_adds_up_in_the_groups_that_are_asked_for(self, as_alice, alice):
        written(a_call(alice), a_call(alice, model="other"), a_call(alice, persona="maya"))
        query = {"from": "2026-11-20", "to": "2026-11-21", "group_by": "time,persona"}

        rows = as_alice.get(URL, query).json()["rows"]

        assert [(row["persona"], row["requests"]) for row in rows] == [("", 2), ("maya", 1)]
        assert rows[0]["time"] == "2026-11-20T00:00:00Z"
        assert rows[0]["mean_first_byte_milliseconds"] == 300

    def test_tells_of_reasoning_and_long_writes_only_what_is_known(self, as_alice, alice):
        written(
            a_call(alice, counts={"written_tokens": 30, "written_for_long_tokens": 20}),
            a_call(alice, model="thinks", counts={"reasoning_tokens": 0}),
        )
        query = {"from": "2026-11-20", "to": "2026-11-21", "group_by": "model"}

        usage = as_alice.get(URL, query).json()

        names = ("written_tokens", "written_for_long_tokens", "reasoning_tokens")
        assert [[row[name] for name in names] for row in (*usage["rows"], usage["total"])] == [
            [30, 20, None],
            [0, None, 0],
            [30, 20, 0],
        ]

    def test_leaves_a_cell_empty_for_what_is_not_known(self, as_alice, alice):
        written(a_call(alice, counts={"reasoning_tokens": 4}))
        query = {"from": "2026-11-20", "group_by": "model", "format": "csv"}

        (row,) = csv.DictReader(io.StringIO(as_alice.get(URL, query).content.decode()))

        assert (row["reasoning_tokens"], row["written_for_long_tokens"]) == ("4", "")

    def test_leaves_out_what_is_before_or_after(self, as_alice, alice):
        written(a_call(alice), a_call(alice, created=NOON + timedelta(days=1)))
        query = {"from": "2026-11-20", "to": "2026-11-21", "period": "hour"}

        assert as_alice.get(URL, query).json()["total"]["requests"] == 1

    @pytest.mark.parametrize(
        "asked",
        [
            {"from": "yesterday"},
            {"group_by": "password"},
            {"period": "week"},
            {"from": "2026-11-21", "to": "2026-11-20"},
            {"format": "xls"},
        ],
    )
    def test_refuses_what_it_does_not_understand(self, as_alice, asked):
        assert as_alice.get(URL, asked).status_code == 400

    def test_gives_a_sheet_that_holds_no_formula(self, as_alice, alice):
        written(a_call(alice, model='=HYPERLINK("https://evil.example","x")'))
        query = {"from": "2026-11-20", "group_by": "model", "format": "csv"}

        answer = as_alice.get(URL, query)

        head, row = csv.reader(io.StringIO(answer.content.decode()))
        assert answer["Content-Type"].startswith("text/csv")
        assert row[0] == '\'=HYPERLINK("https://evil.example","x")'
        assert dict(zip(head, row, strict=True))["tokens_saved"] == "40"

    def test_needs_a_token(self, client):
        assert client.get(URL).status_code == 401


@pytest.mark.django_db
class TestRetention:
    def test_deletes_old_rows_and_hours_and_keeps_days(self, alice, capsys):
        old = datetime.now(UTC) - timedelta(days=91)
        written(*(a_call(alice, created=old) for _ in range(5)))
        written(a_call(alice, created=datetime.now(UTC)))

        call_command("expire_usage")

        assert UsageRecord.objects.count() == 1
        assert UsageRollup.objects.filter(period="hour").count() == 1
        assert UsageRollup.objects.filter(period="day").count() == 2

    def test_works_in_small_steps(self, alice, django_assert_num_queries):
        old = datetime.now(UTC) - timedelta(days=91)
        written(*(a_call(alice, created=old) for _ in range(7)))

        with django_assert_num_queries(4):
            assert UsageRecord.objects.expire(at_once=3, most=6) == 6
