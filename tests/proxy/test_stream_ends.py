"""A stream ends where its dialect says so, whatever HTTP says; before that it has broken off."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

import openai
import pytest
import requests
from aiohttp import web

from proxy.models import UsageRecord
from proxy.wire.sse import LONGEST_EVENT
from tests import gemini, responses
from tests.fakes import USAGE, FakeProvider, Received, chunk, deltas
from tests.proxy.conftest import HISTORY, completion

Outcome = UsageRecord.Outcome
QUESTION = HISTORY[-1:]
Sends = Callable[..., None]
Ask = Callable[[], requests.Response]

ONE, TWO, STOP = chunk({"content": "One"}), chunk({"content": " two"}), chunk({}, "stop")
DONE = b"data: [DONE]\n\n"
BROKE_OFF = "The provider's answer broke off. Try again."
BROKEN = (requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError)


def choice(index: int, text: str = "", finish: str | None = None) -> bytes:
    delta = {"content": text} if text else {}
    return chunk({}, choices=[{"index": index, "delta": delta, "finish_reason": finish}])


def event(**fields: Any) -> bytes:
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


def error_of(end: bytes) -> dict[str, Any]:
    """The error in a stream's last event."""
    error: dict[str, Any] = json.loads(end.strip().rpartition(b"data: ")[2])["error"]
    return error


@pytest.fixture
def sends(provider: FakeProvider) -> Sends:
    """Has the provider answer with these bytes, in an HTTP body that ends as it should."""

    def sends(
        *pieces: bytes,
        kind: str = "text/event-stream",
        is_reset: bool = False,
        wait_before_last: threading.Event | None = None,
        **headers: str,
    ) -> None:
        async def behaviour(request: web.Request, received: Received) -> web.StreamResponse:
            response = web.StreamResponse(headers={"content-type": kind} | headers)
            await response.prepare(request)
            for place, piece in enumerate(pieces):
                if wait_before_last and place == len(pieces) - 1:
                    while not wait_before_last.is_set():
                        await _a_moment()
                await response.write(piece)
                await _a_moment()
            if is_reset:
                assert request.transport is not None
                request.transport.abort()
            return response

        provider.behaviours["given"] = behaviour

    return sends


async def _a_moment() -> None:
    """Let what was written go out by itself, so that pieces arrive as they were made."""
    await asyncio.sleep(0.005)


@pytest.fixture
def ask(http: requests.Session, through: Callable[..., str]) -> Ask:
    def ask() -> requests.Response:
        body = completion(QUESTION, stream=True)
        return http.post(f"{through('given')}/chat/completions", json=body, stream=True)

    return ask


class TestAWholeStream:
    @pytest.mark.parametrize(
        "pieces",
        [
            deltas(),
            [ONE, STOP],
            [ONE, DONE],
            [DONE],
            [ONE, STOP, DONE.rstrip()],
            [ONE, STOP.rstrip()],
            [ONE, STOP.rstrip() + b"\n"],
            [ONE, STOP, chunk({}, choices=[], usage=USAGE)],
            [ONE, chunk({}, "stop", usage=USAGE)],
            [ONE, STOP, choice(0)],
            [ONE, STOP, b": bye\n\n"],
            [ONE, STOP, b": by"],
            [ONE, STOP, b"\n"],
            [b": waking up\n\n", b":\n", ONE, b"event: x\ndata: 1\n\n", STOP],
            [ONE, b"data: {nonsense\n\n", STOP],
            [chunk({}, choices=[]), ONE, STOP],
            [chunk({"tool_calls": [{"index": 1}]}), chunk({}, "tool_calls")],
            [ONE, chunk({}, "a-new-reason")],
            [ONE, STOP, event(choices=[], citations=["x" * 40_000])],
            [choice(0, "a"), choice(1, "b"), choice(1, "", "stop"), choice(0, "", "length")],
            [choice(0, "", "stop"), *[choice(1, "b")] * 300, choice(1, "", "stop")],
            [b'data:{"choices":[{"finish_reason" : "stop","index":null}]}\r\n\r\n'],
            [b'data: {"choices":[{"text":"a","finish_reason":"stop"}]}\n\n'],
            [event(padding="x" * 2 * LONGEST_EVENT, choices=[{"finish_reason": "stop"}])],
            [ONE, event(choices=[{"finish_reason": "stop"}], citations=["x" * 20_000])],
            [ONE, STOP, event(error=None, choices=[])],
            [event(choices=[{"index": "0", "finish_reason": "stop"}])],
            [ONE, event(choices=[{"finish_reason": "stop", "native_finish_reason": 1}])],
            [ONE, b'data: {"choices":[{"delta":{},"finish_rea', b'son":"stop"}]}\n\n'],
            [ONE.replace(b"\n", b"\r"), STOP.replace(b"\n", b"\r")],
        ],
        ids=lambda pieces: b"".join(pieces)[-60:].decode(),
    )
    def test_is_complete_and_comes_byte_for_byte(
        self, sends: Sends, ask: Ask, rows, pieces: list[bytes]
    ):
        sends(*pieces)

        answer = ask()

        assert answer.content == b"".join(pieces)
        assert rows()[0].outcome == Outcome.COMPLETE

    def test_is_complete_however_its_connection_ends(self, sends: Sends, ask: Ask, rows):
        sends(ONE, STOP, is_reset=True)

        assert ask().content == ONE + STOP
        assert rows()[0].outcome == Outcome.COMPLETE

    def test_is_complete_if_its_connection_stays_open_without_a_word(
        self, sends: Sends, ask: Ask, rows, bounds
    ):
        sends(ONE, STOP, DONE, b"", wait_before_last=threading.Event())

        assert ask().content == ONE + STOP + DONE
        assert rows()[0].outcome == Outcome.COMPLETE

    def test_may_say_its_length(self, sends: Sends, ask: Ask):
        sends(ONE, STOP, **{"content-length": str(len(ONE + STOP))})

        assert ask().content == ONE + STOP


class TestAStreamWhoseBodyEndsEarly:
    @pytest.mark.parametrize(
        ("pieces", "whole"),
        [
            ([], b""),
            ([b""], b""),
            ([ONE, TWO], ONE + TWO),
            ([ONE, TWO.rstrip()], ONE),
            ([ONE, TWO[:-20]], ONE),
            ([ONE + TWO[:9]], ONE),
            ([ONE, STOP[:-10]], ONE),
            ([ONE, STOP, chunk({}, choices=[], usage=USAGE)[:-30]], ONE + STOP),
            ([ONE, b"event: x\n"], ONE),
            ([b": waking up\n\n"], b": waking up\n\n"),
            ([ONE, chunk({}, "")], ONE + chunk({}, "")),
            ([ONE, chunk({"content": '"finish_reason":"stop"'})], None),
            ([ONE, chunk({"content": "\n\ndata: [DONE]\n\n"})], None),
            ([choice(0, "a"), choice(1, "b"), choice(0, "", "stop")], None),
            ([choice(0, "", "stop"), *[choice(1, "b")] * 300], None),
            ([ONE] * 300, None),
        ],
        ids=repr,
    )
    def test_is_broken_and_ends_with_an_error_event_after_whole_ones(
        self, sends: Sends, ask: Ask, rows, pieces: list[bytes], whole: bytes | None
    ):
        sends(*pieces)

        content = ask().content

        whole = b"".join(pieces) if whole is None else whole
        assert content.startswith(whole)
        assert error_of(content[len(whole) :])["code"] == "upstream_unreachable"
        assert content[len(whole) :].count(b"data:") == 1
        assert rows()[0].outcome == Outcome.BROKEN

    def test_is_broken_wherever_it_was_cut(self, sends: Sends, ask: Ask, rows):
        stream = TWO + STOP

        for cut in range(0, len(stream.rstrip()), 11):
            sends(stream[:cut])
            *events, error = filter(None, ask().content.split(b"\n\n"))
            assert events in ([], [TWO.strip()])
            assert error_of(error)["message"] == BROKE_OFF

        assert {row.outcome for row in rows()} == {Outcome.BROKEN}

    def test_is_broken_though_it_came_in_the_length_that_it_told(
        self, sends: Sends, ask: Ask, rows
    ):
        sends(ONE, TWO, **{"content-length": str(len(ONE + TWO))})

        content = ask().content

        assert error_of(content.removeprefix(ONE + TWO))["message"] == BROKE_OFF
        assert rows()[0].outcome == Outcome.BROKEN

    def test_is_broken_if_less_came_than_it_told(self, sends: Sends, http, through, rows):
        """Also where only HTTP tells, as of an endpoint whose streams are not known."""
        sends(ONE, is_reset=True, **{"content-length": str(len(ONE + TWO))})
        shown = {"x-goog-api-key": gemini.KEY}
        url = f"{through('given').rpartition('/v1/')[0]}/v1beta/models/m:predict"

        answer = http.post(url, json={}, headers=shown)

        assert error_of(answer.content.removeprefix(ONE))["status"] == "UNAVAILABLE"
        assert rows()[0].outcome == Outcome.BROKEN

    @pytest.mark.parametrize("pieces", [[ONE], [ONE, TWO[:-20]], [ONE + TWO[:9]], []], ids=repr)
    @pytest.mark.parametrize("is_reset", [False, True], ids=["ended", "reset"])
    def test_raises_our_message_in_the_openai_package(
        self, sends: Sends, sdk: Callable[..., openai.OpenAI], through, pieces, is_reset: bool
    ):
        sends(*pieces, is_reset=is_reset)
        stream = sdk(through("given")).chat.completions.create(**completion(QUESTION), stream=True)

        with pytest.raises(openai.APIError) as raised:
            list(stream)

        assert (raised.value.message, raised.value.code) == (BROKE_OFF, "upstream_unreachable")

    @pytest.mark.parametrize(
        "error",
        [
            event(error={"message": "Overloaded", "code": 529}),
            event(error="overloaded"),
            b'event: error\ndata: {"message":"boom"}\n\n',
            event(object="error", message="boom", code=400),
        ],
        ids=repr,
    )
    @pytest.mark.parametrize("end", [b"", DONE])
    def test_after_the_providers_own_error_event_is_given_no_other(
        self, sends: Sends, ask: Ask, rows, error: bytes, end: bytes
    ):
        sends(ONE, error, end)

        assert ask().content == ONE + error + end
        assert rows()[0].outcome == Outcome.FAILED

    def test_of_an_endpoint_or_a_status_that_is_not_known_ends_as_http_says(
        self, sends: Sends, http: requests.Session, through, provider: FakeProvider, rows
    ):
        sends(ONE)
        shown = {"x-goog-api-key": gemini.KEY}
        url = f"{through('given').rpartition('/v1/')[0]}/v1beta/models/m:predict"

        answer = http.post(url, json={}, headers=shown)

        assert answer.content == ONE
        assert rows()[0].outcome == Outcome.COMPLETE


class TestAnEvent:
    def test_goes_out_while_the_next_is_not_whole(self, sends: Sends, ask: Ask):
        goes_on = threading.Event()
        sends(ONE + TWO[:30], TWO[30:] + STOP, wait_before_last=goes_on)

        pieces = ask().iter_content(None)

        assert next(pieces) == ONE
        goes_on.set()
        assert b"".join(pieces) == TWO + STOP

    @pytest.mark.parametrize("comment", [b": ping\n", b": ping\n\n", b":\r\n", b"\n", b": p\r"])
    def test_is_not_awaited_by_a_comment_that_keeps_the_client_awake(
        self, sends: Sends, ask: Ask, comment: bytes
    ):
        goes_on = threading.Event()
        sends(comment, ONE + STOP, wait_before_last=goes_on)

        pieces = ask().iter_content(None)

        assert next(pieces) == comment
        goes_on.set()
        assert b"".join(pieces) == ONE + STOP

    @pytest.mark.parametrize("size", [1, 3, 7, 100])
    @pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=repr)
    def test_comes_as_it_is_in_pieces_of_any_size(
        self, sends: Sends, ask: Ask, rows, size: int, end: bytes
    ):
        stream = b"".join([b": hi\n", ONE, b"data: 1\ndata: 2\n\n", STOP]).replace(b"\n", end)
        sends(*(stream[n : n + size] for n in range(0, len(stream), size)))

        assert ask().content == stream
        assert rows()[0].outcome == Outcome.COMPLETE


class TestGemini:
    EVENTS = gemini.as_events()

    @pytest.fixture
    def ask(self, ask_gemini: gemini.Ask) -> Callable[[str], requests.Response]:
        def ask(query: str = "?alt=sse") -> requests.Response:
            return ask_gemini(task="streamGenerateContent", query=query, behaviour="given")

        return ask

    @pytest.mark.parametrize(
        "pieces",
        [
            EVENTS,
            [event(promptFeedback={"blockReason": "SAFETY"}, usageMetadata={})],
            [event(candidates=[{"finishReason": "A_NEW_ONE"}]), event(usageMetadata={"a": 1})],
            [event(candidates=[{"finishReason": 1}])],
            [event(candidates=[{"content": {"x": "y" * 300_000}, "finishReason": "STOP"}])],
            [event(candidates=[{"index": i, "finishReason": "STOP"}]) for i in (0, 1)],
        ],
        ids=lambda pieces: repr(pieces)[-50:],
    )
    def test_a_stream_with_its_finish_is_complete(
        self, sends: Sends, ask, rows, pieces: list[bytes]
    ):
        sends(*pieces)

        assert ask().content == b"".join(pieces)
        assert rows()[0].outcome == Outcome.COMPLETE

    @pytest.mark.parametrize(
        ("pieces", "whole"),
        [
            ([], b""),
            (EVENTS[:1], EVENTS[0]),
            ([EVENTS[0], EVENTS[-1][:-30]], EVENTS[0]),
            ([event(candidates=[{"finishReason": "STOP"}, {"index": 1}])], None),
        ],
        ids=lambda value: repr(value)[-50:],
    )
    def test_a_stream_without_it_is_broken(
        self, sends: Sends, ask, rows, pieces: list[bytes], whole: bytes | None
    ):
        sends(*pieces)

        content = ask().content

        whole = b"".join(pieces) if whole is None else whole
        assert content.startswith(whole)
        assert error_of(content[len(whole) :])["status"] == "UNAVAILABLE"
        assert rows()[0].outcome == Outcome.BROKEN

    @pytest.mark.parametrize(
        "body",
        [
            b"".join(gemini.as_array()),
            b"[]",
            b" [ ]\n",
            b'{"candidates":[]}',
            json.dumps([gemini.answer({"text": "x" * 500})] * 40).encode(),
            json.dumps([gemini.answer({"text": "x" * 40_000})] * 2).encode(),
            b'[{"new":1,"candidates":[]}]',
            b'[{"candidates":[]},{"new":1}]',
        ],
        ids=lambda body: body[:40].decode(),
    )
    def test_an_array_with_its_end_is_complete(self, sends: Sends, ask, rows, body: bytes):
        sends(body[:10], body[10:], kind="application/json")

        assert ask("").content == body
        assert rows()[0].outcome == Outcome.COMPLETE

    def test_an_array_that_ends_between_elements_ends_with_an_error_element(
        self, sends: Sends, ask, rows
    ):
        sends(*gemini.as_array()[:2], kind="application/json")

        *elements, last = ask("").json()

        assert elements == gemini.chunks()[:2]
        assert last["error"]["message"] == BROKE_OFF
        assert rows()[0].outcome == Outcome.BROKEN

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"".join(gemini.as_array())[:-60],
            b'[{"candidates":[{"content":{"parts":[{"text":"a"}]',
            json.dumps([gemini.answer({"text": "x" * 500})] * 40).encode()[:-120],
        ],
        ids=lambda body: repr(body[-40:]),
    )
    def test_an_array_that_ends_within_an_element_is_cut(
        self, sends: Sends, ask, rows, body: bytes
    ):
        sends(body, kind="application/json")

        answer = ask("")

        with pytest.raises(BROKEN):
            assert answer.content
        assert rows()[0].outcome == Outcome.BROKEN


class TestResponses:
    EVENTS = responses.events(responses.said())
    BEGUN = EVENTS[:-1]
    # A schema of a tool's is repeated with the whole response.
    LARGE = {"tools": [{"description": "x" * 60_000}]}
    GIANT = {"tools": [{"description": "x" * 2 * LONGEST_EVENT}]}

    @pytest.fixture
    def ask(self, ask_responses: responses.Ask) -> Ask:
        def ask() -> requests.Response:
            return ask_responses(behaviour="given", stream=True)

        return ask

    @pytest.mark.parametrize(
        "pieces",
        [
            EVENTS,
            [*BEGUN, EVENTS[-1].rstrip()],
            [*BEGUN, EVENTS[-1] + b": bye\n\n"],
            [*EVENTS, DONE],
            responses.events(responses.said(), end="incomplete"),
            responses.events(responses.said(), **LARGE),
            responses.events(responses.said(), **GIANT),
            [*BEGUN, event(response=responses.response(**LARGE), type="response.completed")],
        ],
        ids=lambda pieces: repr(pieces)[-50:],
    )
    def test_a_stream_with_its_last_event_is_complete(
        self, sends: Sends, ask: Ask, rows, pieces: list[bytes]
    ):
        sends(*pieces)

        assert ask().content == b"".join(pieces)
        (row,) = rows()
        assert row.outcome == Outcome.COMPLETE
        assert (row.prompt_tokens, row.completion_tokens) == (21, 9)

    @pytest.mark.parametrize("more", [{}, LARGE, GIANT], ids=["small", "large", "giant"])
    def test_a_failed_response_is_told_and_given_no_other_event(
        self, sends: Sends, ask: Ask, rows, more: dict[str, Any]
    ):
        pieces = responses.events(end="failed", error=responses.FAULT, usage=None, **more)
        sends(*pieces)

        assert ask().content == b"".join(pieces)
        assert rows()[0].outcome == Outcome.FAILED

    @pytest.mark.parametrize("more", [{}, LARGE, GIANT], ids=["small", "large", "giant"])
    @pytest.mark.parametrize("share", [0.1, 0.6, 0.99])
    def test_a_last_event_that_is_cut_is_broken(
        self, sends: Sends, ask: Ask, rows, more: dict[str, Any], share: float
    ):
        *begun, last = responses.events(responses.said(), **more)
        sends(*begun, last[: int(len(last) * share)])

        content = ask().content

        assert content.startswith(b"".join(begun))
        assert content.endswith(b"\n\n")
        failed = json.loads(content.strip().rpartition(b"data: ")[2])
        assert failed["response"]["error"]["message"] == BROKE_OFF
        assert failed["sequence_number"] in (len(begun), len(begun) + 1)
        assert rows()[0].outcome == Outcome.BROKEN

    def test_after_a_large_event_the_numbers_go_on(self, sends: Sends, ask: Ask):
        begun = {"response": responses.response(**self.LARGE)}
        sends(
            responses.event("response.created", 0, **begun),
            responses.event("response.in_progress", 1, **begun),
        )

        failed = json.loads(ask().content.strip().rpartition(b"data: ")[2])

        assert (failed["sequence_number"], failed["response"]["id"]) == (2, responses.ID)

    def test_a_large_item_that_failed_is_not_the_end(self, sends: Sends, ask: Ask, rows):
        item = {"type": "mcp_call", "status": "failed", "output": "x" * 60_000}
        sends(*self.BEGUN[:2], responses.event("response.output_item.done", 2, item=item))

        failed = json.loads(ask().content.strip().rpartition(b"data: ")[2])

        assert failed["sequence_number"] == 3
        assert failed["response"]["error"]["message"] == BROKE_OFF

    @pytest.mark.parametrize(
        "pieces", [[], [b": waking up\n\n"], [EVENTS[0][:-30]], [EVENTS[4]]], ids=repr
    )
    def test_a_stream_without_its_response_is_cut(self, sends: Sends, ask: Ask, rows, pieces):
        sends(*pieces)

        with pytest.raises(BROKEN):
            assert ask().content
        assert rows()[0].outcome == Outcome.BROKEN
