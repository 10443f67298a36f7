"""A person's page of their own usage."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.test import Client

from alchemyst.accounts.models import ApiKey, User
from proxy.models import UsageRollup

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def used(user: User, *, days_ago: int = 0, **fields: Any) -> None:
    usual = {"model": "gpt-5", "target": "api.openai.com", "requests": 1}
    tokens = {"tokens_before": 1000, "tokens_after": 400}
    day = TODAY - timedelta(days=days_ago)
    UsageRollup.objects.create(period="day", starts=day, caller=user, **(usual | tokens | fields))


def test_adds_up_ones_own_and_nobody_elses(alices: Client, alice: User, bob: User):
    used(alice, requests=3)
    used(alice, days_ago=2)
    used(bob, requests=50, tokens_before=10**9)

    page = alices.get("/usage")

    assert page.context["total"]["requests"] == 4
    assert page.context["share"] == 60
    assert "1,200" in page.content.decode()


def test_shows_what_was_cached_and_what_was_thought(alices: Client, alice: User):
    caches = {"cached_tokens": 1234, "written_tokens": 5678, "written_for_long_tokens": 4321}
    used(alice, **caches, completion_tokens=99, reasoning_tokens=77)
    used(alice, model="other")

    page = alices.get("/usage")

    for text in ("1,234", "5,678", "4,321", "tokens of reasoning"):
        assert text in page.content.decode()
    by_model = {row["name"]: row["reasoning_tokens"] for row in page.context["tables"][0][2]}
    assert by_model == {"gpt-5": 77, "other": None}


def test_looks_back_as_far_as_asked(alices: Client, alice: User):
    used(alice)
    used(alice, days_ago=29)
    used(alice, days_ago=30)

    requests = {
        days: alices.get("/usage", {"days": days}).context["total"]["requests"]
        for days in ("7", "30", "90", "-1", "x")
    }

    assert requests == {"7": 1, "30": 2, "90": 3, "-1": 2, "x": 2}


def test_draws_a_bar_for_each_day_to_scale(alices: Client, alice: User):
    used(alice, tokens_before=1000, tokens_after=250)
    used(alice, days_ago=1, tokens_before=500, tokens_after=500)

    chart = alices.get("/usage", {"days": "7"}).context["chart"]

    *before, yesterday, today = chart.bars
    assert chart.highest == 1000
    assert (today.sent_y, today.sent_height) == (75, 25)
    assert (today.left_out_y, today.left_out_height) == (0, 75)
    assert (yesterday.sent_height, yesterday.left_out_height) == (50, 0)
    assert {(bar.sent, bar.left_out) for bar in before} == {(0, 0)}


def test_names_keys_as_their_owner_does(alices: Client, alice: User):
    key, _ = ApiKey.make(alice, name="laptop", scopes=["proxy"])
    used(alice, key_id=str(key.pk), requests=3)
    used(alice, key_id="b1946ac9-0000-0000-0000-000000000000", requests=2)
    used(alice)

    rows = alices.get("/usage").context["tables"][-1][2]

    assert [row["name"] for row in rows] == ["laptop", "A revoked key", "Without a key"]


def test_is_had_as_a_sheet_in_which_nothing_is_a_formula(alices: Client, alice: User):
    used(alice, model="=HYPERLINK(1)")

    answer = alices.get("/usage.csv")

    lines = answer.content.decode().splitlines()
    assert answer.headers["content-type"].startswith("text/csv")
    assert lines[0].startswith("time,model,host,key,requests")
    assert ",=HYPERLINK" not in lines[1]


def test_shows_a_hostile_model_as_text(alices: Client, alice: User):
    used(alice, model="<script>alert(1)</script>")

    assert "<script>alert" not in alices.get("/usage").content.decode()


def test_says_what_the_page_is_for_while_it_is_empty(alices: Client):
    assert "Nothing in this time" in alices.get("/usage").content.decode()


def test_is_for_who_is_signed_in(client: Client, db: None):
    assert client.get("/usage").status_code == 302
    assert client.get("/usage.csv").status_code == 302
