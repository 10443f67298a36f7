"""A canary: a provider's key goes through everything, and is then in no log, page or row."""

from __future__ import annotations

import logging
import random
import re
import string
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest
import requests

from alchemyst.logs import MaskingFormatter, WithRequestId
from alchemyst.web.redaction import mask, mask_path
from tests.fakes import FakeProvider
from tests.proxy.conftest import HISTORY, completion
from tests.routes import routes

CANARY = "canary-7Zq4-secret"
QUESTION = HISTORY[-1:]
CHAT = "01998c2e-7b1a-7c3e-9a55-0f3e8d2c1b4a"
TARGET = "https://api.openai.com/v1"


def paths_with(key: str) -> list[str]:
    """Paths that are no well-formed call, as people mistype them and intruders spell them."""
    return [
        f"/api/v1/proxy/default/{key}/chat/completions",
        f"/api/v1/proxy/default/{TARGET}/{key}/chat/completions",
        f"/api/v1/proxy/default/../{key}/chat/completions",
        f"/api/v1/proxy/preview/{key}",
        f"/api/v1/proxy/requests/{key}",
        f"/api/v1/proxy/{key}",
        f"/api/v1/proxy/https://{key}/chat/completions",
        f"/api/v1/proxy/https://{key}@api.openai.com/v1/models",
        f"/api/v1/proxy/https://api.openai.com%3F{key}/v1/models",
        f"/api/v1/proxy/{TARGET}/chat/completions/{key}",
        f"/api/v1/proxy/default/models?{key}",
        f"/api/v1/proxy%2F{TARGET}%2F{key}/chat/completions",
        f"/api/v1/proxy;v=1/{TARGET}/{key}/chat/completions",
        f"/api/v1/PROXY/{TARGET}/{key}/chat/completions",
        f"/API/v1/Proxy/{TARGET}/{key}/chat/completions",
        f"/api/v1/%70ro%78y/{TARGET}/{key}/chat/completions",
        f"/api/v1/%2570roxy/{TARGET}/{key}/chat/completions",
        f"/api/v1%252Fproxy%252F{key}%252Fchat",
        f"/api/v1/%EF%BD%90%EF%BD%92%EF%BD%8F%EF%BD%98%EF%BD%99/{TARGET}/{key}",
        f"/api/v1/PROXY/a%20b/{key}/chat/completions",
        f"/api/v1/PROXY/a%22b/{key}/chat/completions",
        f"/api/v1/PROXY/a%3Fb/{key}/chat/completions",
        f"/api/v1/PROXY/a%0Ab/{key}/chat/completions",
        f"/api/v1/PROXY/%5Cproxy%5C{key}",
        f"/api/v1/PROXY?target={key}",
        f"/api/v1/chat/../proxy/{TARGET}/{key}/chat/completions",
        f"/api/v1/./proxy//{TARGET}/{key}/chat/completions",
        f"/api//v1//proxy//{TARGET}/{key}/chat/completions",
        f"//api/v1/proxy/{TARGET}/{key}/chat/completions",
        f"/api/proxy/{TARGET}/{key}/chat/completions",
        f"/proxy/default/{key}/chat/completions",
        f"/static/../api/v1/PROXY/{key}",
        f"/signin?next=/api/v1/PROXY/{TARGET}/{key}/chat/completions",
        f"/signin?next=%2Fapi%2Fv1%2Fproxy%2F{key}%2Fchat%2Fcompletions",
    ]


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


@pytest.mark.parametrize("behaviour", ["", "fail/401", "redirect", "cut"])
@pytest.mark.parametrize("name", ["x-api-key", "api-key", "x-goog-api-key", "X-Upstream-Api-Key"])
def test_the_key_of_a_header_is_in_no_log_and_no_answer(
    http: requests.Session,
    server: str,
    provider: FakeProvider,
    log: Callable[[], str],
    behaviour: str,
    name: str,
):
    url = f"{server}/api/v1/proxy/{provider.url}/{behaviour}/v1/chat/completions"
    body = completion(QUESTION, stream=True)

    answer = http.post(url, json=body, headers={name: CANARY})

    assert CANARY not in answer.text + str(answer.headers)
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
    assert mask_path(path) == shown
    assert mask(f'"POST {path} HTTP/1.1" 200') == f'"POST {shown} HTTP/1.1" 200'


@pytest.mark.parametrize("path", paths_with(CANARY))
class TestAPathThatIsNoWellFormedCall:
    def test_is_logged_without_its_key(
        self, server: str, token: str, log: Callable[[], str], path: str
    ):
        connection = HTTPConnection(urlsplit(server).netloc, timeout=10)
        connection.request("POST", path, "{}", headers={"Authorization": f"Bearer {token}"})
        connection.getresponse().read()
        connection.close()

        assert CANARY not in log()

    def test_stands_in_a_line_without_its_key(self, path: str):
        assert CANARY not in mask(f'127.0.0.1 - "POST {path} HTTP/1.1" 404')
        assert CANARY not in mask(f"GET http://testserver{path}")


@pytest.mark.parametrize(
    "path",
    [
        f"/api/v1/chat/fetch/{CHAT}",
        f"/chat/{CHAT}/given/{CHAT}",
        "/api/v1/chat/history?limit=20&pinned=true&q=which+tea+did+we+speak+of",
        "/personas/a-persona-with-a-rather-long-name-2024-05-01",
        "/admin/proxy/usagerecord/?created__gte=2026-01-01",
        "/admin/token_blacklist/outstandingtoken/",
        "/static/css/stream-reader.55e7cbb9ba48.css",
        "/api/v1/proxy/requests/req_0123456789abcdef00000001",
        "/api/v1/proxy/preview/v1beta/models/gemini-2.5-flash-preview-05-20:generateContent",
        "/api/v1/proxy/default/chat/completions",
    ],
)
def test_an_ordinary_path_stays_readable(path: str):
    assert mask(f'"GET {path} HTTP/1.1" 200') == f'"GET {path} HTTP/1.1" 200'


def test_every_route_of_our_own_stays_readable():
    paths = [re.sub("<.*?>", CHAT, route) for route in routes() if "(?P" not in route]

    assert len(paths) > 100
    assert [path for path in paths if mask_path(path) != path] == []


@pytest.mark.parametrize(
    "path", ["/api/v1/chat/{}", "/wrong/v1/{}/models", "/s?token_of={}", "/{}"]
)
@pytest.mark.parametrize("alphabet", [string.ascii_letters + string.digits, string.hexdigits[:16]])
@pytest.mark.parametrize("length", [24, 32, 64])
def test_random_characters_are_masked_in_any_path(path: str, alphabet: str, length: int):
    key = "".join(random.Random(length).choices(alphabet, k=length))

    assert key not in mask_path(path.format(key))
    assert key not in mask(f'"GET {path.format(key)} HTTP/1.1" 404')


def test_a_uuid_that_is_no_chats_may_be_a_key():
    key = "8d8b5a0e-4c58-4f0e-9c29-6f2b9a7a4c11"

    assert mask_path(f"/api/v1/{key}/models") == "/api/v1/~masked~/models"


def test_the_files_of_a_traceback_stay_readable():
    line = '  File "/srv/alchemyst/proxy/upstream/relay.py", line 12, in relay'

    assert mask(line) == line


def test_a_path_without_end_is_masked_in_no_time():
    for path in ("/" + "%25" * 20_000, "/%" + "25" * 30_000, "/" + "a/" * 30_000):
        assert mask_path(f"{path}/proxy/{CANARY}").count(CANARY) == 0


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer {}",
        "Authorization: {}",
        "Authorization: Token {}",
        "authorization=Basic {}",
        "x-goog-api-key: {}",
        "x-api-key: {}",
        "API-Key: {}",
        "[(b'x-api-key', b'{}'), (b'accept', b'*/*')]",
        "[('api-key', '{}')]",
        "(b'authorization', b'{}')",
        "(b'authorization', b'Bearer {}')",
        "{{'HTTP_X_API_KEY': '{}', 'HTTP_X_GOOG_API_KEY': 'k'}}",
        "HTTP_AUTHORIZATION={}",
        "{{'X-Upstream-Api-Key': '{}'}}",
        "GET /v1beta/models?key={}&alt=sse",
        "password={}",
        '{{"api_key": "{}"}}',
    ],
)
def test_a_secret_beside_its_name_is_masked(text: str):
    assert CANARY not in mask(text.format(CANARY))


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-abcdefgh12345678",
        "gsk_abcdefgh12345678",
        "pplx-abcdefgh12345678",
        "nvapi-abcdefgh12345678",
        "AQ.Ab8RN6abcdefgh12345678",
        "AKIAIOSFODNN7EXAMPLE",
        "alk_abcdefghijklmnop",
        "AIzaSyA1234567890abcdefghij_-",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    ],
)
def test_what_looks_like_a_key_is_masked_anywhere(secret: str):
    assert secret not in mask(f"Something about {secret}, said an exception")


def test_a_traceback_is_masked_too():
    try:
        raise ValueError(f"Bearer {CANARY}")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "f", 1, "failed", (), None)
        import sys

        record.exc_info = sys.exc_info()

    assert CANARY not in MaskingFormatter().format(record)
