"""What the cost gate takes of a core: beside the filter, and of a streamed chunk.

    python -m tests.bench.gate --rounds 5

First in this process: the last turns of long conversations, by relevance alone and through the
gate, with what is remembered read and written (in Redis, where REDIS_URL is set). Then this
application as it runs, with a provider on loopback: streamed answers with the gate and without.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp
import django

from tests.bench.chat import Server, Upstream, read

SIZES = (100, 600)
TURNS = 20
MODES = ("balanced", "guaranteed")
HOST, MODEL = "api.openai.com", "gpt-5.4"
_PRICE = """
from proxy.models import Price
Price.objects.create(host="{host}", input=5, cached="0.5", write="6.25", output=25)
"""


def conversation(count: int, seed: int) -> list[dict[str, str]]:
    """Return so many messages about one thing after another, and a question."""
    chance = random.Random(seed)
    words = [f"{chance.choice('bdfgklmnprst')}{n:x}{chance.choice('aeiou')}" for n in range(4000)]
    said: list[dict[str, str]] = []
    while len(said) <= count:
        about = chance.sample(words, 40)
        for _ in range(chance.randint(2, 12)):
            for role, length in (("user", 8), ("assistant", 50)):
                text = chance.choices(about, k=length) + chance.choices(words, k=length)
                said.append({"role": role, "content": f"{' '.join(text)}."})
    return said[: count + 1]


class Turns:
    """The last turns of a conversation, each by relevance alone and through the gate."""

    def __init__(self, size: int, seed: int, preset: str) -> None:
        from proxy.cost.prices import Table, shipped
        from proxy.filtering.cost_gate import CostGateConfig

        self.said = conversation(size, seed)
        self.gate = CostGateConfig(preset, HOST, seed, "key", Table(shipped()))
        self.spent: dict[str, list[float]] = {"filter": [], "widths": [], "gate": []}

    async def measure(self) -> None:
        """Note the milliseconds of CPU that each turn takes."""
        last = len(self.said) - 1
        for number in range(last - 2 * TURNS, last + 1, 2):
            await self._turn(self.said[: number + 1])

    async def _turn(self, said: list[dict[str, str]]) -> None:
        from proxy.cost import policy
        from proxy.filtering import pipeline, result
        from proxy.filtering.result import FilterOptions
        from proxy.relevance import modes
        from proxy.relevance.thresholds import at_widths
        from proxy.wire import openai
        from proxy.wire.dialect import Route

        body = json.dumps({"model": MODEL, "messages": said}).encode()
        route = Route("", "/chat/completions", "chat/completions", "POST", True)
        request = openai.read(body, route, most_messages=2000)
        wish, share = FilterOptions("very_strict", seconds=60), modes.THRESHOLDS["very_strict"]
        asked = policy.widths(self.gate.table.of(HOST, MODEL).rates, share)  # type: ignore[union-attr]
        # What is new in a turn is read once, whoever asks first.
        result.filtered(request, openai, wish)
        began = time.process_time()
        result.filtered(request, openai, wish)
        filtered = time.process_time()
        at_widths(request.messages, (share, asked.need, asked.keep))
        seen = time.process_time()
        pending = pipeline.start_filtering(request, openai, wish, self.gate)
        assert isinstance(pending, pipeline.PendingDecision)
        made = await pending.resolve()
        ended = time.process_time()
        assert made.cost_decision
        for name, spent in zip(
            self.spent, (filtered - began, seen - filtered, ended - seen), strict=True
        ):
            self.spent[name].append(1000 * spent)


def in_process(rounds: int) -> None:
    """Print what a turn takes, by size and preset."""
    print("ms of CPU a turn: filter alone, filter and gate, of that the gate")
    for size in SIZES:
        for preset in MODES:
            found: dict[str, list[float]] = {"filter": [], "widths": [], "gate": []}
            for seed in range(rounds):
                turns = Turns(size, seed, preset)
                asyncio.run(turns.measure())
                for name, spent in turns.spent.items():
                    found[name].append(median(spent))
            alone, widths, both = (median(found[name]) for name in found)
            print(
                f"{size} messages, {preset:<10} {alone:6.2f} {both:6.2f} {both - widths:6.2f}"
                f"   ratio {both / alone:.2f}"
            )


async def streamed(rounds: int, streams: int, chunks: int) -> None:
    """Print what a streamed chunk takes with the gate and without, in the same rounds."""
    with tempfile.TemporaryDirectory(prefix="alchemyst-bench-") as folder:
        upstream = Upstream(0.002)
        server = Server(Path(folder), upstream)
        try:
            server.manage("shell", "-c", _PRICE.format(host=f"127.0.0.1:{upstream.port}"))
            await _until_up(server)
            found: dict[str, list[float]] = {"balanced": [], "off": []}
            for preset in found:
                await _measured(server, preset, streams, 10)
            for number in range(rounds):
                for preset in sorted(found, reverse=bool(number % 2)):
                    few = await _measured(server, preset, streams, 1)
                    all = await _measured(server, preset, streams, chunks)
                    found[preset].append((all - few) / streams / (chunks - 1) * 1e6)
        finally:
            server.process.terminate()
            server.process.wait(40)
    on, off = (median(found[preset]) for preset in found)
    ratio = median(a / b for a, b in zip(found["balanced"], found["off"], strict=True))
    print(
        f"µs of CPU a streamed chunk: {on:.1f} with the gate, {off:.1f} without; ratio {ratio:.2f}"
    )


async def _until_up(server: Server) -> None:
    async with aiohttp.ClientSession() as client:
        for _ in range(300):
            try:
                async with client.get(f"http://127.0.0.1:{server.port}/healthz"):
                    return
            except aiohttp.ClientError:
                await asyncio.sleep(0.1)


async def _measured(server: Server, preset: str, streams: int, chunks: int) -> float:
    """Return the seconds of CPU that so many streams of so many chunks take."""
    url = f"http://127.0.0.1:{server.port}/api/v1/proxy/bench/chat/completions"
    said = conversation(100, 1)
    said[-1] = {"role": "user", "content": f"{said[-1]['content']} Count to {chunks}"}
    body: dict[str, Any] = {"model": "m", "messages": said, "stream": True}
    headers = {"Authorization": f"Bearer {server.key}", "X-Alchemyst-Cost": preset}
    async with aiohttp.ClientSession(headers=headers) as client:
        began = server.cpu()
        await asyncio.gather(*(read(client, url, body) for _ in range(streams)))
        await asyncio.sleep(1)
        return server.cpu() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--streams", type=int, default=16)
    parser.add_argument("--chunks", type=int, default=2000)
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "alchemyst.settings")
    with tempfile.TemporaryDirectory(prefix="alchemyst-bench-") as folder:
        os.environ.setdefault("ALCHEMYST_DATA_DIR", folder)
        django.setup()
        in_process(options.rounds)
    asyncio.run(streamed(options.rounds, options.streams, options.chunks))
    return 0


if __name__ == "__main__":
    sys.exit(main())
