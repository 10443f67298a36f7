"""Blocking a user ends every token, key, session and stream at once, in other processes too."""

from __future__ import annotations

import time

import pytest
import requests

from alchemyst.accounts import broadcast
from alchemyst.accounts.auth.jwt import issue
from alchemyst.accounts.auth.token_cache import cached_tokens
from alchemyst.accounts.models import AuditEntry, BroadcastEvent, User
from alchemyst.accounts.models.audit import AppendOnly
from tests.fakes import FakeProvider

KEYS = "/api/v1/auth/keys"
ASKED = {"model": "gpt-test", "messages": [{"role": "user", "content": "Hi"}], "stream": True}

pytestmark = pytest.mark.django_db


class TestABlock:
    def test_ends_tokens_keys_and_sessions(self, alice: User, as_alice, bearing, make_key, client):
        key = bearing(make_key())
        client.force_login(alice)
        assert as_alice.get(KEYS).status_code == key.get(KEYS).status_code == 200

        alice.block()

        assert as_alice.get(KEYS).status_code == 401
        assert key.get(KEYS).status_code == 401
        assert "_auth_user_id" in client.session
        assert not _is_signed_in(client)

    def test_that_is_lifted_brings_keys_back_and_nothing_else(
        self, alice: User, token: str, bearing, make_key, client, sign_in
    ):
        key = make_key()
        client.force_login(alice)
        alice.block()

        alice.unblock()

        assert bearing(key).get(KEYS).status_code == 200
        assert bearing(token).get(KEYS).status_code == 401
        assert not _is_signed_in(client)
        assert bearing(sign_in().json()["access"]).get(KEYS).status_code == 200

    def test_is_heard_of_by_a_process_that_remembers_the_token(
        self, alice: User, token: str, bearing, monkeypatch: pytest.MonkeyPatch
    ):
        """What another process wrote is there; this one has not looked yet."""
        monkeypatch.setattr(broadcast, "_dispatched", set())
        assert bearing(token).get(KEYS).status_code == 200
        assert cached_tokens.get(token.encode())

        BroadcastEvent.objects.create(topic=broadcast.ACCESS_ENDED, subject=str(alice.pk))
        broadcast.poll()

        assert cached_tokens.get(token.encode()) is None


class TestSigningOutEverywhere:
    def test_ends_tokens_and_sessions_but_no_key(self, alice: User, as_alice, bearing, make_key):
        key = bearing(make_key())

        alice.sign_out_everywhere()

        assert as_alice.get(KEYS).status_code == 401
        assert key.get(KEYS).status_code == 200

    def test_leaves_what_is_made_later(self, alice: User, bearing):
        alice.sign_out_everywhere()

        assert bearing(issue(alice).access).get(KEYS).status_code == 200


def test_a_users_scopes_bound_those_of_tokens_and_keys(alice: User, as_alice, bearing, make_key):
    key = bearing(make_key("proxy", "chat"))
    alice.scopes = ["chat"]
    alice.save()

    assert as_alice.get("/api/v1/providers").status_code == 403
    assert key.get("/api/v1/providers").status_code == 403


class TestStreams:
    @pytest.fixture
    def reading(self, http: requests.Session, server: str, provider: FakeProvider):
        url = f"{server}/api/v1/proxy/{provider.url}/stall-after-one/v1/sk-1/chat/completions"
        with http.post(url, json=ASKED, stream=True, timeout=10) as answer:
            lines = answer.iter_lines()
            next(lines)
            yield lines

    def test_end_with_an_error_and_their_provider_is_closed(
        self, reading, provider: FakeProvider, alice: User
    ):
        alice.block()

        assert "access_ended" in b"".join(reading).decode()
        assert provider.last().is_closed.wait(5)

    def test_end_when_another_process_blocked_their_user(self, reading, alice: User):
        """The row that the other process wrote is all that this one can know."""
        time.sleep(1.2)
        BroadcastEvent.objects.create(topic=broadcast.ACCESS_ENDED, subject=str(alice.pk))

        assert "access_ended" in b"".join(reading).decode()

    def test_of_others_go_on(self, reading, bob: User, provider: FakeProvider):
        bob.block()

        assert not provider.last().is_closed.wait(0.5)


class TestTheAuditLog:
    def test_can_not_be_changed(self, alice: User):
        entry = AuditEntry.note(alice, "did", alice, about=alice)
        entry.action = "did not"

        with pytest.raises(AppendOnly):
            entry.save()
        with pytest.raises(AppendOnly):
            entry.delete()
        with pytest.raises(AppendOnly):
            AuditEntry.objects.all().delete()
        with pytest.raises(AppendOnly):
            AuditEntry.objects.update(action="did not")

    def test_outlives_who_did_it_and_to_whom(self, alice: User, bob: User):
        AuditEntry.note(alice, "did", bob, about=bob)

        alice.delete()
        bob.delete()

        assert str(AuditEntry.objects.get()) == "alice: did bob"


def _is_signed_in(client) -> bool:
    return client.get("/").wsgi_request.user.is_authenticated
