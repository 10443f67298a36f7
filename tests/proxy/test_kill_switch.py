"""One switch lets everything pass unfiltered, in every process within seconds, and back again."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import requests
from django.core.management import call_command

from alchemyst.accounts.models import AuditEntry
from proxy.filtering import kill_switch
from proxy.models import FilterSwitch
from tests.fakes import FakeProvider
from tests.proxy.conftest import completion

Through = Callable[..., str]

pytestmark = pytest.mark.usefixtures("filter_on_again")


def result(http: requests.Session, through: Through) -> str:
    answer = http.post(f"{through()}/chat/completions", json=completion())
    return answer.headers["x-alchemyst-context"]


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    end = time.monotonic() + seconds
    while not (found := holds()) and time.monotonic() < end:
        time.sleep(0.1)
    return found


def test_the_command_lets_every_request_pass_within_five_seconds(
    http: requests.Session, through: Through, provider: FakeProvider
):
    assert "result=filtered" in result(http, through)

    call_command("passthrough", "on", reason="a test")

    assert within(5, lambda: "mode=off; result=off" in result(http, through))
    assert provider.last().json == completion()
    call_command("passthrough", "off")
    assert within(5, lambda: "result=filtered" in result(http, through))


@pytest.mark.django_db
class TestTheCommand:
    def test_leaves_an_entry_in_the_audit_log(self):
        call_command("passthrough", "on", reason="answers miss the point")

        entry = AuditEntry.objects.get()
        assert (entry.actor_name, entry.action) == ("command line", "switched the filter off")
        assert entry.reason == "answers miss the point"

    def test_says_which_it_is_and_changes_nothing(self, capsys):
        call_command("passthrough")

        assert "the filter works" in capsys.readouterr().out
        assert not AuditEntry.objects.exists()


@pytest.mark.django_db
def test_a_worker_sees_the_switch_when_it_asks():
    assert not kill_switch.is_active()
    FilterSwitch.turn(off=True)
    assert not kill_switch.is_active()

    kill_switch._read_at -= kill_switch.FRESH_SECONDS

    assert kill_switch.is_active()
