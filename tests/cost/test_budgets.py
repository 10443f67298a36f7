"""Budgets in money: reserved before a provider is asked, settled after."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import requests
from django.contrib.auth.models import Group
from django.urls import reverse

from alchemyst.accounts.auth.jwt import issue
from alchemyst.accounts.models import ApiKey
from proxy.cost.rates import Rates
from proxy.limits import budgets
from proxy.models import Budget, BudgetHold, Price
from proxy.models.budget import NANOS
from proxy.wire import token_count
from tests.cost.billing import ANSWERED
from tests.cost.conftest import KEY

pytestmark = pytest.mark.django_db(transaction=True)

QUESTION = "Which stars are seen in winter?"
LONG = "Which stars are seen? " * 200
PROMPT = token_count.PER_REQUEST + token_count.PER_MESSAGE + token_count.count(QUESTION)
EACH = PROMPT * 5_000 + ANSWERED * 25_000
"""What a question costs, in billionths of a dollar; its reservation is the same."""


@pytest.fixture(autouse=True)
def plain_price(billing, server) -> Price:
    return Price.objects.create(host=billing.host, input=5, output=25, since="2026-01-01")


@pytest.fixture
def put(server, billing, token):
    """Asks the question; the answer is bounded by what it will take."""

    def send(bearer: str = token, **more) -> requests.Response:
        url = f"{server}/api/v1/proxy/{billing.url}/v1/chat/completions"
        body = {"model": "gpt-test", "messages": [{"role": "user", "content": QUESTION}]}
        headers = {"Authorization": f"Bearer {bearer}", "X-Upstream-Api-Key": KEY}
        body |= {"max_tokens": ANSWERED} | more
        return requests.post(url, json=body, headers=headers, timeout=30)

    return send


def budget(nanos: int, **whose) -> Budget:
    return Budget.objects.create(limit=Decimal(nanos) / NANOS, **whose)


def spent(made: Budget) -> int:
    """Return what was spent, once all that is under way is settled."""
    end = time.monotonic() + 5
    while BudgetHold.objects.exists() and time.monotonic() < end:
        time.sleep(0.01)
    made.refresh_from_db()
    return made.spent


def rounded(nanos: int) -> int:
    """A limit has ten-thousandths of a dollar."""
    return nanos // 100_000 * 100_000


class TestSpending:
    def test_what_a_request_did_cost_is_counted_and_the_rest_given_back(self, put, alice):
        made = budget(NANOS, user=alice)

        assert put(max_tokens=1000).status_code == 200

        assert spent(made) == EACH
        assert not BudgetHold.objects.exists()

    def test_a_request_that_does_not_fit_is_refused_before_the_provider_is_asked(
        self, put, billing, alice
    ):
        budget(rounded(EACH // 2), user=alice)

        answer = put()

        assert answer.status_code == 429
        assert answer.json()["error"]["code"] == "insufficient_quota"
        assert answer.headers["x-should-retry"] == "false"
        assert int(answer.headers["retry-after"]) <= 31 * 24 * 3600
        assert not billing.received

    def test_what_the_provider_refused_costs_nothing(self, put, billing, alice):
        made = budget(NANOS, user=alice)
        billing.stop()

        assert put().status_code == 502

        assert spent(made) == 0
        assert not BudgetHold.objects.exists()
        billing.start = lambda: None
        billing.stop = lambda: None

    def test_a_model_without_a_price_is_free(self, put, plain_price, alice):
        plain_price.delete()
        made = budget(0, user=alice)

        assert put().status_code == 200
        assert spent(made) == 0


class TestCacheWrites:
    """Input at 5 dollars for a million tokens, 6 written for minutes, 10 for an hour."""

    @pytest.fixture(autouse=True)
    def marks(self, plain_price):
        """Only what clients mark is cached, as at Claude's own provider."""
        plain_price.write, plain_price.hour_write, plain_price.lifetime = 6, 10, 0
        plain_price.save()

    @pytest.mark.parametrize(
        ("mark", "a_token"),
        [(None, 5_000), ({}, 6_000), ({"ttl": "5m"}, 6_000), ({"ttl": "1h"}, 10_000)],
        ids=repr,
    )
    def test_are_held_at_what_the_marks_may_cost(self, put, alice, mark, a_token):
        prompt = token_count.PER_REQUEST + token_count.PER_MESSAGE + token_count.count(LONG)
        held = prompt * a_token + ANSWERED * 25_000
        message = {"role": "user", "content": LONG}
        if mark is not None:
            message["cache_control"] = {"type": "ephemeral"} | mark

        made = budget(rounded(held), user=alice)
        refused = put(messages=[message])
        Budget.objects.filter(pk=made.pk).update(limit=Decimal(rounded(held) + 100_000) / NANOS)
        passed = put(messages=[message])

        assert (refused.status_code, passed.status_code) == (429, 200)

    def test_for_an_hour_are_paid_as_such(self, put, billing, alice):
        billing.rates, billing.keeps_an_hour = Rates(write=2.0, min_prefix=1), True
        made = budget(NANOS, user=alice)

        put()

        assert spent(made) == PROMPT * 10_000 + ANSWERED * 25_000


class TestChanges:
    def test_a_new_budget_counts_at_once(self, put, alice):
        assert put().status_code == 200

        budget(rounded(EACH // 2), user=alice)

        assert put().status_code == 429

    def test_a_deleted_budget_counts_no_longer(self, put, alice):
        budget(rounded(EACH // 2), user=alice)
        assert put().status_code == 429

        Budget.objects.all().delete()

        assert put().status_code == 200


class TestWhose:
    def test_a_groups_members_share_its_budget(self, put, alice, bob):
        group = Group.objects.create(name="class")
        group.user_set.add(alice, bob)
        made = budget(NANOS, group=group)
        put()
        put(issue(bob).access)

        assert spent(made) == 2 * EACH

    def test_a_keys_budget_is_its_own(self, put, alice):
        key, text = ApiKey.make(alice, name="k", scopes=["proxy"])
        made = budget(NANOS, key_id=str(key.pk))

        put()
        put(text)

        assert spent(made) == EACH


class TestPeriods:
    def test_a_new_month_begins_with_nothing_spent(self, put, alice):
        made = budget(rounded(EACH) + 100_000, user=alice)
        Budget.objects.update(spent=made.limit_nanos, starts=datetime(2026, 1, 1, tzinfo=UTC))
        budgets.forget()

        assert put().status_code == 200
        assert spent(made) == EACH

    def test_who_is_not_heard_of_gives_back_what_it_held(self, put, alice):
        made = budget(rounded(EACH) + 100_000, user=alice)
        long_ago = datetime.now(UTC) - timedelta(hours=2)
        BudgetHold.objects.create(budget=made, holder="r", amount=NANOS, until=long_ago)

        assert put().status_code == 200


class TestManyAtOnce:
    def test_fifty_callers_spend_what_there_is_and_no_more(self, put, billing, alice):
        fits = 20
        made = budget(rounded(fits * EACH + EACH // 2), user=alice)

        with ThreadPoolExecutor(50) as pool:
            statuses = list(pool.map(lambda _: put().status_code, range(50)))

        assert statuses.count(200) == fits
        assert statuses.count(429) == 50 - fits
        assert spent(made) == fits * EACH <= made.limit_nanos
        assert len(billing.calls) == fits
        assert not BudgetHold.objects.exists()


class TestAdmin:
    def test_staff_set_a_budget_for_one(self, admin_client, alice):
        form = {"user": alice.pk, "period": "month", "limit": "25", "key_id": "", "note": "trial"}

        answer = admin_client.post(reverse("admin:proxy_budget_add"), form)

        assert answer.status_code == 302
        assert Budget.objects.get().limit == 25

    def test_not_for_two(self, admin_client, alice):
        group = Group.objects.create(name="class")
        form = {"user": alice.pk, "group": group.pk, "period": "month", "limit": "25"}

        answer = admin_client.post(reverse("admin:proxy_budget_add"), form)

        assert b"Choose one" in answer.content
