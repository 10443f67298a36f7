"""Every fault of a model's provider: what the client is told, what is kept, what is tried again."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest
from aiohttp import web
from django.conf import LazySettings
from django.db import OperationalError

from alchemyst.accounts.models import User
from chats.models import Chat, Generation
from proxy.models import Provider, UsageRecord
from tests import gemini
from tests.chats import behaviours
from tests.chats.answers import KEY, QUESTION, Api, asking, persona, questions, text, types
from tests.chats.conftest import texts
from tests.conftest import Server
from tests.fakes import ANSWER, FakeProvider, Received, chunk, deltas, stream

State = Generation.State


@pytest.fixture(autouse=True)
def _asked_anew() -> None:
    behaviours.asked.clear()


def outcome() -> tuple[str, str]:
    """The state of the one answer, and its text."""
    generation = Generation.objects.get()
    return generation.state, generation.message.content


def refusing(provider: FakeProvider, body: Any) -> None:
    """Have the behaviour `refusing` answer 404 with this."""

    async def refuse(request: web.Request, received: Received) -> web.StreamResponse:
        return web.json_response(body, status=404)

    provider.behaviours["refusing"] = refuse


class TestBeforeTheFirstPiece:
    @pytest.mark.parametrize(
        ("behaviour", "status", "times"),
        [
            ("fail/400", 502, 1),
            ("fail/401", 502, 1),
            ("fail/403", 502, 1),
            ("fail/404", 502, 1),
            ("fail/500", 502, 2),
            ("fail/502", 502, 2),
            ("fail/503", 503, 2),
            ("fail/529", 503, 2),
            ("limited", 429, 1),
            ("redirect", 502, 1),
            ("gzipped", 502, 1),
            ("page", 502, 1),
            ("no-json", 502, 1),
        ],
    )
    def test_the_answer_fails_and_the_question_stays(
        self,
        api: Api,
        alice: User,
        provider: FakeProvider,
        behaviour: str,
        status: int,
        times: int,
    ):
        persona(alice, provider, behaviour)

        answer = api.generate()

        assert answer.status_code == status
        body = answer.json()
        assert body.keys() == {"message", "error", "details"}
        assert body["details"]["state"] == State.FAILED
        assert KEY not in answer.text
        assert str(provider.port) not in answer.text
        assert outcome() == (State.FAILED, "")
        assert texts(Chat.objects.get(pk=body["details"]["chatId"])) == [QUESTION, ""]
        assert len(questions(provider)) == times

    @pytest.mark.parametrize(
        "body",
        [
            {"error": {"message": "No such\nmodel.", "type": "t"}},
            [{"error": {"message": "No such model.", "status": "NOT_FOUND"}}],
            {"error": "No such model."},
            {"object": "error", "message": "No such model."},
        ],
    )
    def test_a_refusal_is_told_in_the_providers_words(
        self, api: Api, alice: User, provider: FakeProvider, body: Any
    ):
        refusing(provider, body)
        persona(alice, provider, "refusing")

        told = api.generate().json()["message"]

        assert told == "The model's provider refused the request (status 404): No such model."

    @pytest.mark.parametrize(
        "body", [{"error": {"message": f"No key {KEY} here. {'x' * 5000}"}}, {"error": [KEY]}, KEY]
    )
    def test_its_words_are_few_and_have_no_key(
        self, api: Api, alice: User, provider: FakeProvider, body: Any
    ):
        refusing(provider, body)
        persona(alice, provider, "refusing")

        told = api.generate().json()["message"]

        assert KEY not in told
        assert len(told) < 400

    def test_how_long_to_wait_is_passed_on(self, api: Api, alice: User, provider: FakeProvider):
        persona(alice, provider, "limited")

        assert int(api.generate().headers["retry-after"]) > 0
        assert int(api.post("", asking()).headers["retry-after"]) == 7

    def test_a_stream_tells_it_as_an_error_and_ends(
        self, api: Api, alice: User, provider: FakeProvider
    ):
        persona(alice, provider, "fail/401")

        found = api.streamed()

        assert types(found) == ["thinking_update", "metadata", "error", "done"]
        assert found[-2].data["content"] is None
        assert found[-2].data["error"]["code"] == "upstream_refused"
        assert found[-3].data["content"]["state"] == State.FAILED

    @pytest.mark.parametrize("what", ["500/-", "502/-", "529/-", "503/-", "503/1"])
    def test_what_fails_for_a_moment_is_asked_once_more(
        self, api: Api, alice: User, provider: FakeProvider, what: str
    ):
        persona(alice, provider, f"once/{what}")

        assert api.generate().json()["result"]["message"] == ANSWER
        assert len(questions(provider)) == 2

    @pytest.mark.parametrize("what", ["429/1", "503/7", "408/-"])
    def test_what_asks_for_patience_is_not(
        self, api: Api, alice: User, provider: FakeProvider, what: str
    ):
        persona(alice, provider, f"once/{what}")

        assert api.generate().status_code in (429, 502, 503)
        assert len(questions(provider)) == 1

    def test_a_provider_that_is_not_there(
        self, api: Api, alice: User, provider: FakeProvider, settings: LazySettings
    ):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        settings.PROXY_ALLOWED_TARGETS = [f"127.0.0.1:{port}"]
        persona(alice, provider)
        Provider.objects.update(base_url=f"http://127.0.0.1:{port}/v1")

        answer = api.generate()

        assert answer.status_code == 502
        assert str(port) not in answer.text
        assert outcome() == (State.FAILED, "")

    def test_a_provider_that_may_not_be_asked(self, api: Api, alice: User, provider: FakeProvider):
        persona(alice, provider)
        Provider.objects.update(base_url="http://10.0.0.1/v1")

        assert api.generate().status_code == 400
        assert outcome() == (State.FAILED, "")

    def test_a_provider_that_says_nothing(
        self, api: Api, alice: User, provider: FakeProvider, settings: LazySettings
    ):
        settings.PROXY_FIRST_BYTE_TIMEOUT = 0.5
        persona(alice, provider, "stall")

        answer = api.generate()

        assert answer.status_code == 504
        assert outcome() == (State.FAILED, "")
        assert questions(provider)[-1].is_closed.wait(2)

    def test_what_a_provider_refuses_filtered_it_gets_whole(
        self, api: Api, alice: User, provider: FakeProvider
    ):
        persona(alice, provider, "refuse-filtered")
        history = [
            "How do I bake sourdough bread at home?",
            "Mix flour, water, salt and sourdough starter, proof it overnight, then bake.",
            "What is the capital of France?",
            "The capital of France is Paris, on the river Seine.",
            "Which film by Tarkovsky should I watch first?",
            "Start with Stalker, a slow and beautiful journey.",
            "How long does sourdough bread have to bake?",
        ]

        answer = api.generate(asking(*history))

        assert answer.json()["metadata"]["context"]["result"] == "undone"
        assert len(questions(provider)) == 2


def saying(provider: FakeProvider, *pieces: bytes, then: list[bytes] | None = None) -> None:
    """Have the behaviour `saying` stream this, and something else from the second time on."""
    streams = iter([list(pieces)])

    async def say(request: web.Request, received: Received) -> web.StreamResponse:
        return await stream(request, next(streams, then or list(pieces)))

    provider.behaviours["saying"] = say


def event(**fields: Any) -> bytes:
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


LIMIT = {"message": "Rate limit reached for org", "code": "rate_limit_exceeded"}
LIMITED = "The model's provider takes no more for now (rate_limit_exceeded): Rate limit reached"


class TestInAnEventOfTheStream:
    @pytest.mark.parametrize(
        ("error", "status", "words"),
        [
            (event(error=LIMIT), 429, LIMITED),
            (
                event(error={"message": "The engine is overloaded", "code": 529}),
                503,
                "The model's provider takes no more for now (status 529): The engine is overloaded",
            ),
            (
                event(error="overloaded, try later"),
                503,
                "The model's provider takes no more for now: overloaded, try later",
            ),
            (
                b'event: error\ndata: {"message": "boom"}\n\n',
                502,
                "The model's provider failed (status 502): boom",
            ),
            (b"event: error\ndata: boom\n\n", 502, "(status 502): boom"),
            (
                event(error={"message": "Flagged", "code": 403}),
                502,
                "The model's provider refused the request (status 403): Flagged",
            ),
            (event(object="error", message="Too long", code=400), 502, "(status 400): Too long"),
            (
                event(type="error", error={"type": "overloaded_error", "message": "Busy"}),
                503,
                "Bus",
            ),
            (
                event(choices=[{"error": {"message": "Gone", "code": 502}}]),
                502,
                "(status 502): Gone",
            ),
            (event(error={"message": "Oh", "type": "server_error"}), 502, "(server_error): Oh"),
            (event(error={"code": 500}), 502, "failed (status 500). Try again."),
        ],
        ids=repr,
    )
    @pytest.mark.parametrize("begun", [b"", chunk({"content": "One"})], ids=["first", "later"])
    def test_a_fault_is_told_in_the_providers_words(
        self,
        api: Api,
        alice: User,
        provider: FakeProvider,
        begun: bytes,
        error: bytes,
        status: int,
        words: str,
    ):
        saying(provider, begun, error)
        persona(alice, provider, "saying")

        answer = api.generate()

        assert answer.status_code == status
        assert words in answer.json()["message"]
        assert outcome() == ((State.INCOMPLETE, "One") if begun else (State.FAILED, ""))

    def test_of_geminis_it_is_too(self, api: Api, alice: User, provider: FakeProvider):
        said = gemini.answer({"text": "One"})
        error = {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}
        saying(provider, event(**said), event(error=error))
        persona(alice, provider, "saying", dialect="gemini")

        answer = api.generate()

        assert answer.json()["message"] == (
            "The model's provider takes no more for now (status 503): The model is overloaded."
        )
        assert outcome() == (State.INCOMPLETE, "One")

    @pytest.mark.parametrize("begun", [b"", chunk({"content": "One"})], ids=["first", "later"])
    def test_it_is_no_fault_of_the_network_in_usage(
        self, api: Api, alice: User, provider: FakeProvider, the_server: Server, begun: bytes
    ):
        saying(provider, begun, event(error="boom"))
        persona(alice, provider, "saying")
        api.generate()

        the_server.write_usage()

        assert UsageRecord.objects.latest("pk").outcome == UsageRecord.Outcome.FAILED

    def test_its_words_and_its_code_have_no_key(
        self, api: Api, alice: User, provider: FakeProvider
    ):
        saying(provider, event(error={"message": f"No {KEY}\nhere" + "x" * 999, "code": KEY}))
        persona(alice, provider, "saying")

        told = api.generate().json()["message"]

        assert KEY not in told
        assert "No *** here" in told
        assert len(told) < 400

    @pytest.mark.parametrize(
        "error",
        [LIMIT, {"code": 529, "message": "Overloaded"}, "overloaded", {"code": 500}],
        ids=repr,
    )
    def test_before_the_first_piece_what_fails_for_a_moment_is_asked_once_more(
        self, api: Api, alice: User, provider: FakeProvider, error: Any
    ):
        saying(provider, chunk({"role": "assistant"}), event(error=error), then=deltas())
        persona(alice, provider, "saying")

        assert api.generate().json()["result"]["message"] == ANSWER
        assert len(questions(provider)) == 2

    def test_before_the_first_piece_it_is_asked_no_third_time(
        self, api: Api, alice: User, provider: FakeProvider
    ):
        saying(provider, event(error=LIMIT))
        persona(alice, provider, "saying")

        answer = api.generate()

        assert (answer.status_code, answer.headers["retry-after"]) == (429, "5")
        assert len(questions(provider)) == 2

    @pytest.mark.parametrize(
        "pieces",
        [
            [chunk({"content": "One"}), event(error=LIMIT)],
            [event(error={"code": 403, "message": "Flagged"})],
        ],
        ids=["after-a-piece", "a-refusal"],
    )
    def test_else_it_is_asked_once(
        self, api: Api, alice: User, provider: FakeProvider, pieces: list[bytes]
    ):
        saying(provider, *pieces)
        persona(alice, provider, "saying")

        api.generate()

        assert len(questions(provider)) == 1

    def test_after_the_finish_it_changes_nothing(
        self, api: Api, alice: User, provider: FakeProvider
    ):
        saying(provider, chunk({"content": "One"}), chunk({}, "stop"), event(error=LIMIT))
        persona(alice, provider, "saying")

        assert api.generate().json()["result"]["message"] == "One"


class TestInTheMiddle:
    @pytest.mark.parametrize(
        ("behaviour", "kept"),
        [
            ("cut", "One"),
            ("no-end", "One"),
            ("error-inside", "One"),
            ("endless-event", "One"),
        ],
    )
    def test_what_came_is_kept_and_the_break_is_told(
        self, api: Api, alice: User, provider: FakeProvider, behaviour: str, kept: str
    ):
        persona(alice, provider, behaviour)

        found = api.streamed()

        assert types(found)[-4:] == ["response_delta", "metadata", "error", "done"]
        assert text(found) == kept
        assert KEY not in json.dumps([event.data for event in found])
        assert outcome() == (State.INCOMPLETE, kept)
        assert len(questions(provider)) == 1

    def test_a_provider_that_falls_silent(
        self, api: Api, alice: User, provider: FakeProvider, settings: LazySettings
    ):
        settings.PROXY_IDLE_TIMEOUT = 0.5
        persona(alice, provider, "stall-after-one")

        found = api.streamed()

        assert found[-2].data["error"]["code"] == "upstream_timeout"
        assert outcome() == (State.INCOMPLETE, "One")

    def test_an_answer_that_takes_too_long(
        self, api: Api, alice: User, provider: FakeProvider, settings: LazySettings
    ):
        settings.CHAT_ANSWER_SECONDS = 0.5
        persona(alice, provider, "slow")

        assert api.generate().status_code == 504
        state, said = outcome()
        assert state == State.INCOMPLETE
        assert said.startswith("0 1 2 ")

    def test_an_answer_that_is_too_large(
        self, api: Api, alice: User, provider: FakeProvider, settings: LazySettings
    ):
        settings.PROXY_MAX_RESPONSE = 100_000
        persona(alice, provider, "endless")

        assert api.generate().status_code == 502
        assert questions(provider)[-1].is_closed.wait(2)


class TestOddButSound:
    @pytest.mark.parametrize("behaviour", ["bad-event", "byte-by-byte", "no-last-event", "whole"])
    def test_answers_are_complete(
        self, api: Api, alice: User, provider: FakeProvider, behaviour: str
    ):
        persona(alice, provider, behaviour)

        assert api.generate().json()["result"]["message"] == ANSWER
        assert outcome() == (State.COMPLETE, ANSWER)

    def test_a_models_own_reasoning_is_told_and_is_no_part_of_the_answer(
        self, api: Api, alice: User, provider: FakeProvider
    ):
        persona(alice, provider, "reasoning")

        found = api.streamed()

        thoughts = [e.data for e in found if e.data and e.data.get("step") == "reasoning"]
        assert "".join(thought["content"] for thought in thoughts) == "Flour and time."
        assert outcome() == (State.COMPLETE, ANSWER)

    def test_a_nul_is_left_out(self, api: Api, alice: User, provider: FakeProvider):
        persona(alice, provider, "nul")

        assert api.generate().json()["result"]["message"] == "ab"

    @pytest.mark.parametrize("behaviour", ["gemini", "gemini/x"])
    def test_gemini_answers_too(
        self, api: Api, alice: User, provider: FakeProvider, behaviour: str
    ):
        persona(alice, provider, behaviour, dialect="gemini", temperature=0.5, max_tokens=50)

        answer = api.generate()

        assert answer.json()["result"]["message"].strip() == ANSWER
        sent: Any = questions(provider)[-1]
        assert sent.headers["x-goog-api-key"] == KEY
        assert sent.json["systemInstruction"]["parts"] == [{"text": "You bake."}]
        assert sent.json["generationConfig"] == {"temperature": 0.5, "maxOutputTokens": 50}
        assert sent.json["contents"] == [{"role": "user", "parts": [{"text": QUESTION}]}]

    @pytest.mark.parametrize("behaviour", ["anthropic", "anthropic-whole"])
    def test_anthropic_answers_too(
        self, api: Api, alice: User, provider: FakeProvider, behaviour: str
    ):
        persona(alice, provider, behaviour, dialect="anthropic", temperature=0.5, max_tokens=50)

        answer = api.generate()

        assert answer.json()["result"]["message"].strip() == ANSWER
        sent: Any = questions(provider)[-1]
        assert sent.path == f"/{behaviour}/v1/messages"
        assert sent.headers["x-api-key"] == KEY
        assert sent.headers["anthropic-version"] == "2023-06-01"
        assert sent.json == {
            "model": "gpt-test",
            "max_tokens": 50,
            "messages": [{"role": "user", "content": QUESTION}],
            "stream": True,
            "system": "You bake.",
            "temperature": 0.5,
        }

    @pytest.mark.parametrize("behaviour", ["anthropic-cut/by-reset", "anthropic-breakdown"])
    def test_anthropics_answer_that_breaks_is_none(
        self, api: Api, alice: User, provider: FakeProvider, behaviour: str
    ):
        persona(alice, provider, behaviour, dialect="anthropic")

        assert api.generate().status_code in (502, 503)


class TestADatabaseThatGoes:
    def test_ends_a_stream_with_an_error_and_not_in_the_middle(
        self, api: Api, alice: User, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
    ):
        async def fail(*args: object) -> None:
            raise OperationalError("secret-host refused")

        persona(alice, provider)
        with api.stream() as response:
            session = response.headers["x-alchemyst-replay-session-id"]
            assert b"final_response" in response.content
        monkeypatch.setattr("chats.eventlog.log._read", fail)

        error, done = api.replay(session)

        assert error.data["error"]["code"] == "unavailable"
        assert done.type == "done"
        assert "secret-host" not in str(error.data)
