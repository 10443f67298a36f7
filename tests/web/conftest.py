from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Error,
    Page,
    Request,
    expect,
)

from alchemyst.accounts.models import User
from tests.clients.node import FOLDER
from tests.web.browser import launched

# What Chromium says of a refusal. That of a page or a form is the test's to check.
_STATUS = re.compile(r"Failed to load resource: the server responded with a status of 4\d\d")
# What it says when a test takes the network away.
OFFLINE = "net::ERR_INTERNET_DISCONNECTED"
AXE = FOLDER / "node_modules" / "axe-core" / "axe.min.js"
THEMES = ("light", "dark")
# How long a page may take to become what a test expects, in ms: a bound for one that never does,
# and far more than it needs on a machine that runs other tests beside.
PATIENCE = 30_000
expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """The browser of this folder's tests.

    Playwright's loop runs in this thread, while the tests ask the database from it; it ends with
    the folder, because no other loop can run beside it.
    """
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    try:
        with launched() as running:
            yield running
    except Error as error:
        pytest.skip(f"no browser: {error.message.splitlines()[0]}")
    finally:
        del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


class Watched:
    """What went wrong in the pages of a test: errors in the console, requests to other hosts."""

    def __init__(self, url: str) -> None:
        self.host = urlsplit(url).netloc
        self.faults: list[str] = []

    def watch(self, page: Page) -> None:
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.faults.append(f"exception: {error}"))
        page.on("request", self._asked)

    def _said(self, message: ConsoleMessage) -> None:
        is_refusal = _STATUS.match(message.text) and "/static/" not in message.location["url"]
        if message.type == "error" and not is_refusal and OFFLINE not in message.text:
            self.faults.append(f"console: {message.text}")

    def _asked(self, request: Request) -> None:
        url = urlsplit(request.url)
        if url.scheme in ("http", "https", "ws", "wss") and url.netloc != self.host:
            self.faults.append(f"another host: {request.url}")


@pytest.fixture
def new_context(browser: Browser, server: str) -> Iterator[Callable[..., BrowserContext]]:
    """Make a context of the browser, such as `new_context(java_script_enabled=False)`.

    Its pages must not complain, nor ask another host for anything.
    """
    watched, made = Watched(server), []

    def make(**options: Any) -> BrowserContext:
        context = browser.new_context(base_url=server, **options)
        context.set_default_timeout(PATIENCE)
        context.on("page", watched.watch)
        made.append(context)
        return context

    yield make
    for context in made:
        context.close()
    assert watched.faults == []


@pytest.fixture
def context(new_context: Callable[..., BrowserContext]) -> BrowserContext:
    return new_context()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """A page that a stranger has open."""
    return context.new_page()


@pytest.fixture
def sign_in() -> Callable[[BrowserContext, User], None]:
    """Give a context of the browser the session of a user."""

    def signed(context: BrowserContext, user: User) -> None:
        client = Client()
        client.force_login(user)
        cookie = client.cookies[settings.SESSION_COOKIE_NAME]
        context.add_cookies(
            [{"name": cookie.key, "value": cookie.value, "domain": "127.0.0.1", "path": "/"}]
        )

    return signed


@pytest.fixture
def signed_in(
    context: BrowserContext, alice: User, sign_in: Callable[[BrowserContext, User], None]
) -> Page:
    """A page that Alice has open."""
    sign_in(context, alice)
    return context.new_page()


@pytest.fixture
def accessible() -> Callable[..., None]:
    """Assert that axe-core finds nothing on a page, in both themes.

    A test may leave out rules, and parts of the page by their selectors.
    """
    if not AXE.exists():
        pytest.skip("axe-core is not installed; `make test` does it where Node is found")
    axe = AXE.read_text(encoding="utf-8")

    def check(page: Page, *, rules: Sequence[str] = (), parts: Sequence[str] = ()) -> None:
        where = {"include": ["html"], "exclude": [[part] for part in parts]}
        how = {"rules": {rule: {"enabled": False} for rule in rules}}
        for theme in THEMES:
            page.emulate_media(color_scheme=theme, reduced_motion="reduce")
            # Through the debugger, so that our own policy need not let it in.
            page.evaluate(axe)
            told = page.evaluate("([where, how]) => axe.run(where, how)", [where, how])
            assert [_short(each, theme) for each in told["violations"]] == []

    def _short(violation: dict[str, Any], theme: str) -> str:
        nodes = "; ".join(
            f"{n['html'][:120]} ({n['failureSummary'][:200]})" for n in violation["nodes"][:3]
        )
        return f"{theme}: {violation['id']}: {nodes}"

    return check
