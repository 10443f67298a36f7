"""Rows written by few statements."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.db import IntegrityError, connection
from django.test.utils import CaptureQueriesContext

from proxy.common.bulk_insert import bulk_insert, columns_of
from proxy.models import UsageRollup

KEYS = ("period", "starts", "caller_id", "key_id", "model", "target", "persona")

pytestmark = pytest.mark.django_db


def row(model: str, requests: int) -> list[object]:
    starts = connection.ops.adapt_datetimefield_value(datetime(2026, 1, 1, tzinfo=UTC))
    values = dict.fromkeys(columns_of(UsageRollup), 0)
    named = {"period": "day", "starts": starts, "caller_id": 1, "requests": requests}
    texts = {"key_id": "", "model": model, "target": "", "persona": ""}
    return list((values | named | texts).values())


def insert(*rows: list[object], on_conflict: str = "", at_once: int = 1) -> None:
    bulk_insert(
        UsageRollup, columns_of(UsageRollup), rows, on_conflict=on_conflict, at_once=at_once
    )


def written() -> dict[str, int]:
    return dict(UsageRollup.objects.order_by("model").values_list("model", "requests"))


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 7])
def test_all_rows_are_written_however_many_go_by_one_statement(count: int):
    insert(*(row(f"m{number}", number) for number in range(count)), at_once=3)

    assert written() == {f"m{number}": number for number in range(count)}


def test_so_many_rows_go_by_one_statement():
    with CaptureQueriesContext(connection) as queries:
        insert(*(row(f"m{number}", number) for number in range(6)), at_once=6)

    assert len(queries) == 1
    assert queries[0]["sql"].startswith("1 times: INSERT")


def test_a_row_that_is_there_already_is_a_fault_unless_it_is_said_otherwise():
    insert(row("m", 1))

    insert(row("m", 2), on_conflict="DO NOTHING")

    assert written() == {"m": 1}
    with pytest.raises(IntegrityError):
        insert(row("m", 2))


def test_a_row_may_be_added_to_the_one_that_is_there():
    table = connection.ops.quote_name(UsageRollup._meta.db_table)
    adding = f"({', '.join(KEYS)}) DO UPDATE SET requests = {table}.requests + EXCLUDED.requests"

    insert(row("m", 1), row("m", 2), on_conflict=adding)

    assert written() == {"m": 3}
