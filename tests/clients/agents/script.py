"""What the model says in a session with a coding agent, in no API's words, and what goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from aiohttp import web

from tests.fakes import Received

Arguments = dict[str, Any]
QUESTIONS = ("How long does my dough rest?", "And how hot is the oven?")


@dataclass(frozen=True)
class Step:
    """One answer of the model: words, then commands that the agent is to run."""

    words: str
    commands: tuple[str, ...] = ()


# Five requests to the first question, one to the second.
STEPS = (
    Step("Let me look.", ("cat notes.txt",)),
    Step("Two at once.", ("wc -l notes.txt", "echo rye")),
    Step("There may be more.", ("cat missing.txt",)),
    Step("I write it down.", ("echo eleven > hours.txt",)),
    Step("It rests eleven hours."),
    Step("230 degrees."),
)
NOTES = "flour\nwater\nrest: eleven hours\n"


@dataclass(frozen=True)
class Tool:
    """The tool by which an agent runs commands: its name, and how a command is handed to it."""

    name: str
    arguments: Callable[[str], Arguments]


class Dialect(Protocol):
    """How an API's requests are read and its answers written."""

    def step(self, body: Any) -> int | None:
        """The place in the script that a request asks for; None beside the conversation."""

    def events(self, number: int, step: Step, tool: Tool) -> list[bytes]:
        """A streamed answer."""

    async def beside(self, request: web.Request, received: Received) -> web.StreamResponse:
        """Answer what is not the conversation: titles, counts, lists of models."""

    def error(self, status: int, words: str) -> Any:
        """The body of an error."""

    def error_event(self, words: str) -> bytes:
        """The event that ends a stream in which something failed."""


@dataclass
class Session:
    """A behaviour of the tests' provider: it plays the script, and what is to go wrong in it.

    It keeps no state but how often a fault was played: the place in the script is read from the
    request, as a model reads it.
    """

    dialect: Dialect
    tool: Tool
    faults: dict[int, list[Fault]] = field(default_factory=dict)
    """What happens at the first requests for a step, before it is answered well."""

    def place(self, received: Received) -> int | None:
        """The step that a request asks for; None where it is not the conversation."""
        return self.dialect.step(received.json) if received.method == "POST" else None

    async def __call__(self, request: web.Request, received: Received) -> web.StreamResponse:
        number = self.place(received)
        if number is None:
            return await self.dialect.beside(request, received)
        faults = self.faults.get(number, [])
        if faults:
            return await faults.pop(0)(self, request, received)
        return await stream(request, self.events(number))

    def events(self, number: int) -> list[bytes]:
        return self.dialect.events(number, STEPS[min(number, len(STEPS) - 1)], self.tool)


Fault = Callable[[Session, web.Request, Received], Awaitable[web.StreamResponse]]


async def stream(request: web.Request, events: Iterable[bytes]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": "text/event-stream; charset=utf-8"})
    response.headers["request-id"] = "req_provider_1"
    await response.prepare(request)
    for event in events:
        await response.write(event)
    await response.write_eof()
    return response


def refuse(status: int, words: str, headers: Mapping[str, str] | None = None) -> Fault:
    """Answer with an error status."""

    async def fault(
        session: Session, request: web.Request, received: Received
    ) -> web.StreamResponse:
        error = session.dialect.error(status, words)
        return web.json_response(error, status=status, headers=headers)

    return fault


async def cut(session: Session, request: web.Request, received: Received) -> web.StreamResponse:
    """Reset the connection in the middle of a stream."""
    response = web.StreamResponse(headers={"content-type": "text/event-stream; charset=utf-8"})
    await response.prepare(request)
    for event in _beginning(session, received):
        await response.write(event)
    await asyncio.sleep(0.05)
    assert request.transport is not None
    request.transport.abort()
    return response


async def end_early(
    session: Session, request: web.Request, received: Received
) -> web.StreamResponse:
    """End a stream cleanly where its last event is missing."""
    return await stream(request, _beginning(session, received))


async def error_event(
    session: Session, request: web.Request, received: Received
) -> web.StreamResponse:
    """End a stream by an event that says what failed."""
    failure = session.dialect.error_event("The provider fell over.")
    return await stream(request, [*_beginning(session, received), failure])


def _beginning(session: Session, received: Received) -> list[bytes]:
    events = session.events(session.place(received) or 0)
    return events[: max(1, len(events) // 4)]
