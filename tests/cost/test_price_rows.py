"""Price rows: shipped ones, an operator's own, and their versions."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from django.db import DatabaseError
from django.urls import reverse

from proxy.accounting import price_table
from proxy.cost.prices import Table, Tariff
from proxy.models import Price

pytestmark = pytest.mark.django_db
HOST = "api.openai.com"


def own(**fields) -> Price:
    given = {"host": HOST, "model": "gpt-5.4", "input": "1.00", "output": "4.00"}
    return Price.objects.create(**{**given, "since": date(2026, 1, 1), **fields})


def test_what_is_shipped_is_there_after_migrating_and_is_not_added_twice():
    assert Price.objects.filter(is_shipped=True, host=HOST, model="gpt-5.4").exists()
    assert Price.ship() == 0


def test_an_operators_price_goes_before_a_later_shipped_one():
    own()

    assert price_table.read().of(HOST, "gpt-5.4").input == Decimal(1)


def test_a_new_price_counts_at_once():
    assert price_table.get().of(HOST, "gpt-5.4").input == Decimal("2.5")

    own()

    assert price_table.get().of(HOST, "gpt-5.4").input == Decimal(1)


def test_a_price_counts_from_its_day_on():
    own(since=date(2999, 1, 1))

    assert price_table.read().of(HOST, "gpt-5.4").input == Decimal("2.5")


def test_an_announced_price_counts_from_its_day_on():
    host, model = "generativelanguage.googleapis.com", "gemini-3.8-flash"

    def on(day: date) -> Decimal:
        rows = Price.objects.current(day)
        return Table(row.tariff for row in rows).of(host, model).input

    assert (on(date(2026, 12, 31)), on(date(2027, 1, 1))) == (Decimal("0.75"), Decimal("1.5"))


@pytest.mark.django_db(transaction=True)
def test_without_a_database_no_announced_price_counts_before_its_day(monkeypatch):
    later = Tariff("h", "m", input=Decimal(9), output=Decimal(9), since=date(2999, 1, 1))
    today = replace(later, input=Decimal(1), since=date(2026, 1, 1))
    monkeypatch.setattr(price_table, "shipped", lambda: [today, later])

    class Missing:
        async def aget(self) -> Table:
            raise DatabaseError

        def last(self) -> None:
            return None

    monkeypatch.setattr(price_table, "_table", Missing())

    assert asyncio.run(price_table.table()).of("h", "m").input == 1


def test_a_change_in_the_admin_adds_a_version_and_leaves_the_old_one(admin_client):
    row = own()
    form = {
        "host": HOST,
        "model": "gpt-5.4",
        "input": "1.20",
        "output": "4.00",
        "lifetime": "300",
        "least": "1024",
        "step": "128",
        "since": "2026-02-01",
    }

    answer = admin_client.post(reverse("admin:proxy_price_change", args=[row.pk]), form)

    assert answer.status_code == 302
    row.refresh_from_db()
    assert row.input == Decimal(1)
    assert price_table.read().of(HOST, "gpt-5.4").input == Decimal("1.2")


@pytest.mark.parametrize("given", [{"long_above": "200000"}, {"long_input": "2"}])
def test_half_a_price_of_long_prompts_is_refused(admin_client, given):
    form = {"host": "h", "input": "1", "output": "2", "lifetime": "1", "least": "1", "step": "1"}

    answer = admin_client.post(
        reverse("admin:proxy_price_add"), {**form, "since": "2026-02-01", **given}
    )

    assert b"For long prompts" in answer.content


def test_one_price_alone_is_refused(admin_client):
    form = {"host": "h", "input": "1", "lifetime": "1", "least": "1", "step": "1"}

    answer = admin_client.post(reverse("admin:proxy_price_add"), {**form, "since": "2026-02-01"})

    assert answer.status_code == 200
    assert b"or neither" in answer.content
