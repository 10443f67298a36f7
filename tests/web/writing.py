"""A model whose words, and when they come, a test decides."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from aiohttp import web

from tests.fakes import USAGE, FakeProvider, Received, chunk


class Writing:
    """Answers each question with the same pieces; what is held back waits until it is let go."""

    def __init__(self) -> None:
        self.says("Sourdough rises slowly.")

    def says(self, *pieces: str, held: int = 0) -> None:
        """From now on answer with `pieces`, the last `held` of them only when let go."""
        self.pieces = list(pieces)
        self.free = len(pieces) - held

    def let_go(self, pieces: int = 1_000_000) -> None:
        self.free += pieces

    async def answer(self, request: web.Request, received: Received) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for place, piece in enumerate(self.pieces):
            while place >= self.free:  # noqa: ASYNC110  (let go from another thread)
                await asyncio.sleep(0.01)
            await response.write(chunk({"content": piece}))
        await response.write(chunk({}, "stop") + chunk({}, choices=[], usage=USAGE))
        await response.write(b"data: [DONE]\n\n")
        return response


def words(text: str) -> list[str]:
    """A text in pieces, as a model gives it: word by word."""
    cuts = [0, *(place for place, letter in enumerate(text) if letter == " "), len(text)]
    return [text[begin:end] for begin, end in pairwise(cuts)]


def behave_as(writing: Writing, provider: FakeProvider) -> Writing:
    """Let the tests' provider write so under /writing."""
    provider.behaviours["writing"] = writing.answer
    return writing
