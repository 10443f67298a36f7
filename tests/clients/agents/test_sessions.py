"""A session with a coding agent through the proxy: the provider sees what it would see without."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from rest_framework.test import APIClient

from proxy.models import UsageRecord
from tests.clients.agents.conftest import Play, Start, of
from tests.clients.agents.programs import (
    KEY,
    Agent,
    ClaudeCode,
    Codex,
    GeminiCli,
    OpenCode,
    OpenCodeOfOpenai,
    Way,
)
from tests.clients.agents.script import QUESTIONS, STEPS
from tests.clients.agents.tap import Tap
from tests.fakes import FakeProvider

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

# What we put our own in place of, what is meant for the next hop alone, and what is a browser's.
REPLACED = {
    "accept-encoding",
    "authorization",
    "connection",
    "host",
    "sec-fetch-mode",
    "x-api-key",
    "x-goog-api-key",
    "x-upstream-api-key",
}
# Why nothing is left out, once there is a history, and each row in the ledger: its status, its
# outcome, and the tokens of the prompt, from the cache, of the answer.
EXPECTED: dict[type[Agent], tuple[str, tuple[int, str, int, int, int]]] = {
    ClaudeCode: ("reason=context-management", (200, "complete", 221, 160, 9)),
    OpenCode: ("reason=client-marks", (200, "complete", 221, 160, 9)),
    Codex: ("reason=bound-reasoning", (200, "complete", 221, 160, 9)),
    OpenCodeOfOpenai: ("reason=bound-reasoning", (200, "complete", 221, 160, 9)),
    GeminiCli: ("", (200, "complete", 21, 16, 7)),
}


@of(*EXPECTED)
def test_a_session_reaches_the_provider_byte_for_byte(
    program: type[Agent],
    play: Play,
    proxied: Start,
    tap: Tap,
    provider: FakeProvider,
    rows: Callable[[], list[UsageRecord]],
    token: str,
):
    session, agent = play(), proxied()

    answers = [agent.ask(QUESTIONS[0]), agent.ask(QUESTIONS[1], goes_on=True)]

    assert [answer.words for answer in answers] == [step.words for step in STEPS[-2:]]
    turns = [it for it in provider.received if session.place(it) is not None]
    assert [session.place(turn) for turn in turns] == [0, 1, 2, 3, 4, 5]
    bodies = [turn.body for turn in turns]
    sent = [it for it in tap.requests() if it.body in bodies]
    # By several connections they come in another order.
    sent.sort(key=lambda it: bodies.index(it.body))
    assert [it.body for it in sent] == bodies
    assert [_kept(it.headers) for it in sent] == [_kept(turn.headers) for turn in turns]
    assert token not in str(provider.received)
    assert all(_shown_key(turn.headers) == KEY for turn in turns)
    reason, counts = EXPECTED[program]
    contexts = tap.answered("x-alchemyst-context")
    assert ["result=unchanged" in it for it in contexts] == [True] * len(turns)
    assert sum(reason in it for it in contexts) >= len(turns) - 1
    assert [_accounted(row) for row in rows() if row.model] == [counts] * len(turns)


@of(ClaudeCode)
def test_a_token_alone_is_enough_where_the_provider_is_stored(
    program: type[Agent],
    play: Play,
    tap: Tap,
    provider: FakeProvider,
    as_alice: APIClient,
    token: str,
    tmp_path: Path,
):
    play()
    stored = {"name": "claude", "base_url": f"{provider.url}/session", "key": KEY}
    as_alice.post("/api/v1/providers", stored | {"dialect": "anthropic"}, format="json")
    agent = program(tmp_path, Way(f"{tap.url}/api/v1/proxy/claude", token, has_key=False))

    answer = agent.ask(QUESTIONS[0])

    assert answer.words == STEPS[4].words
    assert _shown_key(provider.last().headers) == KEY


def _kept(headers: dict[str, str]) -> dict[str, str]:
    """The headers that are to pass unchanged."""
    lowered = {name.lower(): value for name, value in headers.items()}
    return {name: value for name, value in lowered.items() if name not in REPLACED}


def _shown_key(headers: dict[str, str]) -> str:
    lowered = {name.lower(): value for name, value in headers.items()}
    shown = [lowered.get(name) for name in ("x-api-key", "x-goog-api-key", "authorization")]
    (key,) = [key.removeprefix("Bearer ") for key in shown if key]
    return key


def _accounted(row: UsageRecord) -> tuple[object, ...]:
    counts = (row.prompt_tokens, row.cached_tokens, row.completion_tokens)
    return (row.status, row.outcome, *counts)
