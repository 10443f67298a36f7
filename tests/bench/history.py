"""How long the history takes as it grows: list, search and fetch at three sizes.

    python -m tests.bench.history                                          # SQLite
    DATABASE_URL=postgres://... REDIS_URL=redis://... python -m tests.bench.history

Requests go through the API in this process: authentication, query, JSON. Half of the messages are
in one chat, the others in chats of ten. A scratch database is made and dropped. Printed are the
medians in milliseconds, and how many times the largest history takes longer than the smallest.
"""

from __future__ import annotations

import os
import random
import statistics
import sys
import time
from collections.abc import Callable

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

import django

django.setup()

from django.db import connection  # noqa: E402
from rest_framework.test import APIClient  # noqa: E402

from alchemyst.accounts.auth.jwt import issue  # noqa: E402
from alchemyst.accounts.models import User  # noqa: E402
from chats.models import Chat, Message  # noqa: E402

SIZES = (100, 10_000, 100_000)
RUNS = 30
IN_A_CHAT = 10
WORDS_IN_A_MESSAGE = 40
VOCABULARY = 5_000


class History:
    """An account with so many messages."""

    def __init__(self, size: int) -> None:
        self.dice = random.Random(size)
        self.owner = User.objects.create_user(f"owner-{size}")
        self.client = APIClient()
        self.client.credentials(HTTP_AUTHORIZATION=f"Bearer {issue(self.owner).access}")
        self.long = self.chat(size // 2)
        for _ in range(size // 2 // IN_A_CHAT):
            self.chat(IN_A_CHAT)
        # In one chat in the middle of all.
        middle = Chat.objects.of(self.owner).order_by("pk")[size // 4 // IN_A_CHAT]
        middle.append("user", "Where did I leave the zeppelin?")

    def chat(self, messages: int) -> Chat:
        chat = Chat.objects.create(owner=self.owner, title=self.words(4))
        chat.bulk_append(
            Message(role=("user", "assistant")[place % 2], content=self.words(WORDS_IN_A_MESSAGE))
            for place in range(messages)
        )
        return chat

    def words(self, count: int) -> str:
        """Words of which some are frequent, as in every language: `w0` is in most messages."""
        most = VOCABULARY
        ranks = (int(most ** self.dice.random()) - 1 for _ in range(count))
        return " ".join(f"w{rank}" for rank in ranks)

    def get(self, path: str, **query: object) -> None:
        answer = self.client.get(f"/api/v1/chat/{path}", query, HTTP_HOST="localhost")
        assert answer.status_code == 200, answer.content

    def measured(self) -> dict[str, float]:
        fetch = f"fetch/{self.long.pk}"
        middle = self.long.messages.count() // 2
        asked: dict[str, Callable[[], None]] = {
            "list, 30 chats": lambda: self.get("history"),
            "search, a rare word": lambda: self.get("history", q="zeppelin"),
            "search, the commonest word": lambda: self.get("history", q='"w0"'),
            "search, three words": lambda: self.get("history", q="w10 w20 w3"),
            "fetch, the last 50": lambda: self.get(fetch, limit=50),
            "fetch, 50 in the middle": lambda: self.get(fetch, limit=50, before=middle),
        }
        return {name: _median(run) for name, run in asked.items()}


def _median(run: Callable[[], None]) -> float:
    """Return the median of some runs in milliseconds, after one that warms up."""
    run()
    times = []
    for _ in range(RUNS):
        began = time.perf_counter()
        run()
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


def main() -> None:
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        found = {}
        for size in SIZES:
            history = History(size)
            with connection.cursor() as cursor:
                cursor.execute("ANALYZE")
            found[size] = history.measured()
            print(f"{size:,} messages measured", file=sys.stderr)
    finally:
        connection.creation.destroy_test_db(connection.settings_dict["NAME"], verbosity=0)
    print(f"On {connection.display_name}, medians of {RUNS} in ms:\n")
    print("| asked for |", *(f"{size:,} messages |" for size in SIZES), "growth |")
    print("|---|", "---:|" * (len(SIZES) + 1))
    for name in found[SIZES[0]]:
        times = [found[size][name] for size in SIZES]
        cells = [*(f"{each:.1f}" for each in times), f"{times[-1] / times[0]:.1f} times"]
        print("|", " | ".join((name, *cells)), "|")


if __name__ == "__main__":
    main()
