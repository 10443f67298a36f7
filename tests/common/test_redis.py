"""Redis asked in time, and not at all while it fails."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
import redis
from django.conf import LazySettings

from proxy.common.redis import CircuitBreaker, async_client, client


@pytest.fixture
def silent(settings: LazySettings) -> Iterator[str]:
    """A server that takes connections and says nothing."""
    settings.REDIS_TIMEOUT = 0.05
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"


class TestAClient:
    def test_gives_a_silent_server_up(self, silent: str):
        with client(silent) as asked, pytest.raises(redis.RedisError):
            asked.ping()

    async def test_does_so_on_an_event_loop(self, silent: str):
        async with async_client(silent) as asked:
            with pytest.raises(redis.RedisError):
                await asked.ping()


class TestABreaker:
    def test_opens_with_the_last_of_so_many_failures(self):
        breaker = CircuitBreaker(failures=3)

        assert [breaker.fail(), breaker.fail()] == [False, False]
        assert not breaker.is_open
        assert breaker.fail()
        assert breaker.is_open

    def test_counts_failures_in_a_row_alone(self):
        breaker = CircuitBreaker(failures=2)
        breaker.fail()
        breaker.succeed()

        assert not breaker.fail()
        assert not breaker.is_open

    def test_opens_again_with_one_failure_after_its_time(self):
        breaker = CircuitBreaker(failures=3, seconds=0)
        for _ in range(3):
            breaker.fail()
        assert not breaker.is_open

        assert breaker.fail()

    def test_closes_for_good_with_an_answer(self):
        breaker = CircuitBreaker(failures=3, seconds=0)
        for _ in range(3):
            breaker.fail()

        breaker.succeed()

        assert [breaker.fail(), breaker.fail()] == [False, False]
