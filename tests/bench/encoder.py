"""What the filter's encoder takes: milliseconds a text, memory of one process and of several.

    python tests/bench/encoder.py [--processes N]

Then how late an event loop's callbacks come, while a thread learns and while none does.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import subprocess
import sys
import time
from pathlib import Path
from statistics import median, quantiles

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from proxy.meaning import weights  # noqa: E402

# Loaded anyway, so that its numpy is not counted.
from proxy.relevance.text import embeddings  # noqa: E402, F401

FOLDER = ROOT / "var" / "encoder"
WORDS = [
    *("the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "while", "engineers"),
    *("discuss", "deployment", "caches", "near", "london", "under", "rain", "connections"),
]
LENGTHS = (10, 60, 200)
TICK = 0.005


def memory(which: str) -> float:
    """Return this process's `Rss`, or `Pss` in which shared pages are shared out, in MB."""
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith(f"{which}:"):
            return int(line.split()[1]) / 1024
    raise LookupError(which)


def text(words: int) -> str:
    return " ".join(random.choices(WORDS, k=words))


def one() -> None:
    """Print what the encoder takes in this process, then wait for a line and print its share."""
    before = memory("Rss"), memory("Pss")
    from proxy.meaning.minilm import MiniLM

    began = time.perf_counter()
    minilm = MiniLM(weights.make(FOLDER))
    loaded = time.perf_counter() - began
    each = {words: [] for words in LENGTHS}
    for words in LENGTHS * 20:
        began = time.thread_time()
        minilm.vector(text(words))
        each[words].append((time.thread_time() - began) * 1000)
    told = " / ".join(f"{median(each[words]):.1f}" for words in LENGTHS)
    print(f"loaded in {loaded:.2f} s; {told} ms of CPU for {LENGTHS} words; ", end="")
    print(f"{memory('Rss') - before[0]:.0f} MB", flush=True)
    sys.stdin.readline()
    print(memory("Pss") - before[1], flush=True)


def several(count: int) -> None:
    """Print what each of several processes takes, shared pages shared out."""
    command = [sys.executable, __file__, "--one"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    children = [subprocess.Popen(command, **pipes) for _ in range(count)]
    for child in children:
        print(child.stdout.readline().strip())
    shares = []
    for child in children:
        child.stdin.write("\n")
        child.stdin.flush()
        shares.append(float(child.stdout.readline()))
        # The others' shares are measured while it still lives.
    for child in children:
        child.communicate()
    print(f"{count} processes: {sum(shares):.0f} MB in all")


async def lateness(seconds: float, *, learning: bool) -> None:
    """Print how late callbacks come, while texts of 200 words are encoded on a thread or not."""
    from proxy.common.runtime import threads
    from proxy.meaning.minilm import MiniLM

    minilm, loop = MiniLM(weights.make(FOLDER)), asyncio.get_running_loop()
    ends, late = time.monotonic() + seconds, []

    async def learn() -> None:
        while time.monotonic() < ends:
            await loop.run_in_executor(threads.LEARNER, minilm.vector, text(200))

    task = asyncio.create_task(learn()) if learning else None
    while time.monotonic() < ends:
        began = time.perf_counter()
        await asyncio.sleep(TICK)
        late.append((time.perf_counter() - began - TICK) * 1000)
    if task:
        await task
    state = "while a thread learns" if learning else "while none does"
    print(f"event loop late, {state}: p50 {median(late):.2f}, p99 {quantiles(late, n=100)[-1]:.2f}")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--processes", type=int, default=4)
    options.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.one:
        one()
        return
    several(1)
    several(asked.processes)
    for learning in (False, True, False, True):
        asyncio.run(lateness(5, learning=learning))


if __name__ == "__main__":
    main()
