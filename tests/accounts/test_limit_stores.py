"""What every store of counters does alike: in this process, in the database, and in Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest
import redis
from django.conf import settings

from alchemyst.accounts.limits import rate
from alchemyst.accounts.limits.stores import (
    HOLD_SECONDS,
    Acquire,
    Counters,
    DatabaseCounters,
    MemoryCounters,
    RedisCounters,
    Refusal,
    Release,
)

pytestmark = pytest.mark.django_db(transaction=True)

MINUTE, DAY = 60, 86_400


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time of day, at the start of a minute; a test turns it by hand."""
    now = [time.time() // MINUTE * MINUTE]
    monkeypatch.setattr(time, "time", lambda: now[0])
    return now


@pytest.fixture(params=["memory", "database", "redis"])
def store(request: pytest.FixtureRequest) -> Iterator[Counters]:
    if request.param == "memory":
        yield MemoryCounters()
    elif request.param == "database":
        yield DatabaseCounters()
    elif not settings.REDIS_URL:
        pytest.skip("needs REDIS_URL")
    else:
        empty_redis()
        yield RedisCounters(rate.RedisStore(settings.REDIS_URL))
        empty_redis()


def empty_redis() -> None:
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        for key in client.scan_iter("alchemyst:allowance:*"):
            client.delete(key)


def count(key: str = "k", *, most: int = 2, add: int = 1, seconds: int = MINUTE) -> Acquire:
    return Acquire(key, seconds, most, add=add)


def hold(key: str = "k", *, most: int = 2, amount: int = 1) -> Acquire:
    return Acquire(key, DAY, most, hold=amount)


class TestACount:
    def test_is_taken_up_to_the_limit(self, store: Counters, clock: list[float]):
        results = [store.acquire(f"h{number}", [count()]) for number in range(3)]

        assert results == [None, None, Refusal(0, is_held=False)]

    def test_begins_anew_in_the_next_window(self, store: Counters, clock: list[float]):
        store.acquire("h", [count(most=1)])

        clock[0] += MINUTE

        assert store.acquire("h", [count(most=1)]) is None
        assert store.acquire("h", [count(most=1)]) == Refusal(0, is_held=False)

    def test_goes_on_after_the_clock_was_behind_for_a_moment(
        self, store: Counters, clock: list[float]
    ):
        store.acquire("h", [count(most=2)])
        clock[0] -= 1
        store.acquire("h", [count(most=2)])

        clock[0] += 1

        assert store.acquire("h", [count(most=1)]) == Refusal(0, is_held=False)

    def test_begins_anew_after_a_clock_that_was_far_ahead(
        self, store: Counters, clock: list[float]
    ):
        store.acquire("h", [count(most=1)])

        clock[0] -= 365 * DAY

        assert store.acquire("h", [count(most=1)]) is None

    def test_grows_by_what_was_used_in_the_end(self, store: Counters, clock: list[float]):
        store.acquire("h", [hold(most=100, amount=80)])

        store.release("h", [Release("k", DAY, add=30)])

        assert store.acquire("i", [hold(most=100, amount=70)]) is None
        assert store.acquire("j", [hold(most=100, amount=1)]) == Refusal(0, is_held=True)
        assert store.acquire("j", [hold(most=100, amount=71)]) == Refusal(0, is_held=False)

    def test_is_of_one_key_alone(self, store: Counters, clock: list[float]):
        store.acquire("h", [count("k", most=1)])

        assert store.acquire("h", [count("other", most=1)]) is None


class TestAHold:
    def test_keeps_others_out_until_it_is_released(self, store: Counters, clock: list[float]):
        store.acquire("h", [hold(most=1)])
        refused = store.acquire("i", [hold(most=1)])

        store.release("h", [Release("k", DAY)])

        assert refused == Refusal(0, is_held=True)
        assert store.acquire("i", [hold(most=1)]) is None

    def test_is_not_released_by_another_holder(self, store: Counters, clock: list[float]):
        store.acquire("h", [hold(most=1)])

        store.release("i", [Release("k", DAY)])

        assert store.acquire("i", [hold(most=1)]) == Refusal(0, is_held=True)

    def test_may_be_released_twice(self, store: Counters, clock: list[float]):
        store.acquire("h", [hold(most=1)])

        for _ in range(2):
            store.release("h", [Release("k", DAY)])

        assert store.acquire("h", [hold(most=1)]) is None
        assert store.acquire("i", [hold(most=1)]) == Refusal(0, is_held=True)

    def test_lives_as_long_as_it_is_renewed(self, store: Counters, clock: list[float]):
        store.acquire("h", [hold(most=1)])

        for _ in range(3):
            clock[0] += HOLD_SECONDS * 0.6
            store.renew(["h"])

        assert store.acquire("i", [hold(most=1)]) == Refusal(0, is_held=True)


class TestSeveralAcquires:
    def test_take_all_or_nothing(self, store: Counters, clock: list[float]):
        store.acquire("h", [count("full", most=1)])

        refused = store.acquire("i", [count("free", most=1), count("full", most=1)])

        assert refused == Refusal(1, is_held=False)
        assert store.acquire("j", [count("free", most=1)]) is None

    def test_hold_nothing_where_one_is_refused(self, store: Counters, clock: list[float]):
        store.acquire("h", [count("full", most=1)])

        store.acquire("i", [hold("free", most=1), count("full", most=1)])

        assert store.acquire("j", [hold("free", most=1)]) is None


class TestAReset:
    def test_counts_anew(self, store: Counters, clock: list[float]):
        store.acquire("h", [count(most=1)])

        store.reset([Release("k", MINUTE)])

        assert store.acquire("h", [count(most=1)]) is None

    def test_leaves_what_is_held(self, store: Counters, clock: list[float]):
        store.acquire("h", [hold(most=1)])

        store.reset([Release("k", DAY)])

        assert store.acquire("i", [hold(most=1)]) == Refusal(0, is_held=True)


def test_both_ways_of_calling_count_alike(store: Counters, clock: list[float]):
    async def call() -> list[Refusal | None]:
        try:
            refused = [await store.aacquire("i", [hold()]), await store.aacquire("j", [hold()])]
            await store.arenew(["h", "i"])
            await store.arelease("h", [Release("k", DAY)])
            return [*refused, await store.aacquire("j", [hold()])]
        finally:
            if isinstance(store, RedisCounters):
                await store.store.aclose()

    store.acquire("h", [hold()])

    assert asyncio.run(call()) == [None, Refusal(0, is_held=True), None]


class TestAHoldThatNobodyRenews:
    @pytest.mark.parametrize("store", ["database", "redis"], indirect=True)
    def test_ends_where_processes_share_it(self, store: Counters, clock: list[float]):
        store.acquire("h", [hold(most=1)])

        clock[0] += HOLD_SECONDS + 1

        assert store.acquire("i", [hold(most=1)]) is None


def test_a_process_keeps_a_bounded_number_of_counters_and_all_that_are_held():
    store = MemoryCounters(most=5)
    store.acquire("h", [hold("held", most=1)])

    for number in range(50):
        store.acquire("h", [count(str(number), most=1)])

    assert store.acquire("i", [hold("held", most=1)]) == Refusal(0, is_held=True)
    assert store.acquire("h", [count("0", most=1)]) is None
    assert store.acquire("h", [count("49", most=1)]) == Refusal(0, is_held=False)
