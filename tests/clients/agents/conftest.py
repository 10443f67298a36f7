"""What the tests with coding agents share: a provider that plays a session, and ways to it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.core.cache import cache

from proxy.filtering import cache_estimates
from tests import nginx
from tests.clients.agents.anthropic import Anthropic
from tests.clients.agents.gemini import Gemini
from tests.clients.agents.programs import (
    Agent,
    ClaudeCode,
    Codex,
    CodexByWebsocket,
    GeminiCli,
    OpenCode,
    OpenCodeOfOpenai,
    Way,
)
from tests.clients.agents.responses import Responses
from tests.clients.agents.script import Dialect, Fault, Session
from tests.clients.agents.tap import Tap
from tests.fakes import FakeProvider

DIALECTS: dict[type[Agent], type[Dialect]] = {
    ClaudeCode: Anthropic,
    OpenCode: Anthropic,
    Codex: Responses,
    CodexByWebsocket: Responses,
    OpenCodeOfOpenai: Responses,
    GeminiCli: Gemini,
}
Play = Callable[..., Session]
Start = Callable[..., Agent]


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    """The provider's cache, which these sessions show, is known to no other test."""
    yield
    cache_estimates.forget()
    cache.clear()


@pytest.fixture
def program(request: pytest.FixtureRequest) -> type[Agent]:
    """The agent that a test is given."""
    program: type[Agent] = request.param
    if nginx.BEHIND or "DATABASE_URL" in os.environ:
        pytest.skip("agents are run once, on SQLite, straight at the application")
    if program.program() is None:
        pytest.skip(f"{program.name} is not installed; `make agents` does it")
    return program


def of(*programs: type[Agent]) -> pytest.MarkDecorator:
    """Run a test with each of some agents."""
    names = [program.__name__ for program in programs]
    return pytest.mark.parametrize("program", programs, indirect=True, ids=names)


@pytest.fixture
def play(program: type[Agent], provider: FakeProvider) -> Play:
    """Has the provider play a session, with what goes wrong at a step."""

    def play(faults: Mapping[int, list[Fault]] | None = None, at: str = "session") -> Session:
        own = {number: list(each) for number, each in (faults or {}).items()}
        session = Session(DIALECTS[program](), program.tool, own)
        provider.behaviours[at] = session
        return session

    return play


@pytest.fixture
def straight(program: type[Agent], provider: FakeProvider, tmp_path: Path) -> Start:
    """Starts an agent that speaks with the provider itself."""
    return lambda: program(tmp_path / "straight", Way(f"{provider.url}/straight"))


@pytest.fixture
def tap(server: str) -> Iterator[Tap]:
    """Sees what a client sends to the application, and what it gets."""
    tap = Tap(urlsplit(server).port or 80)
    tap.start()
    yield tap
    tap.stop()


@pytest.fixture
def proxied(
    program: type[Agent], provider: FakeProvider, tap: Tap, token: str, tmp_path: Path
) -> Start:
    """Starts an agent that speaks through the proxy, by Alice's token or a key."""
    base = f"{tap.url}/api/v1/proxy/{provider.url}/session"
    return lambda key=token: program(tmp_path / "proxied", Way(base, key))
