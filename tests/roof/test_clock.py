"""The clock is set an hour back and forth under a server: what must not hang on it does not."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

from tests.chats.answers import Api, asking
from tests.chats.processes import Installation, Process, database
from tests.fakes import FakeProvider

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

HUNDRED = "".join(f"{number} " for number in range(100))
HOUR = timedelta(hours=1)
LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
_SIGN_IN = """
from alchemyst.accounts.auth.jwt import issue
from alchemyst.accounts.models import User
pair = issue(User.objects.get(username="alice"))
print(pair.access, pair.refresh)
"""
_LIMIT = """
from alchemyst.accounts.models import Limit, User
Limit.objects.create(user=User.objects.get(username="alice"), requests_per_day=3)
"""
_USAGE = """
import json
from django.db.models import Sum
from proxy.models import UsageRecord, UsageRollup
sums = UsageRollup.objects.values("period").annotate(sum=Sum("requests"))
print(json.dumps([UsageRecord.objects.count(), {each["period"]: each["sum"] for each in sums}]))
"""


class Clock:
    """The wall clock of processes that were started with `environment`; monotonic ones go on."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.set(timedelta())
        self.environment = {
            "LD_PRELOAD": str(LIBRARIES[-1]),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, offset: timedelta) -> None:
        aside = self.file.with_suffix(".new")
        aside.write_text(f"{offset.total_seconds():+.0f}")
        aside.replace(self.file)

    def set_to_midnight(self, after: timedelta) -> timedelta:
        """Set it to so long after a midnight (UTC), and return its offset."""
        now = datetime.now(UTC)
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        offset = midnight + after - now
        self.set(offset)
        return offset


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    if not LIBRARIES:
        pytest.skip("libfaketime is not installed here (apt-get install faketime)")
    return Clock(tmp_path / "clock")


@pytest.fixture
def installation(tmp_path: Path, provider: FakeProvider) -> Iterator[Installation]:
    with database() as environment:
        yield Installation(tmp_path, provider, **environment)


@pytest.fixture
def servers(installation: Installation, clock: Clock) -> Iterator[list[Process]]:
    with installation.servers(2, **clock.environment) as servers:
        yield servers


def apis(installation: Installation, servers: list[Process]) -> list[Api]:
    return [Api(installation.http(), server.url) for server in servers]


class TestAClockThatIsSet:
    @pytest.mark.parametrize("step", [HOUR, -HOUR], ids=["forth", "back"])
    def test_breaks_off_no_answer(
        self, installation: Installation, servers: list[Process], clock: Clock, step: timedelta
    ):
        here, there = apis(installation, servers)

        with here.stream(asking(persona="hundred")) as response:
            session = response.headers["x-alchemyst-replay-session-id"]
            lines = response.iter_lines(chunk_size=1, decode_unicode=True)
            assert any('"response_delta"' in line for line in lines)
            clock.set(step)
            followed = there.replay(session)

        assert followed[-3].data["content"] == HUNDRED

    def test_back_lets_an_answer_end_whose_process_is_gone(
        self, installation: Installation, servers: list[Process], clock: Clock
    ):
        here, there = apis(installation, servers)
        with here.stream(asking(persona="hundred")) as response:
            session = response.headers["x-alchemyst-replay-session-id"]
            lines = response.iter_lines(chunk_size=1, decode_unicode=True)
            assert any('"response_delta"' in line for line in lines)
            servers[0].signal(9)
            clock.set(-HOUR)

        assert [event.type for event in there.replay(session)[-3:]] == ["metadata", "error", "done"]

    @pytest.mark.parametrize("step", [HOUR, -HOUR], ids=["forth", "back"])
    def test_signs_nobody_out_before_their_time(
        self, installation: Installation, servers: list[Process], clock: Clock, step: timedelta
    ):
        access, refresh = installation.shell(_SIGN_IN).split()[-2:]
        url = f"{servers[0].url}/api/v1"
        clock.set(step)

        with_access = requests.get(
            f"{url}/chat/history", headers={"Authorization": f"Bearer {access}"}
        )
        renewed = requests.post(f"{url}/auth/token/refresh", json={"refresh": refresh})

        # An access token lives for minutes, and an hour later it is over.
        assert with_access.status_code == (401 if step > timedelta() else 200)
        assert renewed.status_code == 200, renewed.text

    def test_back_over_midnight_gives_no_days_limit_a_second_time(
        self, installation: Installation, servers: list[Process], clock: Clock
    ):
        installation.shell(_LIMIT)
        offset = clock.set_to_midnight(timedelta(minutes=30))
        (api, *_) = apis(installation, servers)
        _wait_for_the_limit(api)

        clock.set(offset - HOUR)
        _call(api)
        clock.set(offset)

        assert _call(api).status_code == 429

    def test_leaves_usage_and_its_sums_alike(
        self, installation: Installation, servers: list[Process], clock: Clock
    ):
        (api, *_) = apis(installation, servers)
        for step in (timedelta(), -HOUR, HOUR, timedelta(), -2 * HOUR):
            clock.set(step)
            assert [_call(api).status_code for _ in range(3)] == [200] * 3

        for server in servers:
            server.signal(15)
            server.process.wait(60)

        rows, sums = json.loads(installation.shell(_USAGE).splitlines()[-1])
        assert rows == 15
        assert sums == {"hour": 15, "day": 15}


def _call(api: Api) -> requests.Response:
    url = api.url.replace("/chat", "/proxy/well/chat/completions")
    body = {"model": "gpt-test", "messages": [{"role": "user", "content": "Tea?"}]}
    return api.http.post(url, json=body, timeout=30)


def _wait_for_the_limit(api: Api) -> None:
    """Use the day up: limits are read anew within a moment."""
    end = time.monotonic() + 60
    while _call(api).status_code != 429:
        assert time.monotonic() < end
