"""What goes wrong at a provider: a coding agent takes it as it does without the proxy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from tests.clients.agents.conftest import Play, Start, of
from tests.clients.agents.programs import ClaudeCode, Codex, GeminiCli
from tests.clients.agents.script import (
    QUESTIONS,
    STEPS,
    Fault,
    Session,
    cut,
    end_early,
    error_event,
    refuse,
)
from tests.fakes import FakeProvider

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ALWAYS = 9
BUSY = refuse(529, "Busy.", {"retry-after": "1"})
BAD = refuse(400, "tools: names must be unique")
# Claude Code knows these words, sends less, and says it in its own.
TOO_LONG = refuse(400, "prompt is too long: 9 tokens > 8 maximum")
NO_KEY = refuse(401, "No such key.")


@dataclass(frozen=True)
class Played:
    """What an agent came to: its exit code, its words, the steps that it asked for."""

    code: int
    words: str
    steps: list[int | None]


Both = Callable[[Mapping[int, list[Fault]]], tuple[Played, Played]]


@pytest.fixture
def both(play: Play, straight: Start, proxied: Start, provider: FakeProvider) -> Both:
    """Asks the first question straight and through the proxy, side by side."""

    def ask(faults: Mapping[int, list[Fault]]) -> tuple[Played, Played]:
        with ThreadPoolExecutor(2) as pool:
            first, second = (
                pool.submit(_played, play(faults, at=name), start, name)
                for name, start in (("straight", straight), ("session", proxied))
            )
            return first.result(), second.result()

    def _played(session: Session, start: Start, name: str) -> Played:
        outcome = start().ask(QUESTIONS[0])
        received = [it for it in provider.received if it.path.startswith(f"/{name}/")]
        return Played(outcome.code, outcome.words, [session.place(it) for it in received])

    return ask


@of(ClaudeCode, Codex)
def test_what_passes_is_asked_for_again(both: Both):
    straight, proxied = both({1: [error_event], 2: [BUSY]})

    assert straight == proxied == Played(0, STEPS[4].words, [0, 1, 1, 2, 2, 3, 4])


@of(ClaudeCode, Codex)
@pytest.mark.parametrize("fault", [BUSY, NO_KEY, TOO_LONG], ids=["busy", "no-key", "too-long"])
def test_an_error_is_told_in_the_providers_words(both: Both, fault: Fault):
    straight, proxied = both({1: [fault] * ALWAYS})

    assert straight == proxied
    assert straight.code == 1


@of(ClaudeCode, Codex)
@pytest.mark.parametrize("fault", [cut, end_early])
def test_a_stream_that_breaks_is_no_answer(both: Both, fault: Fault):
    """How a client asks again depends on how it learns of it, a cut or an event of ours."""
    straight, proxied = both({1: [fault] * ALWAYS})

    assert (straight.code, set(straight.steps)) == (proxied.code, set(proxied.steps))
    assert len(proxied.steps) > 2


@of(GeminiCli)
def test_a_refusal_is_told_in_its_words(play: Play, proxied: Start):
    play({0: [BAD] * ALWAYS})

    outcome = proxied().ask(QUESTIONS[0])

    assert outcome.code != 0
    assert "names must be unique" in outcome.words
