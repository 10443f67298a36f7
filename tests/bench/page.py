"""When a streamed chunk is seen in the browser, beside when a program gets it, in one run.

    python -m tests.bench.page --chunks 100

Starts this application with a provider on loopback whose chunks come 150 ms apart, opens the chat
in Chromium, asks there, and reads the same answer's events with an HTTP client. For each number
that the answer counts: the time from the client's having it to its being in the page, just before
a frame is drawn.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import requests
from playwright.sync_api import Page

from tests.bench.chat import REPOSITORY, Server, Upstream
from tests.web.browser import launched

FRAME_MILLISECONDS = 1000 / 60
PAUSE = 0.15
_SESSION = """
from django.test import Client
from alchemyst.accounts.models import User
client = Client()
client.force_login(User.objects.get(username="bench"))
print(client.session.session_key)
"""
# Notes, for each number, when it was put into the page for the frame that then shows it.
_WATCH = """() => {
  window.seen = {};
  const note = () => {
    const text = document.querySelector(".is-live .prose")?.textContent ?? "";
    for (const [number] of text.matchAll(/\\d+/g)) {
      if (!(number in seen)) seen[number] = performance.timeOrigin + performance.now();
    }
  };
  const watched = { childList: true, subtree: true, characterData: true };
  new MutationObserver(note).observe(document.getElementById("thread"), watched);
}"""


def received(url: str, key: str, session: str, times: dict[str, float]) -> None:
    """Note when each number of an answer's events came."""
    headers = {"Authorization": f"Bearer {key}"}
    address = f"{url}/api/v1/chat/replay/{session}"
    text = ""
    with requests.get(address, headers=headers, stream=True, timeout=120) as response:
        for line in response.iter_lines(chunk_size=1):
            if not line.startswith(b"data: {"):
                continue
            said = json.loads(line[6:])
            if said.get("type") == "response_delta":
                text += said["content"]
                for number in text.split()[-8:]:
                    times.setdefault(number, time.time() * 1000)


def delays(page: Page, url: str, key: str, chunks: int) -> list[float]:
    """Return, for each number, the milliseconds from the client's having it to the page's."""
    page.goto(f"{url}/chat?persona=bench")
    page.fill("#composer textarea", f"Count to {chunks}")
    page.press("#composer textarea", "Enter")
    live = page.wait_for_selector("[data-live]")
    assert live is not None
    page.evaluate(_WATCH)
    times: dict[str, float] = {}
    session = live.get_attribute("data-live") or ""
    reader = threading.Thread(target=received, args=(url, key, session, times))
    reader.start()
    page.wait_for_selector("#send:not([hidden])", timeout=120_000)
    reader.join(60)
    seen: dict[str, float] = page.evaluate("() => window.seen")
    # What had come before both were reading was not waited for.
    late = sorted(times.keys() & seen.keys(), key=int)[10:]
    return [seen[number] - times[number] for number in late]


def session_of(server: Server) -> str:
    """Return the key of a session of the one user there is."""
    environment = server.environment | {"DJANGO_ALLOW_ASYNC_UNSAFE": "true"}
    made = subprocess.run(
        [sys.executable, "manage.py", "shell", "--no-imports", "-c", _SESSION],
        cwd=REPOSITORY,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return made.stdout.split()[-1]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--chunks", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="alchemyst-bench-") as folder:
        server = Server(Path(folder), Upstream(PAUSE))
        url = f"http://127.0.0.1:{server.port}"
        try:
            session = session_of(server)
            with launched() as browser:
                context = browser.new_context()
                context.add_cookies([{"name": "sessionid", "value": session, "url": url}])
                found = sorted(delays(context.new_page(), url, server.key, options.chunks))
        finally:
            server.process.terminate()
            server.process.wait(40)
    median, late = statistics.median(found), found[int(len(found) * 0.95)]
    print(f"{len(found)} chunks: seen in the page after a program has them, ms")
    print(f"p50 {median:.1f}, p95 {late:.1f}; a frame is {FRAME_MILLISECONDS:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
