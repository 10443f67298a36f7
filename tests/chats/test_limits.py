"""The limits that staff set hold for the chats as for the proxy; so does the filter's switch."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import redis
from django.conf import settings

from alchemyst.accounts import counters
from alchemyst.accounts.models import Limit, User
from personas.models import Persona
from proxy import switch
from proxy.models import FilterSwitch, UsageRecord
from tests.chats.answers import Api, asking
from tests.conftest import Server


@pytest.fixture(autouse=True)
def _nothing_counted() -> None:
    counters.in_process.clear()
    if settings.REDIS_URL:
        with redis.Redis.from_url(settings.REDIS_URL) as client:
            for key in client.scan_iter("alchemyst:allowance:*"):
                client.delete(key)


@pytest.mark.parametrize("kept", [True, False])
def test_requests_of_a_day_are_counted(api: Api, maya: Persona, alice: User, kept: bool):
    Limit.objects.create(user=alice, requests_per_day=2)

    def ask():
        return api.generate() if kept else api.post("", asking())

    answers = [ask() for _ in range(3)]

    assert [answer.status_code for answer in answers] == [201 if kept else 200] * 2 + [429]
    assert answers[2].json()["error"] == "insufficient_quota"
    assert int(answers[2].headers["Retry-After"]) <= 86_400


def test_looking_is_not_counted(api: Api, maya: Persona, alice: User):
    Limit.objects.create(user=alice, requests_per_day=1)
    session = api.generate().json()["replaySessionID"]

    assert api.replay(session)


def test_tokens_are_charged_when_they_are_known(
    api: Api, maya: Persona, alice: User, the_server: Server
):
    Limit.objects.create(user=alice, tokens_per_day=25)
    assert api.post("", asking()).status_code == 200

    the_server.write_usage()

    assert api.post("", asking()).status_code == 429


def test_usage_tells_the_persona(api: Api, maya: Persona, the_server: Server):
    api.post("", asking())
    the_server.write_usage()

    assert UsageRecord.objects.get().persona == maya.current.name


@pytest.fixture
def switched_off() -> Iterator[None]:
    FilterSwitch.turn(off=True)
    yield
    switch._is_off, switch._read_at = False, float("-inf")


def test_with_the_switch_off_chats_are_not_filtered(api: Api, maya: Persona, switched_off):
    end = time.monotonic() + 5
    while not switch._is_off and time.monotonic() < end:
        time.sleep(0.1)

    answer = api.post("", asking())

    assert answer.json()["metadata"]["context"]["mode"] == "off"
