"""What goes up to Anthropic: the path, the query, the headers and the body, byte for byte."""

from __future__ import annotations

import asyncio
import json

import pytest
import requests

from alchemyst.accounts.models import ApiKey, User
from proxy.accounting import decision_writer
from proxy.wire import anthropic
from tests.anthropic import KEY, MODEL, Ask, base_of, is_ours
from tests.conftest import Server
from tests.fakes import ANSWER, FakeProvider
from tests.proxy.conftest import HISTORY

VERSION = {"anthropic-version": "2023-06-01"}
QUESTION = {"model": MODEL, "max_tokens": 9, "messages": HISTORY[-1:]}


def headers_of(provider: FakeProvider) -> dict[str, str]:
    return {name.lower(): value for name, value in provider.last().headers.items()}


class TestTheWayUp:
    @pytest.mark.parametrize(
        ("base", "endpoint"),
        [
            ("", "v1/messages"),
            ("/v1", "messages"),
            ("/v1", "v1/messages"),
            (f"/{KEY}", "v1/messages"),
            (f"/v1/{KEY}", "messages"),
            (f"/v1/{KEY}", "v1/messages"),
        ],
    )
    def test_leads_to_messages_however_a_client_builds_its_url(
        self, http: requests.Session, server: str, provider: FakeProvider, base: str, endpoint: str
    ):
        shown = VERSION if KEY in base else VERSION | {"x-api-key": KEY}
        url = f"{base_of(server, provider)}{base}/{endpoint}"

        answer = http.post(url, json=QUESTION, headers=shown)

        assert answer.json()["content"] == [{"type": "text", "text": ANSWER}]
        assert provider.last().path == "/anthropic/v1/messages"
        assert headers_of(provider)["x-api-key"] == KEY

    @pytest.mark.parametrize("query", ["?beta=true", "?beta=true&x=%2F+%20&&y", "?"])
    def test_keeps_the_query_byte_for_byte(
        self, ask_anthropic: Ask, provider: FakeProvider, query: str
    ):
        ask_anthropic(query=query)

        assert provider.last().path == f"/anthropic/v1/messages{query.rstrip('?')}"

    @pytest.mark.parametrize(
        ("method", "endpoint"),
        [
            ("POST", "messages/batches"),
            ("GET", "messages/batches?limit=2&after_id=b"),
            ("GET", "messages/batches/msgbatch_1"),
            ("GET", "messages/batches/msgbatch_1/results"),
            ("POST", "messages/batches/msgbatch_1/cancel"),
            ("DELETE", "messages/batches/msgbatch_1"),
            ("GET", "files"),
            ("GET", "files/file_1/content"),
            ("GET", "models/claude-test"),
            ("POST", "complete"),
            ("POST", "sessions/session_1/messages"),
            ("DELETE", "skills/skill_1/versions/2"),
        ],
    )
    def test_leads_to_what_is_not_filtered_by_any_method(
        self, http, server: str, provider: FakeProvider, method: str, endpoint: str
    ):
        url = f"{base_of(server, provider)}/v1/{endpoint}"

        answer = http.request(method, url, headers=VERSION | {"x-api-key": KEY})

        assert answer.status_code == 200
        assert (provider.last().method, provider.last().path) == (
            method,
            f"/anthropic/v1/{endpoint}",
        )
        assert "x-alchemyst-context" not in answer.headers

    @pytest.mark.parametrize("endpoint", ["messages/count_tokens", "messages/batches"])
    def test_carries_other_bodies_untouched(
        self, ask_anthropic: Ask, provider: FakeProvider, endpoint: str
    ):
        body = json.dumps(QUESTION | {"messages": HISTORY + HISTORY}, indent=2).encode()

        answer = ask_anthropic(body, endpoint)

        assert provider.last().body == body
        assert "x-alchemyst-context" not in answer.headers

    def test_tells_lists_of_models_apart_by_the_clients_own_header(
        self, http, server: str, provider: FakeProvider
    ):
        url = f"{base_of(server, provider)}/v1/models"

        ours = http.get(f"{url}?limit=1000", headers=VERSION | {"x-api-key": KEY})

        assert ours.json()["data"][0]["type"] == "model"
        assert provider.last().path == "/anthropic/v1/models?limit=1000"
        openais = http.get(url, headers={"X-Upstream-Api-Key": "k"})
        assert openais.status_code == 200
        assert headers_of(provider)["authorization"] == "Bearer k"

    def test_narrows_lists_of_models_for_a_limited_key(
        self, http, server: str, provider: FakeProvider
    ):
        limited = {"name": "k", "scopes": ["proxy"], "allowed_models": ["claude-other"]}
        made = http.post(f"{server}/api/v1/auth/keys", json=limited).json()
        shown = VERSION | {"x-api-key": KEY, "Authorization": f"Bearer {made['key']}"}
        base = f"{base_of(server, provider)}/v1"

        listed = http.get(f"{base}/models", headers=shown).json()
        refused = http.post(f"{base}/messages", json=QUESTION, headers=shown)

        assert listed == {"data": [], "has_more": False, "first_id": MODEL, "last_id": MODEL}
        assert is_ours(refused, 403, "permission_error")

    def test_leads_to_a_stored_provider_with_its_key(
        self, http, server: str, provider: FakeProvider
    ):
        stored = {"name": "claude", "base_url": f"{provider.url}/anthropic", "key": KEY}
        made = http.post(f"{server}/api/v1/providers", json=stored | {"dialect": "anthropic"})
        assert made.status_code == 201

        http.post(f"{server}/api/v1/proxy/claude/v1/messages", json=QUESTION, headers=VERSION)

        assert provider.last().path == "/anthropic/v1/messages"
        assert headers_of(provider)["x-api-key"] == KEY

    def test_refuses_a_stored_base_that_ends_in_a_version(self, http, server: str):
        stored = {"name": "c", "base_url": "https://api.anthropic.com/v1", "key": KEY}

        answer = http.post(f"{server}/api/v1/providers", json=stored | {"dialect": "anthropic"})

        assert answer.status_code == 400
        assert "base_url" in answer.json()["details"]


class TestHeaders:
    def test_go_up_verbatim_with_one_credential(
        self, ask_anthropic: Ask, provider: FakeProvider, token: str
    ):
        told = {
            "anthropic-version": "2026-10-21",
            "anthropic-beta": "one-2026-01-01,something-new-2027-01-01",
            "anthropic-dangerous-direct-browser-access": "true",
            "anthropic-something-new": "x",
            "x-app": "cli",
            "x-claude-code-session-id": "s",
            "x-stainless-lang": "python",
            "user-agent": "claude-cli/2.1.197",
        }

        ask_anthropic(headers=told)

        sent = headers_of(provider)
        assert told.items() <= sent.items()
        assert sent["x-api-key"] == KEY
        assert "authorization" not in sent
        assert token not in str(sent)

    @pytest.mark.parametrize(
        ("key", "header"),
        [
            ("sk-ant-api03-x", ("x-api-key", "sk-ant-api03-x")),
            ("local", ("x-api-key", "local")),
            ("sk-ant-oat01-x", ("Authorization", "Bearer sk-ant-oat01-x")),
        ],
    )
    def test_show_a_key_as_what_it_is(self, key: str, header: tuple[str, str]):
        assert anthropic.credential(key) == header

    def test_show_what_a_signed_in_client_has_as_a_bearer(
        self, ask_anthropic: Ask, provider: FakeProvider
    ):
        ask_anthropic(headers={"x-api-key": "sk-ant-oat01-x", "anthropic-beta": "oauth-2025-04-20"})

        sent = headers_of(provider)
        assert sent["authorization"] == "Bearer sk-ant-oat01-x"
        assert "x-api-key" not in sent
        assert sent["anthropic-beta"] == "oauth-2025-04-20"


class TestTheFilter:
    def test_replaces_the_messages_and_keeps_every_other_byte(
        self, ask_anthropic: Ask, provider: FakeProvider
    ):
        kept = [
            b'{"role": "user",  "content": [{"text":"How do I bake sourdough?","type":"text"}]}',
            b'{"content":"Mix flour and sourdough starter, bake the bread.", "role":"assistant"}',
        ]
        gone = json.dumps(HISTORY[2:4])[1:-1].encode()
        rest = json.dumps(HISTORY[4:])[1:-1].encode()
        body = (
            b'{"max_tokens":1e3,"messages":[%b],"model":"claude-test","betas":["new"],'
            b'"system":[{"type":"text","text":"x-anthropic-billing-header: cch=1;"}],"new":[1.0]}'
        )

        answer = ask_anthropic(body % b",".join([*kept, gone, rest]))

        rest = b",".join(json.dumps(each).encode() for each in HISTORY[4:])
        assert provider.last().body == body % b",".join([*kept, rest])
        context = answer.headers["x-alchemyst-context"]
        assert "mode=strict; result=filtered; kept=5; dropped=2" in context

    @pytest.mark.parametrize("mode", ["off", "very_strict"])
    def test_forwards_the_bytes_where_nothing_is_dropped(
        self, ask_anthropic: Ask, provider: FakeProvider, mode: str
    ):
        messages = HISTORY if mode == "off" else HISTORY[-1:]
        body = json.dumps(QUESTION | {"messages": messages}, indent=3).encode()

        ask_anthropic(body, headers={"X-Alchemyst-Relevance": mode})

        assert provider.last().body == body

    def test_leaves_a_coding_agents_request_alone_and_says_why(
        self, ask_anthropic: Ask, provider: FakeProvider
    ):
        mark = {"cache_control": {"type": "ephemeral"}}
        newest = {"type": "text", "text": HISTORY[-1]["content"]} | mark
        body = json.dumps(
            QUESTION
            | {
                "system": [{"type": "text", "text": "You are an agent."} | mark],
                "thinking": {"type": "adaptive"},
                "messages": [*HISTORY[:-1], {"role": "user", "content": [newest]}],
            }
        ).encode()

        answer = ask_anthropic(body, query="?beta=true")

        assert provider.last().body == body
        context = answer.headers["x-alchemyst-context"]
        assert "result=unchanged" in context
        assert context.endswith("reason=client-marks")

    def test_adds_no_mark(self, ask_anthropic: Ask, provider: FakeProvider):
        ask_anthropic(HISTORY)

        assert len(provider.last().json["messages"]) < len(HISTORY)
        assert b"cache_control" not in provider.last().body

    def test_is_undone_when_the_provider_refuses_its_result(
        self, ask_anthropic: Ask, provider: FakeProvider
    ):
        answer = ask_anthropic(HISTORY, behaviour="anthropic-refuse-filtered")

        assert answer.status_code == 200
        assert [len(each.json["messages"]) for each in provider.received] == [5, 7]
        assert "result=undone" in answer.headers["x-alchemyst-context"]

    def test_obeys_pins_and_exclusions(self, ask_anthropic: Ask, provider: FakeProvider):
        options = {"X-Alchemyst-Pin": "2", "X-Alchemyst-Exclude": "first"}

        ask_anthropic(HISTORY, headers=options)

        assert provider.last().json["messages"] == HISTORY[2:]


class TestARecord:
    def test_tells_what_became_of_each_message_and_why(
        self, http, server: str, the_server: Server, provider: FakeProvider, alice: User
    ):
        _, key = ApiKey.make(alice, name="k", scopes=["proxy"], records="texts")
        shown = VERSION | {"x-api-key": KEY, "Authorization": f"Bearer {key}"}
        blocks = [
            said | {"content": [{"type": "text", "text": said["content"]}]} for said in HISTORY
        ]
        url = f"{base_of(server, provider)}/v1/messages"

        answer = requests.post(url, json=QUESTION | {"messages": blocks}, headers=shown)
        asyncio.run_coroutine_threadsafe(decision_writer.queue.close(), the_server.loop).result(10)

        id = answer.headers["x-alchemyst-request-id"]
        record = http.get(f"{server}/api/v1/proxy/requests/{id}").json()
        assert [each["text"] for each in record["messages"]] == [
            said["content"] for said in HISTORY
        ]
        assert [each["fate"] for each in record["messages"]].count("dropped") == 2
