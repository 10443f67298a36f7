"""How often one may ask, on the API, on the proxy and at the door."""

from __future__ import annotations

import asyncio
import secrets
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import Any

import pytest
import redis
from django.conf import settings
from django.test import RequestFactory

from alchemyst.accounts.limits import rate
from alchemyst.accounts.limits.rate import MemoryStore
from alchemyst.accounts.limits.throttles import address_of
from proxy.common.redis import CircuitBreaker
from tests.accounts.conftest import bearer
from tests.conftest import PASSWORD

KEYS = "/api/v1/auth/keys"
VERIFY = "/api/v1/auth/token/verify"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_counts_of_earlier_tests() -> None:
    if settings.REDIS_URL:
        with redis.Redis.from_url(settings.REDIS_URL) as client:
            for key in client.scan_iter("alchemyst:limit:*"):
                client.delete(key)


class TestOnTheApi:
    def test_a_user_is_told_when_to_come_back(self, as_alice, limited):
        limited(api=(2, 60))

        answers = [as_alice.get(KEYS) for _ in range(3)]

        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert 1 <= int(answers[2]["Retry-After"]) <= 120
        assert answers[2].json()["error"] == "rate_limit_error"

    def test_a_user_does_not_count_for_another(self, as_alice, as_bob, limited):
        limited(api=(1, 60))
        as_alice.get(KEYS)

        assert as_bob.get(KEYS).status_code == 200

    def test_a_stranger_counts_by_address(self, anyone, limited):
        limited(anonymous=(1, 60))
        body = {"token": "x"}

        first = anyone.post(VERIFY, body, format="json")
        second = anyone.post(VERIFY, body, format="json")
        elsewhere = anyone.post(VERIFY, body, format="json", REMOTE_ADDR="192.0.2.9")

        assert [first.status_code, second.status_code] == [401, 429]
        assert elsewhere.status_code == 401

    def test_zero_means_no_limit(self, as_alice, limited):
        limited(api=(0, 1))

        assert {as_alice.get(KEYS).status_code for _ in range(20)} == {200}


class TestOnTheProxy:
    def test_a_user_is_told_when_to_come_back(self, on_proxy, token, limited):
        limited(proxy=(2, 60))

        answers = [on_proxy(bearer(token)) for _ in range(3)]

        assert [answer.status for answer in answers] == [200, 200, 429]
        assert 1 <= int(answers[2].headers[b"retry-after"]) <= 120
        assert answers[2].error["type"] == "rate_limit_error"
        assert answers[2].error["code"] == "rate_limit_exceeded"
        assert not answers[2].has_read_body

    def test_all_tokens_of_a_user_count_together(self, on_proxy, token, make_key, limited):
        limited(proxy=(1, 60))
        on_proxy(bearer(token))

        assert on_proxy(bearer(make_key("proxy"))).status == 429


class TestAtTheDoor:
    def test_failures_are_limited_even_for_the_right_password(self, alice, sign_in, limited):
        limited(login=(3, 60))

        answers = [sign_in("alice", f"wrong {number}") for number in range(3)]
        late = sign_in("alice")

        assert [answer.status_code for answer in answers] == [401, 401, 401]
        assert late.status_code == 429
        assert 1 <= int(late["Retry-After"]) <= 120

    def test_success_does_not_count(self, alice, sign_in, limited):
        limited(login=(2, 60))

        assert {sign_in().status_code for _ in range(12)} == {200}

    def test_the_case_of_the_name_makes_no_difference(self, alice, sign_in, limited):
        limited(login=(2, 60))
        for name in ("alice", "ALICE"):
            sign_in(name, "wrong")

        assert sign_in("Alice").status_code == 429

    def test_a_stranger_locks_nobody_out_elsewhere(self, alice, sign_in, limited):
        limited(login=(1, 60))
        sign_in("alice", "wrong", REMOTE_ADDR="192.0.2.66")

        assert sign_in().status_code == 200

    def test_one_address_can_not_try_name_after_name(self, alice, sign_in, limited):
        limited(login=(2, 60))

        answers = [sign_in(f"user{number}", "wrong").status_code for number in range(11)]

        assert answers == [401] * 10 + [429]

    def test_a_body_that_is_no_attempt_does_not_count(self, alice, anyone, sign_in, limited):
        limited(login=(1, 60))
        for _ in range(3):
            anyone.post("/api/v1/auth/token", {"username": "alice"}, format="json")

        assert sign_in().status_code == 200

    def test_the_admins_page_has_the_same_limit(self, client, alice, limited):
        limited(login=(1, 60))
        alice.is_staff = True
        alice.save()
        client.post("/admin/login/", {"username": "alice", "password": "wrong"})

        page = client.post("/admin/login/", {"username": "alice", "password": PASSWORD})

        assert page.status_code == 200
        assert b"Too many attempts" in page.content


class TestTheAddress:
    @pytest.mark.parametrize(
        ("proxies", "forwarded", "expected"),
        [
            (0, "203.0.113.1", "192.0.2.1"),
            (1, "", "192.0.2.1"),
            (1, "203.0.113.1", "203.0.113.1"),
            (1, "6.6.6.6, 203.0.113.1", "203.0.113.1"),
            (2, "6.6.6.6, 203.0.113.1, 10.0.0.1", "203.0.113.1"),
            (2, "203.0.113.1", "203.0.113.1"),
            (1, "::ffff:203.0.113.1", "203.0.113.1"),
            (1, "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            (1, "::1", "::"),
            (1, "n" * 100, "n" * 64),
        ],
    )
    def test_is_what_the_operators_own_proxies_saw(self, monkeypatch, proxies, forwarded, expected):
        monkeypatch.setattr(settings, "TRUSTED_PROXIES", proxies)
        request = RequestFactory().get("/", REMOTE_ADDR="192.0.2.1", HTTP_X_FORWARDED_FOR=forwarded)

        assert address_of(request) == expected


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """The time of day, at the start of a window; a test turns it by hand."""
    now = [1_200_000_000.0]
    monkeypatch.setattr(time, "time", lambda: now[0])
    return now


class TestTheSlidingWindow:
    def test_lets_exactly_so_many_through(self, clock):
        local = MemoryStore()

        waits = [local.check("a", 10, 60) for _ in range(12)]

        assert waits[:10] == [0.0] * 10
        assert all(waits[10:])

    def test_lets_no_second_burst_through_where_a_window_of_the_clock_ends(self, clock):
        local = MemoryStore()
        clock[0] += 59
        assert [local.check("a", 10, 60) for _ in range(10)] == [0.0] * 10
        clock[0] += 2

        assert local.check("a", 10, 60) > 0

    @pytest.mark.parametrize("count", [1, 2, 10, 600])
    @pytest.mark.parametrize("into", [0, 17, 59])
    def test_lets_one_through_after_the_wait_that_it_told(self, clock, count, into):
        local = MemoryStore()
        clock[0] += into
        while not (wait := local.check("a", count, 60)):
            pass

        clock[0] += wait * 0.9
        assert local.check("a", count, 60) > 0
        clock[0] += wait * 0.1 + 0.001
        assert local.check("a", count, 60) == 0.0

    def test_remembers_a_bounded_number_of_subjects(self):
        local = MemoryStore(most=5)

        for number in range(50):
            local.check(str(number), 10, 60)

        assert len(local) == 5

    def test_does_no_more_for_the_thousandth_request_than_for_the_second(self, clock):
        local = MemoryStore()

        steps = [_lines_of(partial(local.check, "a", 1_000_000, 60)) for _ in range(1000)]

        assert steps[-1] <= steps[1]
        assert len(local) == 1


def _lines_of(call: Callable[[], object]) -> int:
    """How many lines of Python a call runs."""
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    tracer = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(tracer)
    return count


class TestWithoutRedisAnswering:
    @pytest.fixture
    def silent_redis(self, monkeypatch) -> Iterator[socket.socket]:
        """A server that takes connections and says nothing."""
        with socket.create_server(("127.0.0.1", 0)) as silent:
            silent.setblocking(False)
            monkeypatch.setattr(
                settings, "REDIS_URL", f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
            )
            monkeypatch.setattr(settings, "REDIS_TIMEOUT", 0.05)
            # However slow the machine is, it is left alone to the end of the test.
            monkeypatch.setattr(rate, "CircuitBreaker", partial(CircuitBreaker, seconds=3600.0))
            yield silent

    @pytest.mark.usefixtures("silent_redis")
    def test_failed_sign_ins_are_limited_all_the_same(self, alice, sign_in, limited):
        limited(login=(2, 60))

        answers = [sign_in("alice", "wrong").status_code for _ in range(4)]

        assert answers == [401, 401, 429, 429]

    def test_the_proxy_soon_stops_asking_it(self, on_proxy, token, limited, silent_redis):
        limited(proxy=(1000, 60))
        for _ in range(CircuitBreaker().failures):
            assert on_proxy(bearer(token)).status == 200

        connections = _connections_to(silent_redis)
        for _ in range(20):
            assert on_proxy(bearer(token)).status == 200

        assert connections >= CircuitBreaker().failures
        assert _connections_to(silent_redis) == 0


def _connections_to(server: socket.socket) -> int:
    """Take the connections that wait at a server, and count them."""
    count = 0
    with suppress(BlockingIOError):
        while True:
            server.accept()[0].close()
            count += 1
    return count


@pytest.mark.skipif(not settings.REDIS_URL, reason="needs REDIS_URL")
class TestWithRedis:
    def test_processes_share_their_counts(self, as_alice, limited):
        limited(api=(2, 60))
        as_alice.get(KEYS)
        # What another process knows is in Redis alone.
        rate.clear()
        as_alice.get(KEYS)
        rate.clear()

        assert as_alice.get(KEYS).status_code == 429

    def test_both_ways_of_asking_count_alike(self, limited):
        limited(api=(4, 60))
        subject = secrets.token_hex(8)

        async def ask() -> list[float]:
            try:
                return [await rate.acheck("api", subject) for _ in range(2)]
            finally:
                await rate.aclose()

        waits = [rate.check("api", subject), rate.check("api", subject), *asyncio.run(ask())]

        assert waits == [0.0] * 4
        assert 0 < rate.check("api", subject) <= 120

    def test_lets_one_through_after_the_wait_that_it_told(self, limited):
        limited(api=(2, 1))
        subject = secrets.token_hex(8)
        while not (wait := rate.check("api", subject)):
            pass

        time.sleep(wait + 0.01)

        assert rate.check("api", subject) == 0.0

    def test_keeps_no_name_and_nothing_for_ever(self, sign_in, limited):
        limited(login=(5, 60))

        sign_in("a-password-in-the-wrong-field", "wrong")

        with redis.Redis.from_url(settings.REDIS_URL, decode_responses=True) as client:
            keys = list(client.scan_iter("alchemyst:limit:*"))
            assert len(keys) == 2
            assert not [key for key in keys if "wrong-field" in key]
            assert all(0 < client.ttl(key) <= 120 for key in keys)
