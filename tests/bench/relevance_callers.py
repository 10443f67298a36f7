"""Where to filter when many call at once: on the event loop, on threads, or in processes.

    python tests/bench/relevance_callers.py [--callers 32] [--seconds 3] [--messages 20,100,600]

Each caller has a conversation of its own and sends it again with one exchange more, as a chat does,
in OpenAI's format: read, filtered, written. A heartbeat tells how late the event loop is meanwhile
for everything else, such as the streams of other callers. CPU is that of this process alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from statistics import median, quantiles

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from proxy.filtering import result  # noqa: E402
from proxy.filtering.result import FilterOptions  # noqa: E402
from proxy.wire import openai  # noqa: E402
from proxy.wire.dialect import Route  # noqa: E402

ROUTE = Route("https://x", "/chat/completions", "chat/completions", is_filtered=True)
BEAT = 0.005
WORDS = [f"{a}{b}" for a in ("bar", "cel", "dor", "fen", "gul", "mir") for b in range(400)]

Way = Callable[[bytes], Awaitable[int]]


def filtered(body: bytes) -> int:
    """Do what the proxy does with a body before it goes on; return the size of the result."""
    request = openai.read(body, ROUTE, most_messages=5000)
    return len(result.filtered(request, openai, FilterOptions("very_strict", seconds=60)).body)


def conversation(caller: int, messages: int) -> list[dict[str, str]]:
    """Return a conversation of several topics, with words of its own."""
    chance = random.Random(f"{caller} {messages}")
    said = []
    for place in range(messages):
        if place % 12 == 0:
            topic = chance.sample(WORDS, 40)
        words = [*chance.choices(topic, k=25), f"c{caller}m{place}"]
        said.append({"role": ("user", "assistant")[place % 2], "content": " ".join(words)})
    return said


def bodies(caller: int, messages: int, calls: int) -> list[bytes]:
    said = conversation(caller, messages + 2 * calls)
    turns = (said[: messages + 2 * turn + 1] for turn in range(calls))
    return [json.dumps({"model": "m", "messages": turn}).encode() for turn in turns]


async def call(way: Way, turns: list[bytes], until: float, took: list[float]) -> None:
    for body in islice(turns, 1, None):
        began = time.perf_counter()
        if began > until:
            return
        await way(body)
        took.append(time.perf_counter() - began)
        await asyncio.sleep(0)


async def beat(late: list[float]) -> None:
    while True:
        began = time.perf_counter()
        await asyncio.sleep(BEAT)
        late.append(time.perf_counter() - began - BEAT)


async def measured(way: Way, callers: list[list[bytes]], seconds: float) -> str:
    late: list[float] = []
    took: list[float] = []
    # The first turn, of a history never seen, is not counted: a conversation has one.
    await asyncio.gather(*(way(turns[0]) for turns in callers))
    heart = asyncio.create_task(beat(late))
    began, used = time.perf_counter(), time.process_time()
    await asyncio.gather(*(call(way, turns, began + seconds, took) for turns in callers))
    whole, used = time.perf_counter() - began, time.process_time() - used
    heart.cancel()
    await asyncio.gather(heart, return_exceptions=True)
    if len(took) < 2 or len(late) < 2:
        return "no call was finished in time"
    return (
        f"{len(took) / whole:6.0f} calls/s   CPU here {1000 * used / len(took):5.1f} ms a call   "
        f"p50 {1000 * median(took):6.0f} ms   "
        f"loop late p50 {1000 * median(late):6.1f}, p99 {1000 * quantiles(late, n=100)[98]:6.1f} ms"
    )


async def inline(body: bytes) -> int:
    return filtered(body)


def on(pool: Executor) -> Way:
    async def way(body: bytes) -> int:
        return await asyncio.get_running_loop().run_in_executor(pool, filtered, body)

    return way


def main() -> None:
    """Print a line for each way and length of conversation."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--callers", type=int, default=32)
    options.add_argument("--seconds", type=float, default=3)
    options.add_argument("--messages", default="20,100,600")
    asked = options.parse_args()
    spawn = get_context("spawn")
    with (
        ThreadPoolExecutor(1) as one,
        ThreadPoolExecutor(2) as two,
        ThreadPoolExecutor(8) as eight,
        ProcessPoolExecutor(2, mp_context=spawn) as processes,
    ):
        ways = {
            "event loop": inline,
            "1 thread": on(one),
            "2 threads": on(two),
            "8 threads": on(eight),
            "2 processes": on(processes),
        }
        for messages in map(int, asked.messages.split(",")):
            calls = max(8, round(400 * asked.seconds / messages))
            turns = [bodies(caller, messages, calls) for caller in range(asked.callers)]
            print(f"{messages} messages, {len(turns[0][0]) / 1000:.0f} kB")
            for number, (name, way) in enumerate(ways.items()):
                # Other words for each way, so that no way finds what another remembered.
                fresh = [[body.replace(b" c", b" %dc" % number) for body in t] for t in turns]
                print(f"  {name:12}", asyncio.run(measured(way, fresh, asked.seconds)), flush=True)


if __name__ == "__main__":
    main()
