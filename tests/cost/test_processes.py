"""Two processes that share a conversation's books on Redis."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import requests
from django.conf import settings

from tests.cost.billing import BillingProvider
from tests.cost.conftest import KEY, RATES, told
from tests.cost.topics import turns

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not settings.REDIS_URL, reason="needs Redis"),
]

PRICE = """
from proxy.models import Price
Price.objects.create(host="{host}", input=5, cached="0.5", write="6.25", output=25,
                     since="2026-01-01")
"""


@pytest.fixture
def provider() -> Iterator[BillingProvider]:
    made = BillingProvider(RATES)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def environment(tmp_path: Path, provider: BillingProvider) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "ALCHEMYST_DATA_DIR": str(tmp_path),
        "ALCHEMYST_PROXY_ALLOWED_TARGETS": provider.host,
        "REDIS_URL": settings.REDIS_URL,
        # Short conversations, by words alone.
        "ALCHEMYST_PROXY_SHORT_TOKENS": "0",
        "ALCHEMYST_PROXY_ENCODER": "off",
    }


def manage(environment: dict[str, str], *command: str) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@contextlib.contextmanager
def served(environment: dict[str, str]) -> Iterator[str]:
    """Run the application in a process of its own, and give its URL."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "uvicorn", "alchemyst.asgi:application", "--port", port]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        end = time.monotonic() + 30
        while True:
            with contextlib.suppress(requests.ConnectionError):
                requests.get(f"{url}/healthz", timeout=5)
                break
            assert time.monotonic() < end, "the server did not start"
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def test_turns_that_alternate_between_them_cost_as_in_one(environment, provider, tmp_path):
    manage(environment, "migrate", "--verbosity", "0")
    (token,) = set(re.findall(r"alk_[\w-]{40,}", manage(environment, "welcome")))
    manage(environment, "shell", "--no-imports", "-c", PRICE.format(host=provider.host))
    headers = {"Authorization": f"Bearer {token}", "X-Upstream-Api-Key": KEY}
    modes = []

    with served(environment) as one, served(environment) as two:
        for number, messages in enumerate(turns()):
            url = f"{(one, two)[number % 2]}/api/v1/proxy/{provider.url}/v1/chat/completions"
            body = {"model": "gpt-test", "messages": messages}
            modes.append(told(requests.post(url, json=body, headers=headers, timeout=20)))

    assert {"full", "continue"} < {mode["cache"] for mode in modes}
    with closing(sqlite3.connect(tmp_path / "db.sqlite3")) as database:
        found = database.execute(
            "SELECT expected_cached, cached_tokens FROM proxy_usagerecord ORDER BY created"
        ).fetchall()
    assert len(found) == len(modes)
    # A machine that is busy may be later than the books are waited for, now and then.
    assert sum(expected != cached for expected, cached in found) <= 3
