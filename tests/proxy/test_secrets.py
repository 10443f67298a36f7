"""A canary: a provider's key goes through everything, and is then in no log, page or row."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import pytest
import requests

from alchemyst.logs import MaskingFormatter, WithRequestId, masked, masked_path
from tests.fakes import FakeProvider
from tests.proxy.conftest import HISTORY, completion

CANARY = "canary-7Zq4-secret"
QUESTION = HISTORY[-1:]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], str]]:
    """All that is logged at DEBUG, by whomever, formatted as it is on standard error."""
    names = ["", "alchemyst", "proxy", "django", "uvicorn", "uvicorn.error", "uvicorn.access"]
    formatter, identity = MaskingFormatter("%(name)s %(message)s"), WithRequestId()
    levels = {}
    for name in names:
        logger = logging.getLogger(name)
        levels[name] = logger.level
        logger.setLevel(logging.DEBUG)
        logger.addHandler(caplog.handler)
    caplog.handler.setLevel(logging.DEBUG)

    def text() -> str:
        for record in caplog.records:
            identity.filter(record)
        return "\n".join(formatter.format(record) for record in caplog.records)

    yield text
    for name in names:
        logging.getLogger(name).setLevel(levels[name])
        logging.getLogger(name).removeHandler(caplog.handler)


@pytest.mark.parametrize(
    "behaviour", ["", "fail/401", "fail/500", "stall", "cut", "redirect", "gzipped", "endless"]
)
@pytest.mark.parametrize("is_streamed", [True, False])
def test_the_key_is_in_no_log_and_no_answer(
    http: requests.Session,
    server: str,
    provider: FakeProvider,
    bounds,
    log: Callable[[], str],
    behaviour: str,
    is_streamed: bool,
):
    url = f"{server}/api/v1/proxy/{provider.url}/{behaviour}/v1/{CANARY}/chat/completions"
    try:
        answer = http.post(url, json=completion(QUESTION, stream=is_streamed))
        told = answer.text + str(answer.headers)
    except requests.RequestException as error:
        told = str(error.response.text if error.response is not None else "")

    assert CANARY not in told
    assert CANARY not in log()
    assert CANARY in str(provider.last().headers)


@pytest.mark.parametrize(
    "path",
    [
        f"http://10.0.0.1/v1/{CANARY}/chat/completions",
        f"ftp://x/{CANARY}/chat/completions",
        f"{CANARY}/chat/completions",
        f"https://x.example/v1/{CANARY}/responses",
        f"https://x.example/v1/{CANARY}/unknown/thing",
        f"https%3A%2F%2Fno-such-host.invalid%2Fv1/{CANARY}/chat/completions",
        f"https://{CANARY}@x.example/v1/sk/chat/completions",
    ],
)
def test_the_key_of_a_refused_target_is_in_no_log_and_no_answer(
    http: requests.Session, server: str, log: Callable[[], str], path: str
):
    answer = http.post(f"{server}/api/v1/proxy/{path}", json=completion(QUESTION))

    assert answer.status_code in (400, 404, 502)
    assert CANARY not in answer.text
    assert CANARY not in log()


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (
            "/api/v1/proxy/https://api.example.com/v1/key-1/chat/completions",
            "/api/v1/proxy/https://api.example.com/~masked~/chat/completions",
        ),
        (
            "/api/v1/proxy/https%3A%2F%2Fapi.example.com%2Fv1/key-1/models",
            "/api/v1/proxy/https://api.example.com/~masked~/models",
        ),
        (
            "/api/v1/proxy/api.example.com/v1/key-1/chat/completions",
            "/api/v1/proxy/~masked~/chat/completions",
        ),
        ("/api/v1/proxy/default/chat/completions", "/api/v1/proxy/default/chat/completions"),
    ],
)
def test_a_path_in_a_log_names_the_host_and_masks_the_rest(path: str, shown: str):
    assert masked_path(path) == shown
    assert masked(f'"POST {path} HTTP/1.1" 200') == f'"POST {shown} HTTP/1.1" 200'


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer {}",
        "x-goog-api-key: {}",
        "{{'X-Upstream-Api-Key': '{}'}}",
        "GET /v1beta/models?key={}&alt=sse",
        "password={}",
        '{{"api_key": "{}"}}',
    ],
)
def test_a_secret_beside_its_name_is_masked(text: str):
    assert CANARY not in masked(text.format(CANARY))


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-abcdefgh12345678",
        "alk_abcdefghijklmnop",
        "AIzaSyA1234567890abcdefghij_-",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    ],
)
def test_what_looks_like_a_key_is_masked_anywhere(secret: str):
    assert secret not in masked(f"Something about {secret}, said an exception")


def test_a_traceback_is_masked_too():
    try:
        raise ValueError(f"Bearer {CANARY}")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "f", 1, "failed", (), None)
        import sys

        record.exc_info = sys.exc_info()

    assert CANARY not in MaskingFormatter().format(record)
