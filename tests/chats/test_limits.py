"""The limits that staff set hold for the chats as for the proxy; so does the filter's switch."""

from __future__ import annotations

import time

import pytest
import redis
from django.conf import settings

from alchemyst.accounts.limits import stores
from alchemyst.accounts.models import Limit, User
from personas.models import Persona
from proxy.filtering import kill_switch
from proxy.models import FilterSwitch, UsageRecord
from tests.chats.answers import Api, asking, events, persona
from tests.conftest import Server
from tests.fakes import FakeProvider


@pytest.fixture(autouse=True)
def _nothing_counted() -> None:
    stores.memory_counters.clear()
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
def switched_off(filter_on_again: None) -> None:
    FilterSwitch.turn(off=True)


def test_with_the_switch_off_chats_are_not_filtered(api: Api, maya: Persona, switched_off):
    end = time.monotonic() + 5
    while not kill_switch._is_active and time.monotonic() < end:
        time.sleep(0.1)

    answer = api.post("", asking())

    assert answer.json()["metadata"]["context"]["mode"] == "off"


@pytest.fixture
def places(alice: User) -> None:
    Limit.objects.create(user=alice, streams=1)


@pytest.mark.usefixtures("places")
class TestAnAnswerUnderWay:
    @pytest.mark.parametrize("kept", [True, False])
    def test_takes_a_place_of_requests_at_once(
        self, api: Api, alice: User, the_provider: FakeProvider, kept: bool
    ):
        persona(alice, the_provider, "slow")

        with api.stream() as under_way:
            next(events(under_way))
            second = api.generate() if kept else api.post("", asking())

            assert second.status_code == 429
            assert second.json()["error"] == "rate_limit_error"
            api.stop(under_way.headers["x-alchemyst-replay-session-id"])

    def test_takes_one_of_the_proxy_too(
        self, api: Api, alice: User, the_provider: FakeProvider, server: str
    ):
        persona(alice, the_provider, "slow")

        with api.stream() as under_way:
            next(events(under_way))
            body = {"model": "gpt-test", "messages": [{"role": "user", "content": "Hi"}]}
            url = f"{server}/api/v1/proxy/{the_provider.url}/v1/sk-1234567890/chat/completions"
            refused = api.http.post(url, json=body)

            assert refused.status_code == 429
            api.stop(under_way.headers["x-alchemyst-replay-session-id"])

    @pytest.mark.parametrize("kept", [True, False])
    def test_gives_it_back_when_it_ends(self, api: Api, maya: Persona, kept: bool):
        asked = [api.generate() if kept else api.post("", asking()) for _ in range(3)]

        assert [answer.status_code for answer in asked] == [201 if kept else 200] * 3

    def test_gives_it_back_when_it_is_stopped_or_fails(
        self, api: Api, alice: User, the_provider: FakeProvider
    ):
        persona(alice, the_provider, "slow")
        with api.stream() as under_way:
            next(events(under_way))
            api.stop(under_way.headers["x-alchemyst-replay-session-id"])
            list(events(under_way))
        persona(alice, the_provider, "error_inside")
        api.streamed()

        persona(alice, the_provider)

        assert api.generate().status_code == 201
