"""Run the suite on the embedded defaults, and on PostgreSQL and Redis where they answer.

What goes through the proxy runs behind nginx as well, where nginx is found. Two runs go on side by
side, since a test waits more than it computes; each line of theirs says whose it is. `make test`
calls it. The addresses come from TEST_DATABASE_URL and TEST_REDIS_URL, or are the usual ones of
this machine.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import psycopg
import redis

from tests import nginx

POSTGRES = os.environ.get("TEST_DATABASE_URL", "postgres://postgres@127.0.0.1:5432/postgres")
REDIS = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/9")
THROUGH_THE_PROXY = ("tests/proxy", "tests/clients")
# Where each run leaves its results as JUnit's XML, so that a trend can be seen.
REPORTS = Path(os.environ.get("ALCHEMYST_TEST_REPORTS", "var/test-reports"))
# One order for all runs; given, it comes again.
SEED = os.environ.get("ALCHEMYST_TEST_SEED") or str(random.randrange(2**32))
# What was skipped, and why; and what was tried again, which only a test marked `flaky` is.
OPTIONS = ("-raR", "--durations=25", f"--randomly-seed={SEED}")
SERVICES = ("DATABASE_URL", "REDIS_URL")
DATA_DIR = "ALCHEMYST_DATA_DIR"


class Outcome(NamedTuple):
    """What became of a run: pytest's exit code, its failures a line each, and its last line."""

    run: str
    code: int
    failures: tuple[str, ...]
    sum: str


@dataclass(frozen=True)
class Run:
    """The suite, or a part of it, in some surroundings."""

    name: str
    environment: dict[str, str]
    options: tuple[str, ...]

    def outcome(self) -> Outcome:
        """Run it, and pass on what it says."""
        name = self.name.lower().replace(" ", "-")
        report = f"--junitxml={REPORTS / name}.xml"
        # Side by side they would write one cache.
        options = ("-p", "no:cacheprovider", report, *OPTIONS, *self.options)
        command = [sys.executable, "-m", "pytest", *options]
        failures, line = [], ""
        with subprocess.Popen(
            command,
            env=self.environment | _own_folder(self.environment, name),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                print(f"[{self.name}] {line}", end="", flush=True)
                if line.startswith(("FAILED tests/", "ERROR tests/")):
                    failures.append(line.strip())
        return Outcome(self.name, process.returncode, tuple(failures), line.strip())


def _own_folder(environment: dict[str, str], name: str) -> dict[str, str]:
    """Keep the data of runs apart where a folder is named for all: each has a database in it."""
    shared = environment.get(DATA_DIR)
    if not shared:
        return {}
    folder = Path(shared) / name
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return {DATA_DIR: str(folder)}


def main() -> int:
    bare = {name: value for name, value in os.environ.items() if name not in SERVICES}
    asked = tuple(sys.argv[1:])
    print(f"== In the order of ALCHEMYST_TEST_SEED={SEED}; results in {REPORTS}/", flush=True)
    first, second = [Run("SQLite", bare, asked)], []
    if missing := _missing():
        print(f"== Not on PostgreSQL and Redis: {missing} does not answer", flush=True)
    else:
        services = {"DATABASE_URL": POSTGRES, "REDIS_URL": REDIS}
        second.append(Run("PostgreSQL and Redis", bare | services, asked))
    if nginx.PROGRAM:
        # Once with its slashes as they are, once merged.
        for lane, way in zip((first, second), nginx.WAYS, strict=True):
            behind = bare | {"ALCHEMYST_TESTS_BEHIND": way}
            lane.append(Run(f"behind {way}", behind, ("-q", *THROUGH_THE_PROXY)))
    else:
        print("== Not behind nginx: it is not installed", flush=True)
    with ThreadPoolExecutor(2) as lanes:
        outcomes = lanes.map(lambda lane: [run.outcome() for run in lane], (first, second))
        return _report([outcome for lane in outcomes for outcome in lane])


def _report(outcomes: Iterable[Outcome]) -> int:
    """Say last, where it is looked for first, what became of each run; return the worst code."""
    outcomes = sorted(outcomes, key=lambda outcome: outcome.code)
    for outcome in outcomes:
        print(f"== {outcome.run}: {outcome.sum or f'ended with code {outcome.code}'}", flush=True)
        for failure in outcome.failures:
            print(f"   {failure[:300]}", flush=True)
    return max(outcome.code for outcome in outcomes)


def _missing() -> str:
    try:
        psycopg.connect(POSTGRES, connect_timeout=2).close()
    except psycopg.Error:
        return "PostgreSQL"
    try:
        with redis.Redis.from_url(REDIS, socket_connect_timeout=2) as client:
            client.ping()
    except redis.RedisError:
        return "Redis"
    return ""


if __name__ == "__main__":
    sys.exit(main())
