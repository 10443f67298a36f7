"""What a request costs the proxy in each dialect, beside OpenAI's chat completions, in one run.

    python -m tests.bench.dialects --rounds 5
    python -m tests.bench.dialects --rounds 5 --workloads W1 --before ../older-checkout

The same conversation, answered at the same length, with the tools of the harness `proxy_overhead`
from the folder that --shared names: W1 a small request, W2 a hundred messages, W3 a chunk of 64
paced streams. One server serves all dialects, and each round measures one after the other, so that
a ratio is of neighbours in time. A bare pass-through answers chat completions in the same rounds.
With --before another checkout's chat completions are measured in place of the other dialects.
Exits with 1 where a dialect's W1 or W3 takes more than LIMIT times the CPU of chat completions.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import NamedTuple

from tests.bench import proxy
from tests.bench.dialect_shapes import SHAPES, Shape

LIMIT = 1.1
BASE = "chat"
LIMITED = ("messages", "responses", "gemini")
WORKLOADS = {"W1": (2, 1), "W2": (100, 4), "W3": (2, 1)}
"""How many messages, and how many sentences each has."""

CONNECTIONS = 32
REST_SECONDS = 10.0
Figures = dict[tuple[str, str], list[float]]
"""CPU in µs by workload and column, a figure for each round."""


class Column(NamedTuple):
    """What is measured: a dialect at one of the servers."""

    name: str
    shape: Shape
    port: int
    process_id: int
    token: str


def main() -> int:
    options = _options()
    harness = options.shared / "bench" / "proxy_overhead"
    if not (harness / "run.py").is_file():
        print(f"Skipped: the harness is not at {harness}.")
        return 0
    sys.path.insert(0, str(harness))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="alchemyst-bench-")))
        bench = _Bench(harness, folder, options.port, options.seconds)
        stack.enter_context(bench.upstream())
        columns = list(bench.columns(stack, options.before))
        figures = bench.measure(columns, options.workloads.split(","), options.rounds)
    names = [column.name for column in columns]
    print(_table(figures, names))
    return _exit_code(figures)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=proxy.REPOSITORY.parent / "shared")
    parser.add_argument("--before", type=Path, help="another checkout, to compare chats with")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2, help="of each measurement of W1 and W2")
    parser.add_argument("--workloads", default=",".join(WORKLOADS))
    parser.add_argument("--port", type=int, default=9610, help="the first of five that are used")
    return parser.parse_args()


class _Bench:
    """The harness's tools, and where they work."""

    def __init__(self, harness: Path, folder: Path, port: int, seconds: int) -> None:
        import payloads
        import run

        # The one process alone: a child that ends would take its time with it.
        run.tree = lambda process_id: [process_id]
        self._run: ModuleType = run
        self._messages: Callable[[int, int, int], list[dict[str, str]]] = payloads.messages
        self._harness, self._folder, self._seconds = harness, folder, seconds
        self._port = port

    @contextmanager
    def upstream(self) -> Iterator[None]:
        module = ["-m", "tests.bench.dialect_upstream", str(self._harness)]
        command = [sys.executable, *module, "--port", str(self._port)]
        with self._started(command, self._run.LOAD_CPU, self._port, {}, proxy.REPOSITORY):
            yield

    def columns(self, stack: ExitStack, before: Path | None) -> Iterator[Column]:
        """Yield what is to be measured, its servers started; they live as long as `stack`."""
        port, process_id, token = stack.enter_context(self._ours(proxy.REPOSITORY, 1))
        # Beside another checkout each has the same to do, or the fuller database would tell.
        for name in [BASE] if before else SHAPES:
            yield Column(name, SHAPES[name], port, process_id, token)
        if before:
            port, process_id, token = stack.enter_context(self._ours(before.resolve(), 2))
            yield Column("chat, before", SHAPES[BASE], port, process_id, token)
        port, process_id = stack.enter_context(self._bare(3))
        yield Column("chat, bare ASGI", SHAPES[BASE], port, process_id, "none")

    @contextmanager
    def _ours(self, checkout: Path, number: int) -> Iterator[tuple[int, int, str]]:
        folder = self._folder / f"data-{number}"
        folder.mkdir()
        token = proxy.token(folder, checkout=checkout)
        target = tomllib.loads((Path(__file__).parent / "targets.toml").read_text())["target"]
        values = {"REPO": checkout, "DATA": folder, "OURS": Path(sys.executable).parent.parent}
        with self._target(target[0], number, values) as (port, process_id):
            yield port, process_id, token

    @contextmanager
    def _bare(self, number: int) -> Iterator[tuple[int, int]]:
        targets = tomllib.loads((self._harness / "targets.toml").read_text())["target"]
        bare = next(target for target in targets if target["name"] == "asgi-aiohttp")
        values = {"python": sys.executable, "ref": self._harness / "reference"}
        with self._target(bare, number, values) as started:
            yield started

    @contextmanager
    def _target(
        self, target: dict[str, object], number: int, values: Mapping[str, object]
    ) -> Iterator[tuple[int, int]]:
        """Start a target of the harness's kind; its port and its process."""
        port = self._port + number
        places = {name: str(value) for name, value in values.items()}
        places |= {"port": str(port), "up": str(self._port)}
        command, environment = target["cmd"], target.get("env", {})
        assert isinstance(command, list)
        assert isinstance(environment, dict)
        filled = [part.format_map(places) for part in command]
        variables = {name: value.format_map(places) for name, value in environment.items()}
        with self._started(
            filled, self._run.SERVER_CPU, port, variables, self._folder
        ) as process_id:
            yield port, process_id

    @contextmanager
    def _started(
        self, command: list[str], cpu: str, port: int, environment: dict[str, str], folder: Path
    ) -> Iterator[int]:
        log = self._folder / f"{port}.log"
        server = self._run.Server(command, cpu, port, environment, str(folder), log=log)
        try:
            yield server.pid
        finally:
            server.stop()

    def measure(self, columns: list[Column], workloads: list[str], rounds: int) -> Figures:
        """Measure every column's CPU in each round, there and back: load that grows hits both."""
        figures: Figures = {}
        for column in columns:
            self._measure(column, "W1")
        for number in range(rounds):
            print(f"round {number + 1}: load average {os.getloadavg()[0]:.2f}", file=sys.stderr)
            for workload in workloads:
                for column in columns if number % 2 else columns[::-1]:
                    if workload == "W1" or column.shape.streamed_path:
                        cost = self._measure(column, workload)
                        figures.setdefault((workload, column.name), []).append(cost)
        return figures

    def _measure(self, column: Column, workload: str) -> float:
        """Return the CPU of a request or, in streams, of a piece, in µs."""
        shape, is_streamed = column.shape, workload == "W3"
        path = shape.streamed_path if is_streamed else shape.path
        url = f"http://127.0.0.1:{column.port}{path.format(up=self._port)}"
        headers = {"Authorization": f"Bearer {column.token}", **shape.headers}
        count, sentences = WORKLOADS[workload]
        conversation = self._messages(count, sentences, 7)
        body_file = self._folder / "body.json"
        body_file.write_text(json.dumps(shape.body(conversation, is_streamed, "mock")))
        before = self._cpu_at_rest(column.process_id)
        if is_streamed:
            figures = self._streams(url, headers, body_file)
        else:
            figures = self._run.wrk(url, headers, body_file, CONNECTIONS, self._seconds, None)
        if figures["bad"]:
            raise SystemExit(f"{column.name}, {workload}: {figures['bad']} bad answers")
        used = self._cpu_at_rest(column.process_id) - before
        return used / figures["chunks" if is_streamed else "requests"] * 1e6

    def _cpu_at_rest(self, process_id: int) -> float:
        """Return the CPU that a server has used, in seconds, once its usage rows are written."""
        end = time.monotonic() + REST_SECONDS
        used: float = self._run.cpu_s(process_id)
        while time.monotonic() < end:
            time.sleep(0.3)
            last, used = used, self._run.cpu_s(process_id)
            if used - last < 0.02:
                break
        return used

    def _streams(self, url: str, headers: dict[str, str], body_file: Path) -> dict[str, float]:
        module = ["-m", "tests.bench.dialect_streams", str(self._harness)]
        command = ["taskset", "-c", self._run.LOAD_CPU, sys.executable, *module]
        command += [url, str(body_file), json.dumps(headers)]
        output = subprocess.run(command, cwd=proxy.REPOSITORY, check=True, stdout=subprocess.PIPE)
        figures: dict[str, float] = json.loads(output.stdout)
        return figures


def _ratio(figures: Figures, workload: str, name: str) -> float:
    """Return the median of the rounds' ratios to the chat completions of the same round."""
    pairs = zip(figures[workload, name], figures[workload, BASE], strict=True)
    return median(mine / base for mine, base in pairs)


def _table(figures: Figures, names: list[str]) -> str:
    lines = ["| CPU, µs (ratio to chat) | " + " | ".join(names) + " |", "|---" * (len(names) + 1)]
    lines[1] += "|"
    for workload in dict.fromkeys(workload for workload, _ in figures):
        cells = [
            f"{median(figures[workload, name]):.0f} ({_ratio(figures, workload, name):.2f})"
            if (workload, name) in figures
            else "-"
            for name in names
        ]
        lines.append(f"| {workload} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _exit_code(figures: Figures) -> int:
    dearer = [
        f"{name}, {workload}: {ratio:.2f} times chat completions, at most {LIMIT} is allowed"
        for workload, name in figures
        if workload != "W2"
        and name in LIMITED
        and (ratio := _ratio(figures, workload, name)) > LIMIT
    ]
    print("\n".join(dearer))
    return 1 if dearer else 0


if __name__ == "__main__":
    sys.exit(main())
