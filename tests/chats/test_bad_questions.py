"""Bad input at the endpoints that ask for answers: the documented error, and nothing is kept."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from chats.models import Chat
from personas.models import Persona
from tests.chats.answers import Api, asking
from tests.fakes import FakeProvider

SHAPES = ({"message", "error"}, {"message", "error", "details"})
PATHS = ["", "/generate", "/generate/stream"]


def user(content: Any, **more: Any) -> dict[str, Any]:
    return {"chat_history": [{"role": "user", "content": content} | more]}


BODIES: dict[str, Any] = {
    "nothing": {},
    "no list": {"chat_history": "Hello"},
    "an empty list": {"chat_history": []},
    "a list of texts": {"chat_history": ["Hello"]},
    "a list of nulls": {"chat_history": [None]},
    "no role": {"chat_history": [{"content": "Hello"}]},
    "an unknown role": {"chat_history": [{"role": "tool", "content": "Hello"}]},
    "a role that is a list": {"chat_history": [{"role": ["user"], "content": "Hello"}]},
    "no content": {"chat_history": [{"role": "user"}]},
    "an empty content": user(""),
    "a content that is null": user(None),
    "a content that is a number": user(7),
    "a content of parts": user([{"type": "text", "text": "Hello"}]),
    "a NUL": user("a\0b"),
    "half a pair of surrogates": user("\ud800"),
    "an id that is too long": user("Hello", id="x" * 101),
    "an id that is an object": user("Hello", id={}),
    "the same id twice": {
        "chat_history": [
            {"id": "1", "role": "user", "content": "a"},
            {"id": "1", "role": "user", "content": "b"},
        ]
    },
    "an answer at the end": asking("Hello", "Hi"),
    "too many messages": asking(*["Hello"] * 2001),
    "an unknown field": asking(model="gpt-4"),
    "an unknown scope": asking(scope="everywhere"),
    "a persona that is a list": asking(persona=["maya"]),
    "a persona with a NUL": asking(persona="a\0"),
    "a voice that is a word": asking(voice="alto"),
    "given texts that are one": asking(fastContext="Flour"),
    "a given number": asking(fastContext=[7]),
    "a given text without a word": asking(fastContext=[" "]),
    "a given object without content": asking(fastContext=[{"title": "Flour"}]),
    "too many given texts": asking(fastContext=["Flour"] * 201),
}
KEPT_ONLY: dict[str, Any] = {
    "tools that are a list": asking(tools=["research"]),
    "research that is a word": asking(tools={"research": "deep"}),
    "a stream that is a word": asking(stream="yes please"),
}
RAW = {
    "no JSON": b"{",
    "another encoding": '{"chat_history": "é"}'.encode("latin-1"),
    "brackets in brackets": b"[" * 100_000,
    "deep objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "a list": b"[]",
    "a number": b"1",
    "NaN": b'{"chat_history": NaN}',
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", BODIES)
def test_a_bad_body_is_400(api: Api, maya: Persona, provider: FakeProvider, path: str, name: str):
    answer = api.post(path, BODIES[name])

    assert answer.status_code == 400, answer.text
    assert answer.json().keys() in SHAPES
    assert answer.json()["error"] == "invalid_request_error"
    assert not Chat.objects.exists()
    assert not provider.received


@pytest.mark.parametrize("path", PATHS[1:])
@pytest.mark.parametrize("name", KEPT_ONLY)
def test_a_bad_wish_is_400(api: Api, maya: Persona, path: str, name: str):
    assert api.post(path, KEPT_ONLY[name]).status_code == 400
    assert not Chat.objects.exists()


@pytest.mark.parametrize("path", [*PATHS, "/{chat}/regenerate", "/{chat}/continue"])
@pytest.mark.parametrize("name", RAW)
def test_bad_bytes_are_400(
    api: Api, http: requests.Session, maya: Persona, chat: Chat, path: str, name: str
):
    answer = http.post(f"{api.url}{path.format(chat=chat.pk)}", data=RAW[name])

    assert answer.status_code == 400, answer.text
    assert answer.json().keys() in SHAPES


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("is_chunked", [True, False])
def test_a_body_over_the_limit_is_413(
    api: Api, http: requests.Session, maya: Persona, path: str, is_chunked: bool
):
    body = b'{"chat_history": "' + b"x" * 2_200_000 + b'"}'

    answer = http.post(f"{api.url}{path}", data=iter([body]) if is_chunked else body)

    assert answer.status_code == 413
    assert answer.json()["error"] == "invalid_request_error"


@pytest.mark.parametrize(
    "query",
    [
        {"title": "x" * 201},
        {"username": "x" * 151},
        {"source": "x" * 101},
        {"title": "a\0b"},
    ],
    ids=str,
)
def test_a_bad_query_is_400(api: Api, maya: Persona, query: dict[str, str]):
    assert api.generate(params=query).status_code == 400
    assert not Chat.objects.exists()


@pytest.mark.parametrize("after", ["x", "-1", "1.5", "9" * 30, "٣"])
def test_a_last_event_id_that_is_none_is_400(api: Api, maya: Persona, after: str):
    session = api.generate().json()["replaySessionID"]

    answer = api.http.get(
        f"{api.url}/replay/{session}", headers={"Last-Event-ID": after.encode()}, timeout=10
    )

    assert answer.status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        {"messageId": "x"},
        {"messageId": []},
        {"content": ""},
        {"content": 7},
        {"unknown": 1},
        {"stream": "x"},
        {"tools": 1},
    ],
    ids=str,
)
def test_a_bad_wish_for_another_answer_is_400(
    api: Api, maya: Persona, chat: Chat, body: dict[str, Any]
):
    assert api.post(f"/{chat.pk}/regenerate", body).status_code == 400
    if body.keys() <= {"messageId", "stream", "unknown"}:
        assert api.post(f"/{chat.pk}/continue", body).status_code == 400


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("get", "", "POST"),
        ("get", "/generate", "POST"),
        ("put", "/generate/stream", "POST"),
        ("post", "/replay/x", "GET"),
        ("get", "/replay/x/stop", "POST"),
        ("delete", "/x/regenerate", "POST"),
    ],
)
def test_another_method_is_405(api: Api, maya: Persona, method: str, path: str, allowed: str):
    answer = api.http.request(method, f"{api.url}{path}", timeout=10)

    assert answer.status_code == 405
    assert answer.headers["allow"] == allowed
    assert answer.json().keys() == {"message", "error"}
