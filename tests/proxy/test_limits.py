"""The limits that staff set, on the proxy: exact when many call at once, wherever they are counted.

Counted in this process on SQLite, in Redis where it is named, and in the database on PostgreSQL
without Redis.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import ceil
from typing import Any

import aiohttp
import pytest
import redis
import requests
from django.conf import LazySettings
from django.conf import settings as current
from django.contrib.auth.models import Group

from alchemyst.accounts.limits import stores
from alchemyst.accounts.models import ApiKey, Limit, User
from tests.conftest import Server
from tests.fakes import FakeProvider
from tests.proxy.conftest import completion, said

Through = Callable[..., str]
Ask = Callable[..., list[tuple[int, Any, dict[str, str]]]]

ONE = completion(said("How long does bread bake?"))
AT_ONCE = 50


@pytest.fixture(autouse=True)
def _nothing_counted() -> None:
    stores.memory_counters.clear()
    if current.REDIS_URL:
        with redis.Redis.from_url(current.REDIS_URL) as client:
            for key in client.scan_iter("alchemyst:allowance:*"):
                client.delete(key)


@pytest.fixture
def early_in_a_minute() -> None:
    """Have some of the minute ahead."""
    if time.time() % 60 > 52:
        time.sleep(60.2 - time.time() % 60)


@pytest.fixture(params=["as configured", "without Redis"])
def counted(request: pytest.FixtureRequest, settings: LazySettings) -> None:
    if request.param == "without Redis":
        if not settings.REDIS_URL:
            pytest.skip("the same as configured")
        settings.REDIS_URL = ""


@pytest.fixture
def at_once(through: Through, token: str) -> Ask:
    """Sends many requests in the same moment; gives statuses, bodies and headers."""

    def ask(count: int, body: dict[str, Any] = ONE, *, behaviour: str = "", bearer: str = token):
        async def one(session: aiohttp.ClientSession) -> tuple[int, Any, dict[str, str]]:
            url = f"{through(behaviour)}/chat/completions"
            async with session.post(url, json=body) as answer:
                told = await answer.json() if answer.status >= 400 else await answer.read()
                return answer.status, told, dict(answer.headers)

        async def all_of_them() -> list[tuple[int, Any, dict[str, str]]]:
            headers = {"Authorization": f"Bearer {bearer}"}
            connector = aiohttp.TCPConnector(limit=0)
            async with aiohttp.ClientSession(headers=headers, connector=connector) as session:
                return await asyncio.gather(*(one(session) for _ in range(count)))

        return asyncio.run(all_of_them())

    return ask


def statuses(answers: list[tuple[int, Any, dict[str, str]]]) -> dict[int, int]:
    found = [status for status, _, _ in answers]
    return {status: found.count(status) for status in sorted(set(found))}


@pytest.mark.usefixtures("counted")
@pytest.mark.slow
class TestFiftyAtOnce:
    @pytest.mark.parametrize("kind", ["requests_per_minute", "requests_per_day"])
    def test_get_as_many_requests_as_the_limit_says(
        self, at_once: Ask, alice, kind, early_in_a_minute
    ):
        Limit.objects.create(user=alice, **{kind: 20})

        answers = at_once(AT_ONCE)

        assert statuses(answers) == {200: 20, 429: 30}

    def test_get_as_many_places_as_the_limit_says_and_then_again(
        self, at_once: Ask, alice, provider: FakeProvider
    ):
        Limit.objects.create(user=alice, streams=7)

        first = at_once(AT_ONCE, {**ONE, "stream": True}, behaviour="slow")
        second = at_once(7)

        assert statuses(first) == {200: 7, 429: 43}
        assert statuses(second) == {200: 7}

    def test_never_get_more_tokens_than_a_day_has(self, at_once: Ask, alice):
        """Each may take its prompt and 20 tokens; each takes the 25 that the provider tells of."""
        Limit.objects.create(user=alice, tokens_per_day=500)

        answers = at_once(AT_ONCE, {**ONE, "max_tokens": 20})

        assert set(statuses(answers)) == {200, 429}
        assert statuses(answers)[200] * 25 <= 500


@pytest.mark.usefixtures("counted")
class TestTokensOfOneRequest:
    @pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens", "max_output_tokens"])
    def test_are_held_as_many_as_it_bounds_its_answer_to(self, at_once: Ask, alice, name: str):
        Limit.objects.create(user=alice, tokens_per_day=500)

        ((too_long, *_),) = at_once(1, {**ONE, name: 500})
        ((short, *_),) = at_once(1, {**ONE, name: 20})

        assert (too_long, short) == (429, 200)


class Left:
    """Between which whole seconds lies what was left of a period while something was done."""

    least = most = 0


@contextmanager
def _left_of(period: int) -> Iterator[Left]:
    left = Left()
    left.most = ceil(period - time.time() % period) + 1
    yield left
    left.least = int(period - time.time() % period)


@pytest.mark.usefixtures("counted")
class TestWhatARefusalSays:
    def test_of_a_minute_is_the_rate_and_when_it_ends(self, at_once: Ask, alice, early_in_a_minute):
        Limit.objects.create(user=alice, requests_per_minute=1)
        at_once(1)

        with _left_of(60) as left:
            ((status, body, headers),) = at_once(1)

        assert status == 429
        assert body["error"]["code"] == "rate_limit_exceeded"
        assert body["error"]["message"] == "Your limit of 1 requests a minute is reached."
        assert left.least <= int(headers["Retry-After"]) <= left.most
        assert "x-should-retry" not in headers

    @pytest.mark.parametrize("kind", ["requests_per_day", "tokens_per_day"])
    def test_of_a_day_is_the_quota_and_when_the_next_one_begins(
        self, at_once: Ask, alice, kind, the_server: Server
    ):
        Limit.objects.create(user=alice, **{kind: 1 if kind == "requests_per_day" else 30})
        at_once(1)
        # What a call took is counted once its answer has gone.
        the_server.rest()

        with _left_of(86_400) as left:
            ((status, body, headers),) = at_once(1)

        assert status == 429
        assert body["error"]["type"] == body["error"]["code"] == "insufficient_quota"
        assert left.least <= int(headers["Retry-After"]) <= left.most
        assert headers["x-should-retry"] == "false"

    def test_of_what_no_day_has_room_for_names_no_time(self, at_once: Ask, alice):
        Limit.objects.create(user=alice, tokens_per_day=5)

        ((status, body, headers),) = at_once(1)

        assert (status, body["error"]["code"]) == (429, "insufficient_quota")
        assert "Retry-After" not in headers


class TestAgainAfterTheTimeThatWasTold:
    def test_there_is_room(
        self, at_once: Ask, alice, monkeypatch: pytest.MonkeyPatch, early_in_a_minute
    ):
        Limit.objects.create(user=alice, requests_per_minute=1)
        at_once(1)
        ((_, _, headers),) = at_once(1)
        later = time.time() + int(headers["Retry-After"])
        monkeypatch.setattr(time, "time", lambda: later)

        assert statuses(at_once(1)) == {200: 1}


class TestWhom:
    def test_a_group_limits_each_member_by_themselves(self, at_once: Ask, alice, bob):
        group = Group.objects.create(name="trial")
        group.user_set.add(alice, bob)
        Limit.objects.create(group=group, requests_per_day=2)
        _, key = ApiKey.make(bob, name="k", scopes=["proxy"])

        assert statuses(at_once(3)) == {200: 2, 429: 1}
        assert statuses(at_once(3, bearer=key)) == {200: 2, 429: 1}

    def test_or_all_of_them_together(self, at_once: Ask, alice, bob):
        group = Group.objects.create(name="team")
        group.user_set.add(alice, bob)
        Limit.objects.create(group=group, requests_per_day=3, is_shared=True)
        _, key = ApiKey.make(bob, name="k", scopes=["proxy"])

        assert statuses(at_once(2)) == {200: 2}
        assert statuses(at_once(2, bearer=key)) == {200: 1, 429: 1}

    def test_a_key_has_its_own_and_its_owners(self, at_once: Ask, alice):
        key, text = ApiKey.make(alice, name="k", scopes=["proxy"])
        Limit.objects.create(user=alice, requests_per_day=3)
        Limit.objects.create(key=key, requests_per_day=2)

        assert statuses(at_once(3, bearer=text)) == {200: 2, 429: 1}
        assert statuses(at_once(2)) == {200: 1, 429: 1}

    def test_who_has_no_limit_is_not_counted(self, at_once: Ask, alice, bob):
        Limit.objects.create(user=bob, requests_per_day=0)

        assert statuses(at_once(5)) == {200: 5}

    def test_a_changed_limit_holds_from_the_next_request_on(self, at_once: Ask, alice):
        limit = Limit.objects.create(user=alice, requests_per_day=1)
        assert statuses(at_once(2)) == {200: 1, 429: 1}

        limit.requests_per_day = 2
        limit.save()

        assert statuses(at_once(2)) == {200: 1, 429: 1}


class TestTokens:
    def test_are_those_that_the_provider_counted(self, at_once: Ask, alice):
        """Three answers of 25 each: the fourth finds 75 of 80 used."""
        Limit.objects.create(user=alice, tokens_per_day=80)

        assert [statuses(at_once(1)) for _ in range(4)] == [{200: 1}] * 3 + [{429: 1}]

    def test_are_estimated_where_the_provider_does_not_tell(self, at_once: Ask, alice):
        Limit.objects.create(user=alice, tokens_per_day=30)

        answers = [at_once(1, {**ONE, "stream": True}) for _ in range(3)]

        assert statuses(answers[0]) == {200: 1}
        assert statuses(answers[-1]) == {429: 1}

    def test_of_a_request_that_failed_are_given_back(self, at_once: Ask, alice):
        Limit.objects.create(user=alice, tokens_per_day=40)

        assert [statuses(at_once(1, behaviour="fail/500")) for _ in range(3)] == [{500: 1}] * 3
        assert statuses(at_once(1)) == {200: 1}


class TestAClientThatLeaves:
    def test_gives_its_place_back(
        self, leaving, through: Through, alice: User, provider: FakeProvider, at_once: Ask
    ):
        Limit.objects.create(user=alice, streams=1)
        connection = leaving(f"{through('stall')}/chat/completions", ONE)
        provider.wait_for_a_request()
        assert statuses(at_once(1)) == {429: 1}

        connection.close()
        assert provider.received[0].is_closed.wait(5)

        assert statuses(at_once(1)) == {200: 1}


class TestWithRedisAway:
    @pytest.fixture
    def away(self, settings: LazySettings) -> None:
        settings.REDIS_URL = "redis://127.0.0.1:1/0"

    def test_limits_hold_all_the_same(self, away, at_once: Ask, alice):
        Limit.objects.create(user=alice, requests_per_day=3)

        assert statuses(at_once(10)) == {200: 3, 429: 7}


def test_gemini_is_told_in_its_own_shape(
    http: requests.Session, server: str, provider: FakeProvider, alice
):
    Limit.objects.create(user=alice, requests_per_day=0)
    url = f"{server}/api/v1/proxy/{provider.url}/gemini/v1beta/models/gemini-test:generateContent"

    answer = http.post(url, json={"contents": [{"parts": [{"text": "Bread?"}]}]})

    assert answer.status_code == 429
    assert answer.json()["error"]["status"] == "RESOURCE_EXHAUSTED"
