"""The built-in model in the dialects of Anthropic's Messages and OpenAI's Responses."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import openai as openai_sdk
import pytest
import requests
from aiohttp import web
from django.conf import LazySettings

from proxy.upstream import builtin
from tests.fakes import ANSWER, CITIES, FakeProvider, Received, chunk, stream

C1 = builtin.MODEL
HELLO = [{"role": "user", "content": "Say hello."}]
BASH = {
    "name": "Bash",
    "description": "Run a command.",
    "input_schema": {"type": "object", "properties": {"command": {"type": "string"}}},
}
SHELL = {"type": "function", "name": "shell", "parameters": {"type": "object"}, "strict": False}
Ask = Callable[..., requests.Response]
Events = Callable[..., list[dict[str, Any]]]
Answering = Callable[..., None]


@pytest.fixture
def operators(settings: LazySettings, provider: FakeProvider) -> Answering:
    """Puts the operator's server in the model's place, in a behaviour of the provider's."""

    def answering(behaviour: str = "") -> None:
        settings.C1_BASE_URL = f"{provider.url}/{behaviour}/v1" if behaviour else provider.url
        settings.C1_API_KEY = "sk-operator-key-1"
        settings.C1_MODEL = "llama-3.1-8b"

    answering()
    return answering


@pytest.fixture
def post(http: requests.Session, server: str) -> Ask:
    def ask(endpoint: str, headers: dict[str, str] | None = None, **fields: Any) -> Any:
        url = f"{server}/api/v1/proxy/default/v1/{endpoint}"
        return http.post(url, json={"model": C1} | fields, headers=headers)

    return ask


@pytest.fixture
def ask(post: Ask) -> Ask:
    """Asks by Anthropic's Messages."""

    def messages(**fields: Any) -> requests.Response:
        return post("messages", **{"max_tokens": 20, "messages": HELLO} | fields)

    return messages


@pytest.fixture
def respond(post: Ask) -> Ask:
    """Asks by OpenAI's Responses."""

    def responses(**fields: Any) -> requests.Response:
        return post("responses", **{"input": "Say hello."} | fields)

    return responses


@pytest.fixture
def streams(provider: FakeProvider, operators: Answering) -> Callable[..., None]:
    """Has the operator's server stream these chunks."""

    def streaming(*pieces: bytes) -> None:
        async def behave(request: web.Request, received: Received) -> web.StreamResponse:
            return await stream(request, list(pieces))

        provider.behaviours["told"] = behave
        operators("told")

    return streaming


def events_of(answer: requests.Response) -> list[dict[str, Any]]:
    """The events of a stream, each named as its type."""
    events = []
    for block in answer.text.strip().split("\n\n"):
        name, data = block.split("\n")
        events.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {events[-1]['type']}"
    return events


def types_of(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]


@pytest.mark.usefixtures("operators")
class TestMessages:
    def test_are_answered_whole(self, ask: Ask):
        answer = ask()

        assert answer.status_code == 200
        assert answer.json() == {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": C1,
            "content": [{"type": "text", "text": ANSWER}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {
                "input_tokens": 5,
                "cache_read_input_tokens": 16,
                "cache_creation_input_tokens": 0,
                "output_tokens": 4,
            },
        }

    def test_are_answered_streamed(self, ask: Ask):
        events = events_of(ask(stream=True))

        assert types_of(events) == [
            "message_start",
            "content_block_start",
            *["content_block_delta"] * 3,
            "content_block_stop",
            "message_delta",
            "message_stop",
        ]
        assert "".join(each["delta"]["text"] for each in events[2:5]) == ANSWER
        assert events[-2]["delta"]["stop_reason"] == "end_turn"
        assert events[-2]["usage"]["output_tokens"] == 4

    def test_go_up_as_a_chat_with_the_operators_key(self, ask: Ask, provider: FakeProvider):
        ask(system="Be brief.", temperature=0.5, stop_sequences=["END"], top_p=0.9)

        sent = provider.last()
        assert sent.path == "/chat/completions"
        assert sent.headers["Authorization"] == "Bearer sk-operator-key-1"
        assert sent.json == {
            "model": "llama-3.1-8b",
            "messages": [{"role": "system", "content": "Be brief."}, *HELLO],
            "max_tokens": 20,
            "temperature": 0.5,
            "top_p": 0.9,
            "stop": ["END"],
        }

    def test_of_claude_code_are_understood(self, ask: Ask, provider: FakeProvider):
        """Its account, cache marks, thinking, reminders, and instructions among the messages."""
        mark = {"cache_control": {"type": "ephemeral"}}
        answer = ask(
            system=[
                {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1; cch=1;"},
                {"type": "text", "text": "You are Claude Code."} | mark,
            ],
            messages=[
                {"role": "user", "content": [{"type": "text", "text": "<system-reminder>"},
                                             {"type": "text", "text": "List files."} | mark]},
                {"role": "system", "content": [{"type": "text", "text": "Plan mode."}]},
            ],
            thinking={"type": "adaptive"},
            metadata={"user_id": "{}"},
            output_config={"effort": "high"},
            context_management={"edits": []},
            tools=[BASH | mark, {"type": "web_search_20250305", "name": "web_search"}],
            tool_choice={"type": "auto"},
        )  # fmt: skip

        assert answer.status_code == 200
        sent = provider.last().json
        assert sent["messages"] == [
            {"role": "system", "content": "You are Claude Code."},
            {"role": "user", "content": "<system-reminder>\nList files."},
            {"role": "system", "content": "Plan mode."},
        ]
        assert [tool["function"]["name"] for tool in sent["tools"]] == ["Bash"]
        assert sent["tools"][0]["function"]["parameters"] == BASH["input_schema"]
        assert not {"thinking", "metadata", "output_config", "context_management"} & sent.keys()

    def test_with_tools_are_answered_by_calls(self, ask: Ask):
        answer = ask(tools=[BASH]).json()

        assert answer["stop_reason"] == "tool_use"
        assert answer["content"] == [
            {"type": "tool_use", "id": f"call_{n}", "name": "Bash", "input": {"city": city}}
            for n, city in CITIES
        ]

    def test_with_tools_are_answered_by_streamed_calls(self, ask: Ask):
        """Each a block of its own, one after the other, though their pieces come in turns."""
        events = events_of(ask(tools=[BASH], stream=True))

        starts = [each for each in events if each["type"] == "content_block_start"]
        assert [(each["index"], each["content_block"]["id"]) for each in starts] == [
            (0, "call_0"),
            (1, "call_1"),
        ]
        for index, city in CITIES:
            inputs = "".join(
                each["delta"]["partial_json"]
                for each in events
                if each["type"] == "content_block_delta" and each["index"] == index
            )
            assert json.loads(inputs) == {"city": city}
        assert events[-2]["delta"]["stop_reason"] == "tool_use"

    def test_with_results_of_tools_go_up_as_messages_of_their_own(
        self, ask: Ask, provider: FakeProvider
    ):
        call = {"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "ls"}}
        result = {"type": "tool_result", "tool_use_id": "t1"}
        ask(
            messages=[
                *HELLO,
                {"role": "assistant", "content": [
                    {"type": "thinking", "thinking": "Hm.", "signature": "x"}, call]},
                {"role": "user", "content": [
                    result | {"content": [{"type": "text", "text": "a.txt"}]},
                    {"type": "text", "text": "And now?"}]},
                {"role": "assistant", "content": [call | {"id": "t2"}]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t2"}]},
            ],
            tools=[BASH],
        )  # fmt: skip

        function = {"name": "Bash", "arguments": '{"command":"ls"}'}
        calls = {n: [{"id": n, "type": "function", "function": function}] for n in ("t1", "t2")}
        assert provider.last().json["messages"] == [
            *HELLO,
            {"role": "assistant", "content": "", "tool_calls": calls["t1"]},
            {"role": "tool", "tool_call_id": "t1", "content": "a.txt"},
            {"role": "user", "content": "And now?"},
            {"role": "assistant", "content": "", "tool_calls": calls["t2"]},
            {"role": "tool", "tool_call_id": "t2", "content": ""},
        ]

    def test_with_images_go_to_an_operators_server(self, ask: Ask, provider: FakeProvider):
        source = {"type": "base64", "media_type": "image/png", "data": "AAAA"}

        ask(messages=[{"role": "user", "content": [{"type": "image", "source": source}]}])

        (part,) = provider.last().json["messages"][0]["content"]
        assert part["image_url"]["url"] == "data:image/png;base64,AAAA"

    def test_that_ask_for_json_get_it(self, ask: Ask, provider: FakeProvider):
        schema = {"type": "object", "properties": {"city": {"type": "string"}}}

        answer = ask(output_config={"format": {"type": "json_schema", "schema": schema}}).json()

        assert json.loads(answer["content"][0]["text"]) == {"city": "Paris"}
        assert provider.last().json["response_format"]["json_schema"]["schema"] == schema

    def test_reasoning_becomes_thinking(self, ask: Ask, streams):
        streams(
            chunk({"reasoning_content": "Hm."}),
            chunk({"content": "Yes."}),
            chunk({}, "stop"),
            b"data: [DONE]\n\n",
        )

        events = events_of(ask(stream=True))

        blocks = [each["content_block"] for each in events if "content_block" in each]
        assert [block["type"] for block in blocks] == ["thinking", "text"]

    @pytest.mark.parametrize(
        ("finish", "reason"), [("length", "max_tokens"), ("content_filter", "refusal")]
    )
    def test_say_why_they_end(self, ask: Ask, streams, finish: str, reason: str):
        streams(chunk({"content": "One"}), chunk({}, finish))

        assert events_of(ask(stream=True))[-2]["delta"]["stop_reason"] == reason


@pytest.mark.usefixtures("operators")
class TestResponses:
    @pytest.fixture
    def client(self, sdk, server: str) -> openai_sdk.OpenAI:
        return sdk(f"{server}/api/v1/proxy/default/v1")

    def test_are_answered_whole(self, client: openai_sdk.OpenAI):
        answer = client.responses.create(model=C1, input="Say hello.")

        assert answer.output_text == ANSWER
        assert (answer.status, answer.model, answer.incomplete_details) == ("completed", C1, None)
        assert answer.usage is not None
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (21, 4)
        assert answer.usage.input_tokens_details.cached_tokens == 16

    def test_are_answered_streamed_to_the_sdks_own_reader(self, client: openai_sdk.OpenAI):
        with client.responses.stream(model=C1, input="Say hello.") as events:
            deltas = [each.delta for each in events if each.type == "response.output_text.delta"]
            answer = events.get_final_response()

        assert "".join(deltas) == ANSWER == answer.output_text

    def test_number_their_events_and_repeat_the_answer_in_the_last(self, respond: Ask):
        events = events_of(respond(stream=True))

        assert [event["sequence_number"] for event in events] == list(range(len(events)))
        assert types_of(events) == [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            *["response.output_text.delta"] * 3,
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ]
        assert events[-1]["response"]["output"] == [events[-2]["item"]]
        assert events[-1]["response"]["usage"]["total_tokens"] == 25

    def test_of_codex_are_understood(self, respond: Ask, provider: FakeProvider):
        """What it asks for, and what came back from another model before."""

        def text(role: str, words: str) -> dict[str, Any]:
            kind = "output_text" if role == "assistant" else "input_text"
            content = [{"type": kind, "text": words}]
            return {"type": "message", "role": role, "content": content}

        call = {"type": "function_call", "name": "shell", "arguments": "{}"}
        answer = respond(
            instructions="You are Codex.",
            input=[
                text("developer", "Be careful."),
                text("user", "List files."),
                {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"},
                text("assistant", "I look."),
                call | {"call_id": "c1"},
                call | {"call_id": "c2"},
                {"type": "function_call_output", "call_id": "c1", "output": "a.txt"},
                {"type": "function_call_output", "call_id": "c2",
                 "output": [{"type": "input_text", "text": "b.txt"}]},
                {"role": "assistant", "content": "Two files."},
                {"role": "user", "content": "And now?"},
            ],
            tools=[SHELL, {"type": "custom", "name": "apply_patch"}, {"type": "web_search"}],
            tool_choice="auto",
            parallel_tool_calls=False,
            reasoning={"effort": "medium", "summary": "auto"},
            include=["reasoning.encrypted_content"],
            prompt_cache_key="k",
            text={"verbosity": "low"},
            store=False,
        )  # fmt: skip

        assert answer.status_code == 200
        sent = provider.last().json
        function = {"name": "shell", "arguments": "{}"}
        assert sent["messages"] == [
            {"role": "system", "content": "You are Codex."},
            {"role": "system", "content": "Be careful."},
            {"role": "user", "content": "List files."},
            {"role": "assistant", "content": "I look.", "tool_calls": [
                {"id": id, "type": "function", "function": function} for id in ("c1", "c2")]},
            {"role": "tool", "tool_call_id": "c1", "content": "a.txt"},
            {"role": "tool", "tool_call_id": "c2", "content": "b.txt"},
            {"role": "assistant", "content": "Two files."},
            {"role": "user", "content": "And now?"},
        ]  # fmt: skip
        assert [tool["function"]["name"] for tool in sent["tools"]] == ["shell"]
        assert sent.keys() == {
            "model", "messages", "tools", "tool_choice", "parallel_tool_calls"
        }  # fmt: skip

    def test_with_tools_are_answered_by_calls(self, client: openai_sdk.OpenAI):
        with client.responses.stream(model=C1, input="Go.", tools=[SHELL]) as events:  # type: ignore[list-item]
            for _ in events:
                pass
            answer = events.get_final_response()

        calls = [(each.call_id, each.arguments) for each in answer.output]  # type: ignore[union-attr]
        assert calls == [(f"call_{n}", json.dumps({"city": city})) for n, city in CITIES]

    def test_that_ask_for_json_get_it(self, respond: Ask, provider: FakeProvider):
        schema = {"type": "object", "properties": {"city": {"type": "string"}}}
        chosen = {"type": "json_schema", "name": "place", "schema": schema}

        answer = respond(text={"format": chosen}).json()

        assert json.loads(answer["output"][0]["content"][0]["text"]) == {"city": "Paris"}
        assert provider.last().json["response_format"]["json_schema"]["name"] == "place"

    def test_that_are_cut_short_are_incomplete(self, respond: Ask, streams):
        streams(chunk({"content": "One"}), chunk({}, "length"))

        last = events_of(respond(stream=True))[-1]

        assert last["type"] == "response.incomplete"
        assert last["response"]["incomplete_details"] == {"reason": "max_output_tokens"}

    @pytest.mark.parametrize(
        "fields",
        [
            {"previous_response_id": "resp_1"},
            {"conversation": "conv_1"},
            {"input": [{"type": "item_reference", "id": "msg_1"}]},
        ],
        ids=lambda fields: next(iter(fields)),
    )
    def test_that_go_on_from_what_nobody_kept_are_400(
        self, respond: Ask, provider: FakeProvider, fields: dict[str, Any]
    ):
        answer = respond(**fields)

        assert answer.status_code == 400
        assert "whole conversation" in answer.text
        assert not provider.received


@pytest.mark.usefixtures("operators")
class TestAFieldOfAnotherType:
    @pytest.mark.parametrize(
        ("endpoint", "field", "value"),
        [
            ("messages", "tool_choice", True),
            ("messages", "tool_choice", "auto"),
            ("messages", "output_config", ["low"]),
            ("messages", "output_config", {"format": "json"}),
            (
                "messages",
                "messages",
                [{"role": "user", "content": [{"type": "image", "source": "x"}]}],
            ),
            ("responses", "text", "long"),
            ("responses", "text", {"format": "json"}),
        ],
    )
    def test_is_named_where_it_should_be_an_object(
        self, post: Ask, endpoint: str, field: str, value: object
    ):
        needed = {"max_tokens": 20, "messages": HELLO, "input": "Say hello."}

        answer = post(endpoint, **needed | {field: value})

        assert answer.status_code == 400
        assert "must be an object" in answer.json()["error"]["message"]

    def test_may_be_a_choice_of_tools_that_is_new(self, ask: Ask):
        answer = ask(tools=[BASH], tool_choice={"type": ["new"]})

        assert answer.status_code == 200


@pytest.mark.usefixtures("operators")
@pytest.mark.parametrize("name", ["messages", "responses"])
class TestEither:
    @pytest.fixture
    def either(self, name: str, ask: Ask, respond: Ask) -> Ask:
        return ask if name == "messages" else respond

    def test_leaves_a_usage_row_with_the_providers_counts(self, either: Ask, name: str, rows):
        either()

        (row,) = rows()
        assert (row.target, row.model, row.status, row.outcome) == ("default", C1, 200, "complete")

    def test_of_another_model_is_404_and_says_where_to_set_it(self, either: Ask, name: str):
        answer = either(model="claude-opus-5-5")

        assert answer.status_code == 404
        assert C1 in answer.text
        assert {"messages": "ANTHROPIC_MODEL", "responses": "config.toml"}[name] in answer.text

    @pytest.mark.parametrize(
        "words",
        [
            "request (6031 tokens) exceeds the available context size (4096 tokens)",
            "This model's maximum context length is 4096 tokens.",
        ],
    )
    def test_that_is_too_long_is_refused_in_words_that_clients_know(
        self, either: Ask, name: str, words: str, provider: FakeProvider, operators: Answering
    ):
        async def refuse(request: web.Request, received: Received) -> web.StreamResponse:
            error = {"code": 400, "message": words, "type": "exceed_context_size_error"}
            return web.json_response({"error": error}, status=400)

        provider.behaviours["full"] = refuse
        operators("full")

        answer = either(stream=True)

        assert answer.status_code == 400
        error = answer.json()["error"]
        assert error["type"] == "invalid_request_error"
        assert error["message"].startswith("prompt is too long: ")

    @pytest.mark.parametrize(
        ("told", "status"), [(401, 502), (404, 502), (422, 400), (429, 429), (500, 502), (503, 503)]
    )
    def test_a_refusal_has_the_callers_shape_and_is_no_fault_of_the_callers_token(
        self, either: Ask, name: str, operators: Answering, told: int, status: int
    ):
        operators(f"fail/{told}")

        answer = either()

        assert answer.status_code == status
        assert "error" in answer.json()
        assert answer.headers["x-alchemyst-error-source"] == "proxy"

    @pytest.mark.parametrize("behaviour", ["cut", "error-inside"])
    def test_a_stream_that_breaks_has_no_good_end(
        self, either: Ask, name: str, operators: Answering, behaviour: str, rows
    ):
        operators(behaviour)

        answer = either(stream=True)

        assert "event: error" in answer.text or "response.failed" in answer.text
        assert "message_stop" not in answer.text
        assert "response.completed" not in answer.text
        (row,) = rows()
        assert row.outcome == "broken"

    def test_a_stream_without_a_finish_has_no_good_end(self, either: Ask, name: str, streams):
        streams(chunk({"content": "One"}))

        answer = either(stream=True)

        assert "message_stop" not in answer.text
        assert "response.completed" not in answer.text

    def test_the_providers_own_ends_are_read_from_bytes_in_any_pieces(
        self, either: Ask, name: str, operators: Answering
    ):
        operators("byte-by-byte")

        assert types_of(events_of(either(stream=True)))[-1] in (
            "message_stop",
            "response.completed",
        )


@pytest.mark.parametrize(
    ("endpoint", "fields"),
    [
        ("messages/count_tokens", {"messages": HELLO}),
        ("responses/input_tokens", {"input": HELLO}),
    ],
)
def test_tokens_are_counted_without_the_model(
    post: Ask, provider: FakeProvider, endpoint: str, fields: dict[str, Any]
):
    answer = post(endpoint, **fields)

    assert answer.status_code == 200
    assert answer.json()["input_tokens"] > 0
    assert not provider.received


@pytest.mark.parametrize("version", ["", "v1/"])
class TestTheListOfModels:
    @pytest.fixture
    def url(self, server: str, version: str) -> str:
        return f"{server}/api/v1/proxy/default/{version}models"

    def test_has_anthropics_shape_for_its_clients(self, http: requests.Session, url: str):
        listed = http.get(url, headers={"anthropic-version": "2023-06-01"}).json()

        assert [(each["type"], each["id"]) for each in listed["data"]] == [("model", C1)]
        assert (listed["has_more"], listed["first_id"], listed["last_id"]) == (False, C1, C1)

    @pytest.mark.parametrize("id", [C1, C1.replace("/", "%2F")])
    def test_tells_of_one(self, http: requests.Session, url: str, id: str):
        assert http.get(f"{url}/{id}").json()["object"] == "model"
        told = http.get(f"{url}/{id}", headers={"anthropic-version": "2023-06-01"}).json()
        assert (told["type"], told["id"]) == ("model", C1)

    def test_knows_no_other(self, http: requests.Session, url: str):
        answer = http.get(f"{url}/gpt-4o")

        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "model_not_found"


@pytest.fixture
def own_model() -> None:
    try:
        builtin.weights()
    except builtin.ModelUnavailable:
        pytest.skip("the weights of the built-in model are not installed")


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.usefixtures("own_model")
class TestOurOwn:
    def test_answers_messages(self, ask: Ask):
        answer = ask(max_tokens=8, tools=[BASH]).json()

        assert answer["content"][0]["text"]
        assert answer["usage"]["output_tokens"] <= 8

    def test_streams_responses(self, respond: Ask):
        events = events_of(respond(stream=True, max_output_tokens=8))

        assert events[-1]["response"]["output"][0]["content"][0]["text"]

    @pytest.mark.parametrize("name", ["messages", "responses", "chat"])
    def test_says_that_a_prompt_is_too_long(self, post: Ask, name: str):
        words = "word " * 6000
        bodies: dict[str, dict[str, Any]] = {
            "messages": {"max_tokens": 9, "messages": [{"role": "user", "content": words}]},
            "responses": {"input": words},
            "chat": {"messages": [{"role": "user", "content": words}]},
        }
        endpoint = "chat/completions" if name == "chat" else name

        answer = post(endpoint, stream=True, **bodies[name])

        assert answer.status_code == 400
        assert "> 4096 maximum" in answer.json()["error"]["message"]

    def test_says_that_it_cannot_see(self, ask: Ask):
        image = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}

        answer = ask(messages=[{"role": "user", "content": [image]}])

        assert answer.status_code == 400
        assert "text only" in answer.json()["error"]["message"]
