"""Chats with providers that speak Anthropic's Messages or OpenAI's Responses."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from alchemyst.accounts.models import User
from chats.answers import titles
from chats.answers.research import PLANNING
from chats.models import Generation
from proxy.models import UsageRecord
from tests.chats.answers import KEY, QUESTION, Api, asking, persona, questions, text
from tests.conftest import Server
from tests.fakes import ANSWER, FakeProvider, Received, stream

State = Generation.State
DIALECTS = ("anthropic", "responses")
THOUGHT = "Flour and time."
Saying = Callable[..., None]


def event(type: str, **fields: Any) -> bytes:
    return f"event: {type}\ndata: {json.dumps({'type': type} | fields)}\n\n".encode()


def delta(kind: str, **fields: Any) -> bytes:
    return event("content_block_delta", index=0, delta={"type": f"{kind}_delta"} | fields)


# Each dialect's stream in parts: how it begins, what it says, how it ends well, an error within.
BEGIN = {
    "anthropic": event(
        "message_start",
        message={"id": "msg_1", "type": "message", "role": "assistant", "content": [],
                 "usage": {"input_tokens": 5, "cache_read_input_tokens": 16, "output_tokens": 1}},
    ),
    "responses": event(
        "response.created", response={"id": "resp_1", "status": "in_progress", "output": []}
    ),
}  # fmt: skip
THINKING = {
    "anthropic": event("ping")
    + delta("thinking", thinking=THOUGHT)
    + delta("signature", signature="x"),
    "responses": event("response.reasoning_summary_text.delta", delta=THOUGHT, output_index=0),
}  # fmt: skip
ERROR = {
    "anthropic": lambda code, words: event("error", error={"type": code, "message": words}),
    "responses": lambda code, words: event("error", code=code, message=words, param=None),
}
OVERLOADED = {"anthropic": "overloaded_error", "responses": "rate_limit_exceeded"}


def piece(dialect: str, text: str) -> bytes:
    if dialect == "anthropic":
        return delta("text", text=text)
    return event("response.output_text.delta", delta=text, output_index=0, content_index=0)


def ending(dialect: str, finish: str = "stop") -> bytes:
    if dialect == "anthropic":
        reason = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal"}[finish]
        delta = {"stop_reason": reason, "stop_sequence": None}
        usage = {"output_tokens": 4}
        return event("message_delta", delta=delta, usage=usage) + event("message_stop")
    usage = {"input_tokens": 21, "input_tokens_details": {"cached_tokens": 16}, "output_tokens": 4}
    response: dict[str, Any] = {"id": "resp_1", "status": "completed", "output": [], "usage": usage}
    if finish == "stop":
        return event("response.completed", response=response)
    reason = "max_output_tokens" if finish == "length" else finish
    response |= {"status": "incomplete", "incomplete_details": {"reason": reason}}
    return event("response.incomplete", response=response)


def good(dialect: str) -> list[bytes]:
    return [BEGIN[dialect], THINKING[dialect], piece(dialect, ANSWER), ending(dialect)]


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def saying(provider: FakeProvider, alice: User, dialect: str) -> Saying:
    """Has a persona's provider say this in the dialect; what it says after the first request."""

    def tell(*pieces: bytes, then: list[bytes] | None = None, **more: Any) -> None:
        async def behave(request: web.Request, received: Received) -> web.StreamResponse:
            is_first = len(questions(provider)) <= 1
            return await stream(request, list(pieces) if then is None or is_first else then)

        provider.behaviours["saying"] = behave
        persona(alice, provider, "saying", dialect=dialect, **more)

    return tell


@pytest.fixture
def answers_by_words(provider: FakeProvider, alice: User, dialect: str) -> None:
    """Has a persona's provider answer what it is asked for: a title, a plan, or an answer."""

    async def behave(request: web.Request, received: Received) -> web.StreamResponse:
        asked, words = received.body.decode(), ANSWER
        if titles.TITLE_PROMPT[:30] in asked:
            words = "Slow bread"
        elif PLANNING[:30] in asked:
            words = "kitchen temperature"
        return await stream(request, [BEGIN[dialect], piece(dialect, words), ending(dialect)])

    provider.behaviours["by-words"] = behave
    persona(alice, provider, "by-words", dialect=dialect)


def title_of(api: Api, chat: str, expected: str) -> str:
    """The chat's title, once it is the expected one, or after a while."""
    for _ in range(100):
        title: str = api.http.get(f"{api.url}/fetch/{chat}").json()["title"]
        if title == expected:
            break
    return title


def outcome() -> tuple[str, str]:
    generation = Generation.objects.select_related("message").latest("pk")
    return generation.state, generation.message.content


class TestAnAnswer:
    def test_is_read_from_the_stream(self, api: Api, saying: Saying, dialect: str):
        saying(*good(dialect))

        assert api.generate().json()["result"]["message"] == ANSWER
        assert outcome() == (State.COMPLETE, ANSWER)

    def test_is_asked_for_at_the_endpoint_with_the_key(
        self, api: Api, saying: Saying, dialect: str, provider: FakeProvider
    ):
        saying(*good(dialect), max_tokens=50)

        api.generate()

        sent = questions(provider)[-1]
        body = sent.json
        assert body["stream"] is True
        if dialect == "anthropic":
            assert sent.path == "/saying/v1/messages"
            assert sent.headers["x-api-key"] == KEY
            assert sent.headers["anthropic-version"]
            assert (body["system"], body["max_tokens"]) == ("You bake.", 50)
            assert body["messages"] == [{"role": "user", "content": QUESTION}]
        else:
            assert sent.path == "/saying/v1/responses"
            assert sent.headers["Authorization"] == f"Bearer {KEY}"
            assert (body["instructions"], body["max_output_tokens"]) == ("You bake.", 50)
            assert body["store"] is False

    def test_has_its_reasoning_apart(self, api: Api, saying: Saying, dialect: str):
        saying(*good(dialect))

        thoughts = [e.data for e in api.streamed() if e.data and e.data.get("step") == "reasoning"]

        assert "".join(thought["content"] for thought in thoughts) == THOUGHT

    def test_is_counted_as_the_provider_does(
        self, api: Api, saying: Saying, dialect: str, the_server: Server
    ):
        saying(*good(dialect))

        api.generate()

        the_server.write_usage()
        row = UsageRecord.objects.get(endpoint="chat")
        assert (row.prompt_tokens, row.cached_tokens, row.completion_tokens) == (21, 16, 4)

    @pytest.mark.parametrize("finish", ["stop", "length", "content_filter"])
    def test_ends_for_a_reason_in_the_chats_own_words(
        self, api: Api, saying: Saying, dialect: str, finish: str
    ):
        saying(BEGIN[dialect], piece(dialect, "One"), ending(dialect, finish))

        api.generate()

        message = Generation.objects.latest("pk").message
        assert message.metadata["finishReason"] == finish

    def test_of_a_long_history_keeps_the_turns_in_order(
        self, api: Api, saying: Saying, dialect: str, provider: FakeProvider
    ):
        saying(*good(dialect))

        api.generate(asking("Which flour?", "Rye.", QUESTION))

        body = questions(provider)[-1].json
        sent = body["messages" if dialect == "anthropic" else "input"]
        assert [each["role"] for each in sent][-1] == "user"
        assert sent[0]["role"] == "user"

    def test_names_its_chat(self, api: Api, answers_by_words: None):
        chat = api.generate().json()["chatId"]

        assert title_of(api, chat, "Slow bread") == "Slow bread"

    def test_is_researched(self, api: Api, answers_by_words: None, provider: FakeProvider):
        found = api.streamed(asking(QUESTION, tools={"research": True}))

        steps = [e.data["content"] for e in found if e.data and e.data.get("step") == "research"]
        assert "“kitchen temperature”" in steps[0]
        assert text(found) == ANSWER


class TestAFault:
    @pytest.mark.parametrize("has_begun", [False, True])
    def test_is_told_in_the_providers_words(
        self, api: Api, saying: Saying, dialect: str, has_begun: bool
    ):
        begun = [piece(dialect, "One")] if has_begun else []
        saying(BEGIN[dialect], *begun, ERROR[dialect]("invalid_request_error", "No such tool."))

        answer = api.generate()

        assert answer.status_code == 502
        assert "No such tool." in answer.json()["message"]
        assert outcome() == ((State.INCOMPLETE, "One") if has_begun else (State.FAILED, ""))

    def test_of_a_moment_is_asked_once_more(
        self, api: Api, saying: Saying, dialect: str, provider: FakeProvider
    ):
        saying(BEGIN[dialect], ERROR[dialect](OVERLOADED[dialect], "Busy."), then=good(dialect))

        assert api.generate().json()["result"]["message"] == ANSWER
        assert len(questions(provider)) == 2

    def test_that_stays_is_too_much_to_do(self, api: Api, saying: Saying, dialect: str):
        saying(BEGIN[dialect], ERROR[dialect](OVERLOADED[dialect], "Busy."))

        answer = api.generate()

        assert answer.status_code in (429, 503)
        assert "Busy." in answer.json()["message"]

    @pytest.mark.parametrize("dialect", ["responses"], indirect=True)
    def test_of_a_response_that_failed_is_told(self, api: Api, saying: Saying, dialect: str):
        error = {"code": "invalid_prompt", "message": "Not this."}
        failed = {"id": "resp_1", "status": "failed", "error": error}
        saying(BEGIN[dialect], event("response.failed", response=failed))

        answer = api.generate()

        assert "Not this." in answer.json()["message"]

    def test_is_a_stream_that_ends_too_early(self, api: Api, saying: Saying, dialect: str):
        saying(BEGIN[dialect], piece(dialect, "One"))

        assert api.generate().status_code == 502
        assert outcome() == (State.INCOMPLETE, "One")
