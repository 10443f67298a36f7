"""Who uses the application during the soak, and what each was promised."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count, cycle

import requests

from tests.chats.processes import Installation

PAGES = ("/chats", "/chat", "/search?q=question", "/trash", "/settings", "/usage", "/playground")
CHATS_IN_A_FILE = 20
REFUSED = {429, 502, 503, 504}
"""What may be answered while something is away."""


class Promises:
    """What was acknowledged to clients, and what was answered that never should be."""

    def __init__(self) -> None:
        self.questions: list[str] = []
        self.answers: list[str] = []
        """Questions whose answer was read to its end."""
        self.unsure: list[str] = []
        """Questions that were sent and never acknowledged."""
        self.calls: dict[str, float] = {}
        """Proxied calls that were answered in full: request id, time."""
        self.imported: list[str] = []
        """Questions of chats in files that were accepted."""
        self.pages = 0
        self.wrong: Counter[str] = Counter()


class Traffic:
    """Clients in threads of their own, until it is left."""

    def __init__(
        self, installation: Installation, urls: list[str], session: str, promises: Promises
    ) -> None:
        self.installation, self.urls, self.session = installation, urls, session
        self.promises = promises
        self._numbers = count(1)
        self._over = threading.Event()

    @contextmanager
    def flowing(self) -> Iterator[None]:
        self._over.clear()
        works = [self._call] * 2 + [self._ask] * 3 + [self._browse, self._import]
        threads = [threading.Thread(target=self._repeat, args=(work,)) for work in works]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join(120)

    def _repeat(self, work: Callable[[requests.Session, str, int], None]) -> None:
        for url in cycle(self.urls):
            if self._over.is_set():
                return
            with self.installation.http() as http:
                try:
                    work(http, url, next(self._numbers))
                # A process that is killed breaks off what it was answering.
                except requests.RequestException:
                    self._over.wait(0.3)

    def _accepts(self, response: requests.Response, status: int) -> bool:
        """Return whether it was answered as it should be, and note what never should be."""
        if response.status_code == status:
            return True
        if response.status_code not in REFUSED:
            path = response.url.split("/", 3)[-1].partition("?")[0]
            self.promises.wrong[f"{response.status_code} /{path[:60]}"] += 1
        self._over.wait(0.2)
        return False

    def _call(self, http: requests.Session, url: str, number: int) -> None:
        """Ask a provider through the proxy, streamed every second time."""
        body = {
            "model": "gpt-test",
            "stream": bool(number % 2),
            "messages": [{"role": "user", "content": f"Call {number}?"}],
        }
        where = f"{url}/api/v1/proxy/well/chat/completions"
        with http.post(where, json=body, stream=True, timeout=30) as response:
            if self._accepts(response, 200):
                content = response.content
                if not number % 2 or content.rstrip().endswith(b"[DONE]"):
                    name = response.headers["x-alchemyst-request-id"]
                    self.promises.calls[name] = time.monotonic()

    def _ask(self, http: requests.Session, url: str, number: int) -> None:
        """Ask a question in a new chat, and follow the answer."""
        question = f"Question {number}?"
        body = {
            "chat_history": [{"role": "user", "content": question}],
            "persona": ("hundred", "maya")[number % 2],
        }
        self.promises.unsure.append(question)
        with http.post(
            f"{url}/api/v1/chat/generate/stream",
            json=body,
            headers={"Idempotency-Key": question},
            stream=True,
            timeout=30,
        ) as response:
            if self._accepts(response, 200):
                self.promises.questions.append(question)
                if b'"final_response"' in response.content:
                    self.promises.answers.append(question)

    def _browse(self, http: requests.Session, url: str, number: int) -> None:
        """Open a page as somebody who is signed in."""
        del http.headers["Authorization"]
        http.cookies.set("sessionid", self.session)
        page = PAGES[number % len(PAGES)]
        if self._accepts(http.get(url + page, timeout=30, allow_redirects=False), 200):
            self.promises.pages += 1
        self._over.wait(0.1)

    def _import(self, http: requests.Session, url: str, number: int) -> None:
        """Send a file of chats, and wait for its end: only one may be on its way."""
        texts = [f"Tea {place} of file {number}?" for place in range(CHATS_IN_A_FILE)]
        lines = (json.dumps({"messages": [{"role": "user", "content": text}]}) for text in texts)
        where = f"{url}/api/v1/chat/import"
        response = http.post(where, data="\n".join(lines).encode(), timeout=30)
        # That the last one is not finished is no fault, where its worker was killed.
        if response.status_code == 409 or not self._accepts(response, 202):
            self._over.wait(1)
            return
        self.promises.imported += texts
