"""Run a soak; see the package."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path

from tests import faults, gemini
from tests.bench.soak import services
from tests.bench.soak.ledger import Ledger
from tests.bench.soak.logs import unexplained
from tests.bench.soak.processes import PATIENCE, Web, Worker
from tests.bench.soak.traffic import Promises, Traffic
from tests.chats import behaviours
from tests.chats.processes import Installation
from tests.fakes import BEHAVIOURS, FakeProvider

WARM = 15
CALM = 6
"""Seconds of traffic before the first measure, and between two faults."""
MAY_GROW = {"megabytes": 40.0, "files": 10, "threads": 6, "tasks": 3, "calls": 0}
"""By how much a process may hold more at the end than when it was warm: threads of bounded sets and
connections of bounded pools begin when they are first needed."""
_END_LEASES = """
from django.utils import timezone
from chats.models import ImportJob
ImportJob.objects.unfinished().update(lease_until=timezone.now())
"""
_SESSION = """
from django.test import Client
from alchemyst.accounts.models import User
client = Client()
client.force_login(User.objects.get(username="alice"))
print(client.cookies["sessionid"].value)
"""

Fault = tuple[str, Callable[[], None]]


class Soak:
    """An installation with its services, two web processes and a worker, under traffic."""

    def __init__(self, folder: Path, stack: ExitStack, on_postgresql: bool) -> None:
        self.folder, self.deaths = folder, list[float]()
        self.database: services.PostgreSQL | None = None
        self.redis: services.Redis | None = None
        provider = FakeProvider(
            behaviours=BEHAVIOURS | faults.FAULTS | gemini.BEHAVIOURS | behaviours.ALL
        )
        provider.start()
        stack.callback(provider.stop)
        environment = {
            "ALCHEMYST_LOG_FORMAT": "json",
            "ALCHEMYST_RATE_PROXY": "0",
            "ALCHEMYST_PROXY_MAX_CONCURRENT": "0",
        }
        if on_postgresql:
            self.database = self._postgresql(stack)
        if self.database:
            environment["DATABASE_URL"] = self.database.url
        if services.REDIS:
            self.redis = services.Redis(folder)
            stack.callback(self.redis.end)
            environment["REDIS_URL"] = self.redis.url
        else:
            print("Without Redis and a worker: redis-server is not installed here.")
        self.installation = Installation(folder, provider, **environment)
        self.installation.manage("collectstatic", "--noinput", "--verbosity", "0")
        environment = self.installation.environment
        self.webs = [Web.serve(environment, folder / f"web-{place}.log") for place in range(2)]
        for web in self.webs:
            stack.callback(web.end)
            web.wait()
        self.worker = Worker.work(environment, folder / "worker.log") if self.redis else None
        if self.worker:
            stack.callback(self.worker.end)
        session = self.installation.shell(_SESSION).split()[-1]
        self.promises = Promises()
        urls = [web.url for web in self.webs]
        self.traffic = Traffic(self.installation, urls, session, self.promises)

    @staticmethod
    def _postgresql(stack: ExitStack) -> services.PostgreSQL | None:
        programs = services.programs_of_postgresql()
        if not programs:
            print("On SQLite: PostgreSQL's initdb and pg_ctl are not installed here.")
            return None
        database = services.PostgreSQL(programs)
        stack.callback(database.end)
        return database

    @property
    def witness(self) -> Web:
        """The web process that is never killed."""
        return self.webs[0]

    def faults(self) -> Iterator[Fault]:
        """Yield all faults that can be made here, again and again."""
        known: list[Fault] = [
            ("a web process is killed", self._kill_web),
            ("a web process is told to end", self._end_web),
        ]
        if self.worker:
            known.append(("the worker is killed", self._kill_worker))
        if self.redis:
            known.append(("Redis is killed", self._restart_redis))
        if self.database:
            known.append(("PostgreSQL is restarted", lambda: self._restart_database("fast")))
            known.append(("PostgreSQL crashes", lambda: self._restart_database("immediate")))
        yield from cycle(known)

    def _kill_web(self) -> None:
        self.webs[1].stop(signal.SIGKILL)
        self.deaths.append(time.monotonic())
        self.webs[1].start()

    def _end_web(self) -> None:
        self.webs[1].stop(signal.SIGTERM)
        self.webs[1].start()

    def _kill_worker(self) -> None:
        assert self.worker
        self.worker.stop(signal.SIGKILL)
        self.worker.start()

    def _restart_redis(self) -> None:
        assert self.redis
        self.redis.stop()
        time.sleep(3)
        self.redis.start()

    def _restart_database(self, mode: str) -> None:
        assert self.database
        self.database.stop(mode)
        time.sleep(3)
        self.database.start()

    def run(self, seconds: float) -> list[str]:
        """Soak for so long, and return what was wrong."""
        with self.traffic.flowing():
            time.sleep(WARM)
        before = self._at_rest({})
        end = time.monotonic() + seconds
        with self.traffic.flowing():
            for name, fault in self.faults():
                if time.monotonic() > end:
                    break
                began = time.monotonic()
                fault()
                for web in self.webs:
                    web.wait()
                print(f"{name}: all well after {time.monotonic() - began:.1f} s", flush=True)
                time.sleep(CALM)
        after = self._at_rest(before)
        ledger = self._settled()
        print(f"The process that lived through it held {before}, and holds {after}.")
        promises = self.promises
        print(
            f"Acknowledged: {len(promises.questions)} questions, {len(promises.answers)} answers, "
            f"{len(promises.calls)} calls, {len(promises.imported)} imported chats; "
            f"{promises.pages} pages shown."
        )
        grown = [
            f"{name} grew from {before[name]} to {after[name]}"
            for name, most in MAY_GROW.items()
            if after[name] > before[name] + most
        ]
        wrong = [f"answered {what}, {times} times" for what, times in promises.wrong.items()]
        logs = unexplained(sorted(self.folder.glob("*.log")))
        logged = [f"logged {times} times: {line}" for line, times in logs.most_common(40)]
        return [*ledger.faults(promises, self.deaths), *grown, *wrong, *logged]

    def _at_rest(self, before: dict[str, float]) -> dict[str, float]:
        """Wait until no call is under way and as little is held as before; return what is held."""
        end = time.monotonic() + PATIENCE
        while True:
            holdings = self.witness.holdings()
            is_at_rest = holdings["calls"] == 0 and all(
                holdings[name] <= value + MAY_GROW[name] for name, value in before.items()
            )
            if is_at_rest or time.monotonic() > end:
                return holdings
            time.sleep(1)

    def _settled(self) -> Ledger:
        """Wait until what was left behind is taken up and ended; return what is stored.

        An import of a worker that was killed would be taken up after five minutes.
        """
        self.installation.shell(_END_LEASES)
        end = time.monotonic() + PATIENCE
        ledger = Ledger(self.installation)
        while not ledger.is_settled and time.monotonic() < end:
            time.sleep(2)
            ledger = Ledger(self.installation)
        return ledger


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.soak")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--database", choices=("postgresql", "sqlite"), default="postgresql")
    options = parser.parse_args()
    if not sys.platform.startswith("linux"):
        print("Skipped: what a process holds is read in /proc, which only Linux has.")
        return 0
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="alchemyst-soak-"))
        soak = Soak(folder, stack, options.database == "postgresql")
        wrong = soak.run(options.minutes * 60)
    for line in wrong:
        print(f"WRONG: {line}")
    print(f"{len(wrong)} things were wrong. Logs: {folder}" if wrong else "Nothing was wrong.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
