"""What is remembered of conversations: by all processes, and never waited for long."""

from __future__ import annotations

import asyncio
from array import array

import pytest
from django.conf import LazySettings
from django.conf import settings as operators

from proxy.common.redis import CircuitBreaker
from proxy.cost.state import State
from proxy.filtering import conversation_state

needs_redis = pytest.mark.skipif(not operators.REDIS_URL, reason="needs Redis")
STATE = State(array("Q", [1, 2, 3]), turns=4, savings_balance=2.5)


def read(conversation: str, *, hold: bool = True) -> State | None:
    return asyncio.run(conversation_state.read(conversation, "h|m", hold=hold)).state


def write(conversation: str, state: State) -> None:
    asyncio.run(conversation_state.write(conversation, state))


def test_what_is_written_is_read():
    write("c", STATE)

    assert read("c", hold=False) == STATE
    assert read("another") is None


@needs_redis
def test_who_comes_second_waits_for_what_the_first_writes(monkeypatch):
    monkeypatch.setattr(conversation_state, "REDIS_BUDGET", 5.0)

    async def both() -> State | None:
        await conversation_state.read("c", "h|m")
        second = asyncio.create_task(conversation_state.read("c", "h|m"))
        await asyncio.sleep(0.1)
        assert not second.done()
        await conversation_state.write("c", STATE)
        return (await second).state

    assert asyncio.run(both()) == STATE


@needs_redis
def test_nobody_waits_for_one_that_never_writes():
    read("c")

    assert read("c") is None


def test_without_its_redis_a_call_goes_on(settings: LazySettings, monkeypatch):
    settings.REDIS_URL = "redis://127.0.0.1:1"
    monkeypatch.setattr(conversation_state, "_breaker", CircuitBreaker(failures=1))

    assert read("c") is None
    write("c", STATE)

    assert conversation_state._breaker.is_open
