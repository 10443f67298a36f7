"""A provider's key goes through every endpoint, fault and way of naming it; then it is nowhere."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
import requests
from django.contrib import admin
from django.db import connection
from django.test import Client

from alchemyst.accounts.models import User
from tests import faults, nginx
from tests.conftest import Server
from tests.fakes import FakeProvider
from tests.gemini import base_of
from tests.proxy.conftest import HISTORY, completion
from tests.proxy.test_secrets import log  # noqa: F401

pytestmark = pytest.mark.slow

Places = Callable[[list[str]], list[str]]

CANARY = "canary-7Zq4-secret"
# What sends for long shows nothing that a shorter fault does not.
LONG = {"slow", "endless", "endless-line", "huge"}
FAULTS = ["", "fail/401", "fail/500", *(name for name in faults.NAMES if name not in LONG)]
GEMINI = ["gemini", "gemini-fail/429", "gemini-cut", "echo", "reset"]
FEW = ["", "fail/401", "echo", "cut", "redirect"]
NEWEST = 10
# Faults of the provider's side, and of ours: each of them passes the key by another way out.
FAILING_STEPS = [
    "proxy.upstream.relay.send",
    "proxy.upstream.relay._relay_body",
    "proxy.upstream.headers.response_headers",
]


@pytest.fixture
def places(
    the_server: Server,
    the_front: nginx.Nginx | None,
    log: Callable[[], str],  # noqa: F811
) -> Callable[[list[str]], list[str]]:
    """Looks for the key in what callers were told, and everywhere else; tells where it is."""

    if the_front:
        # What other tests sent may stand in a log: paths that nobody could know for a call.
        the_front.forget()

    def with_the_key(answers: list[str]) -> list[str]:
        the_server.write_usage()
        logged = log()
        assert "~masked~" in logged
        logged += the_front.log() if the_front else ""
        searched = {"answer": answers, "log": [logged], "table": rows(), "page": admin_pages()}
        return [place for place, texts in searched.items() if CANARY in "\n".join(texts)]

    return with_the_key


def rows() -> list[str]:
    """Every row of every table, as text."""
    with connection.cursor() as cursor:
        values = []
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            values += [str(row) for row in cursor.fetchall()]
    return values


def admin_pages() -> list[str]:
    """Every list in the admin, and the pages of the newest objects of each kind."""
    client = Client()
    client.force_login(User.objects.create_superuser("root", password="correct-horse-battery"))
    # The theme's templates log a traceback for each variable that they lack, thousands a page. What
    # the requests themselves logged has been searched through by now.
    logging.disable(logging.DEBUG)
    try:
        pages = [client.get("/admin/"), *_pages_of_models(client)]
    finally:
        logging.disable(logging.NOTSET)
    assert {page.status_code for page in pages} == {200}
    return [page.content.decode() for page in pages]


def _pages_of_models(client: Client) -> Iterator[Any]:
    for model in admin.site._registry:
        base = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        yield client.get(base)
        for each in model.objects.order_by("-pk")[:NEWEST]:
            yield client.get(f"{base}{quote(str(each.pk))}/change/")


def heard(session: requests.Session, method: str, url: str, **more) -> str:
    """All that a caller hears, whether the answer came whole or not."""
    try:
        answer = session.request(method, url, stream=True, **more)
        return f"{answer.status_code} {answer.headers} " + "".join(
            piece.decode("latin-1") for piece in answer.iter_content(None)
        )
    except requests.RequestException:
        return ""


@pytest.fixture
def quick(settings) -> None:
    settings.PROXY_FIRST_BYTE_TIMEOUT = settings.PROXY_IDLE_TIMEOUT = 0.3


@pytest.mark.parametrize(
    ("way", "ways_to_fail"),
    [("path", FAULTS), ("encoded", FEW), ("header", FEW), ("stored", FEW)],
    ids=["path", "encoded", "header", "stored"],
)
def test_the_key_is_nowhere_after_every_fault(
    http: requests.Session,
    server: str,
    provider: FakeProvider,
    places: Places,
    quick: None,
    way: str,
    ways_to_fail: list[str],
):
    answers = []
    for place, fault in enumerate(ways_to_fail):
        base, headers = f"{provider.url}/{fault}/v1", {}
        if way == "stored":
            fields = {"name": f"p{place}", "base_url": base, "key": CANARY}
            answers.append(http.post(f"{server}/api/v1/providers", json=fields).text)
            base = f"p{place}"
        elif way == "header":
            headers = {"X-Upstream-Api-Key": CANARY}
        else:
            base = quote(base, safe="") if way == "encoded" else base
            base = f"{base}/{CANARY}"
        url = f"{server}/api/v1/proxy/{base}"
        for is_streamed in (False, True):
            body = completion(HISTORY, stream=is_streamed)
            answers.append(
                heard(http, "POST", f"{url}/chat/completions", json=body, headers=headers)
            )
        answers.append(heard(http, "GET", f"{url}/models", headers=headers))

    headers = [each.headers.get("Authorization") for each in provider.received]
    assert set(headers) == {f"Bearer {CANARY}"}
    assert len(headers) >= 3 * len(ways_to_fail)
    assert places(answers) == []


@pytest.mark.parametrize("behaviour", GEMINI)
def test_the_key_of_a_gemini_call_is_nowhere(
    http: requests.Session,
    server: str,
    provider: FakeProvider,
    places: Places,
    quick: None,
    behaviour: str,
):
    models = f"{base_of(server, provider, behaviour)}/v1beta/models"
    body = {"contents": [{"role": "user", "parts": [{"text": "How is bread made?"}]}]}
    tasks = ("generateContent", "streamGenerateContent?alt=sse", "streamGenerateContent")
    headers = {"X-Goog-Api-Key": CANARY}
    answers = [
        heard(http, "GET", models, headers=headers),
        heard(http, "GET", f"{models}?key={CANARY}"),
    ]
    for task in (*tasks, "countTokens", "batchEmbedContents", "unknownTask"):
        url = f"{models}/gemini-test:{task}"
        joined = f"{url}{'&' if '?' in url else '?'}key={CANARY}"
        answers.append(heard(http, "POST", url, json=body, headers=headers))
        answers.append(heard(http, "POST", joined, json=body))

    assert {each.headers["x-goog-api-key"] for each in provider.received} == {CANARY}
    assert CANARY not in "".join(each.path for each in provider.received)
    assert places(answers) == []


@pytest.mark.parametrize("step", FAILING_STEPS)
def test_the_key_is_nowhere_after_a_fault_of_ours(
    http: requests.Session,
    server: str,
    provider: FakeProvider,
    places: Places,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
):
    def fail(*args: object) -> None:
        raise RuntimeError(f"Bearer {CANARY} {args}")

    monkeypatch.setattr(step, fail)
    url = f"{server}/api/v1/proxy/{provider.url}/v1/{CANARY}/chat/completions"

    answers = [
        heard(http, "POST", url, json=completion(HISTORY)),
        heard(http, "POST", url, json=completion(HISTORY, stream=True)),
    ]

    assert places(answers) == []


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "HEAD"])
def test_the_key_is_in_one_header_alone_after_what_passes_or_is_refused(
    http: requests.Session, server: str, provider: FakeProvider, places: Places, method: str
):
    answers = []
    for tail in ("chat/completions", "responses", "embeddings", "models/x", "", "x?key=" + CANARY):
        url = f"{server}/api/v1/proxy/{provider.url}/plain/v1/{CANARY}/{tail}"
        answers.append(heard(http, method, url))
        answers.append(heard(requests.Session(), method, url))

    assert {each.headers["Authorization"] for each in provider.received} == {f"Bearer {CANARY}"}
    assert CANARY not in "".join(each.path for each in provider.received)
    assert places(answers) == []
