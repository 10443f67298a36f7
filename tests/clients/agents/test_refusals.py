"""What the proxy itself refuses: a coding agent goes on where it can, or is told at once."""

from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from tests.clients.agents.conftest import Play, Start, of
from tests.clients.agents.programs import Agent, ClaudeCode, Codex, CodexByWebsocket
from tests.clients.agents.script import QUESTIONS, STEPS
from tests.clients.agents.tap import Tap
from tests.fakes import FakeProvider

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@of(CodexByWebsocket)
def test_a_websocket_that_is_not_served_costs_one_request(play: Play, proxied: Start, tap: Tap):
    play()

    outcome = proxied().ask(QUESTIONS[0])

    assert outcome.words == STEPS[4].words
    sent = [it.headers.get("upgrade", "") for it in tap.requests()]
    assert sent == ["websocket", "", "", "", "", ""]


@of(ClaudeCode, Codex)
def test_a_revoked_key_is_told_in_our_words(
    program: type[Agent],
    play: Play,
    proxied: Start,
    tap: Tap,
    provider: FakeProvider,
    as_alice: APIClient,
):
    """Claude Code asks once, as our answer says; Codex asks again whatever it says."""
    play()
    asked = {"name": "old", "scopes": ["proxy"]}
    key = as_alice.post("/api/v1/auth/keys", asked, format="json").json()
    as_alice.delete(f"/api/v1/auth/keys/{key['id']}")

    outcome = proxied(key["key"]).ask(QUESTIONS[0])

    assert outcome.code == 1
    assert "revoked" in outcome.words
    assert len(tap.requests()) == (1 if program is ClaudeCode else 2)
    assert not provider.received
