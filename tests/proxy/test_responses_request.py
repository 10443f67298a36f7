"""What goes up of a request for a response: the path, the query, the key and the body."""

from __future__ import annotations

import json
from typing import Any

import pytest

from alchemyst.accounts.models import User
from proxy.models import Provider
from tests.fakes import FakeProvider
from tests.proxy.conftest import HISTORY, KEY
from tests.responses import Ask

SENT = [*HISTORY[:2], *HISTORY[4:]]


class TestTheWayUp:
    def test_leads_to_the_endpoint_with_its_query_and_the_key_as_a_bearer(
        self, ask_responses: Ask, provider: FakeProvider, token: str
    ):
        ask_responses(query="?api-version=2026-10-01&x=%2F+%20&&y")

        sent = provider.last()
        assert sent.path == "/responses/v1/responses?api-version=2026-10-01&x=%2F+%20&&y"
        assert sent.headers["Authorization"] == f"Bearer {KEY}"
        assert token not in str(sent.headers)

    def test_takes_the_key_from_its_header(self, http, server: str, provider: FakeProvider):
        http.post(
            f"{server}/api/v1/proxy/{provider.url}/responses/v1/responses",
            json={"model": "m", "input": "Hi"},
            headers={"X-Upstream-Api-Key": "sk-in-a-header"},
        )

        assert provider.last().headers["Authorization"] == "Bearer sk-in-a-header"

    @pytest.mark.parametrize(
        ("method", "endpoint", "name"),
        [
            ("GET", "responses/resp_1?include%5B%5D=reasoning.encrypted_content", "{id}"),
            ("DELETE", "responses/resp_1", "{id}"),
            ("POST", "responses/resp_1/cancel", "{id}/cancel"),
            ("GET", "responses/resp_1/input_items?limit=2&after=msg_1", "{id}/input_items"),
            ("POST", "responses/input_tokens", "input_tokens"),
            ("POST", "responses/compact", "compact"),
            ("POST", "conversations", ""),
            ("GET", "conversations/conv_1", "{id}"),
            ("POST", "conversations/conv_1/items", "{id}/items"),
            ("DELETE", "conversations/conv_1/items/msg_1", "{id}/items"),
        ],
    )
    def test_of_what_is_kept_is_not_filtered(
        self, http, through, provider: FakeProvider, rows, method: str, endpoint: str, name: str
    ):
        body = {"model": "gpt-test", "input": HISTORY + HISTORY} if method == "POST" else None

        answer = http.request(method, f"{through('responses')}/{endpoint}", json=body)

        assert answer.status_code == 200
        assert "x-alchemyst-context" not in answer.headers
        sent = provider.last()
        assert (sent.method, sent.path) == (method, f"/responses/v1/{endpoint}")
        assert sent.body == (json.dumps(body).encode() if body else b"")
        kind = endpoint.partition("/")[0]
        assert rows()[0].endpoint == "/".join(filter(None, (kind, name)))

    @pytest.mark.parametrize("path", ["mine/responses", "mine/v1/responses"])
    def test_leads_to_a_stored_provider(
        self, http, server: str, provider: FakeProvider, alice: User, path: str
    ):
        Provider.sealed(
            alice.pk,
            key="sk-stored",
            name="mine",
            base_url=f"{provider.url}/responses/v1",
            dialect=Provider.Dialect.RESPONSES,
        ).save()

        answer = http.post(f"{server}/api/v1/proxy/{path}", json={"model": "m", "input": "Hi"})

        assert answer.status_code == 200
        assert provider.last().path == "/responses/v1/responses"
        assert provider.last().headers["Authorization"] == "Bearer sk-stored"

    def test_of_a_list_of_models_is_the_other_dialects(self, http, through, provider: FakeProvider):
        answer = http.get(f"{through()}/models")

        assert answer.json()["data"] == [{"id": "gpt-test"}]


class TestTheBody:
    def test_is_filtered(self, ask_responses: Ask, provider: FakeProvider):
        answer = ask_responses()

        assert provider.last().json["input"] == SENT
        assert "result=filtered; kept=5; dropped=2" in answer.headers["x-alchemyst-context"]

    def test_keeps_every_other_field_and_item_byte_for_byte(
        self, ask_responses: Ask, provider: FakeProvider
    ):
        raw = [json.dumps(item | {"id": f"msg_{n}"}).encode() for n, item in enumerate(HISTORY)]
        rest = b'"metadata":{"n":1.50,"n2":1e400},"new_field":[ ],"store" : false'
        body = b'{"model":"gpt-test","input":[' + b" , ".join(raw) + b"]," + rest + b"}"

        ask_responses(body)

        sent = provider.last().body
        kept = b",".join([*raw[:2], *raw[4:]])
        assert (
            sent
            == b'{"model":"gpt-test","input":['
            + kept
            + b"],"
            + rest.replace(b'"store" : ', b'"store":')
            + b"}"
        )

    @pytest.mark.parametrize(
        "stateful",
        [
            {"previous_response_id": "resp_1"},
            {"conversation": "conv_1"},
            {"conversation": {"id": "conv_1"}},
            {"prompt": {"id": "pmpt_1"}},
            {"context_management": [{"type": "compaction", "compact_threshold": 1000}]},
            {"input": [*HISTORY[:6], {"type": "item_reference", "id": "msg_1"}, HISTORY[6]]},
            {"input": [*HISTORY[:6], {"id": "msg_1"}, HISTORY[6]]},
            {"input": [{"type": "compaction", "encrypted_content": "gAAA"}, *HISTORY]},
        ],
        ids=lambda fields: str(fields)[:40],
    )
    def test_goes_whole_where_the_provider_holds_more(
        self, ask_responses: Ask, provider: FakeProvider, stateful: dict[str, Any]
    ):
        body = json.dumps({"model": "gpt-test", "input": HISTORY} | stateful).encode()

        answer = ask_responses(body)

        assert provider.last().body == body
        told = answer.headers["x-alchemyst-context"]
        assert "result=unchanged" in told
        assert told.endswith("reason=stateful")

    def test_may_be_a_text(self, ask_responses: Ask, provider: FakeProvider):
        answer = ask_responses(input="How is bread made?")

        assert answer.status_code == 200
        assert provider.last().json["input"] == "How is bread made?"
        assert "result=unchanged; kept=1" in answer.headers["x-alchemyst-context"]

    def test_needs_neither_model_nor_input_with_a_prompt(
        self, ask_responses: Ask, provider: FakeProvider
    ):
        assert ask_responses({"prompt": {"id": "pmpt_1"}}).status_code == 200
        assert provider.last().json == {"prompt": {"id": "pmpt_1"}}

    @pytest.mark.parametrize(
        ("body", "param", "code"),
        [
            (b"{", None, "invalid_request"),
            ({"input": "Hi"}, "model", "invalid_request"),
            ({"model": "m"}, "input", "invalid_messages"),
            ({"model": "m", "input": []}, "input", "invalid_messages"),
            ({"model": "m", "input": 5}, "input", "invalid_messages"),
            ({"model": "m", "input": [5]}, "input[0]", "invalid_messages"),
            (
                {"model": "m", "input": [{"role": "user", "content": 5}]},
                "input[0].content",
                "invalid_messages",
            ),
            ({"model": "m", "input": [{"role": 5}]}, "input[0].role", "invalid_messages"),
            ({"model": 5, "input": "Hi"}, "model", "invalid_request"),
            (b'{"model":"m","input":"Hi","model":"n"}', "model", "invalid_request"),
        ],
        ids=repr,
    )
    def test_that_is_wrong_is_400_in_openais_shape(
        self, ask_responses: Ask, provider: FakeProvider, body: Any, param: str | None, code: str
    ):
        answer = ask_responses(body)

        error = answer.json()["error"]
        assert (answer.status_code, error["param"], error["code"]) == (400, param, code)
        assert error.keys() == {"message", "type", "code", "param"}
        assert not provider.received

    def test_is_sent_whole_once_where_the_filtered_is_refused(
        self, ask_responses: Ask, provider: FakeProvider
    ):
        answer = ask_responses(behaviour="responses-refuse-filtered")

        assert answer.status_code == 200
        assert [len(each.json["input"]) for each in provider.received] == [5, 7]

    def test_has_a_preview(self, http, server: str, provider: FakeProvider):
        body = {"model": "gpt-test", "input": HISTORY}

        for path in ("preview/v1/responses", "preview/responses"):
            answer = http.post(f"{server}/api/v1/proxy/{path}", json=body)
            fates = [message["fate"] for message in answer.json()["messages"]]
            assert fates.count("dropped") == 2

        assert not provider.received
