"""Shadow, and the records of what was decided, for the keys that want them."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest
import requests
from django.conf import LazySettings
from django.core.management import call_command
from django.utils import timezone

from alchemyst.accounts.models import ApiKey, User
from proxy.accounting import decision_writer
from proxy.models import DecisionRecord
from tests import nginx
from tests.conftest import Server
from tests.fakes import FakeProvider
from tests.proxy.conftest import HISTORY, KEY, completion

Through = Callable[..., str]
Http = requests.Session
UNKNOWN = "req_0123456789abcdef00000000"
NUL = pytest.param(
    "%00", marks=pytest.mark.not_behind(*nginx.WAYS, reason="nginx refuses it by itself")
)


@pytest.fixture
def written(server: str, the_server: Server) -> Iterator[Callable[[], None]]:
    """Has the records written that wait in memory."""

    def write() -> None:
        asyncio.run_coroutine_threadsafe(decision_writer.queue.close(), the_server.loop).result(10)

    yield write
    write()


def by(key: str) -> Http:
    session = requests.Session()
    session.trust_env = False
    session.headers["Authorization"] = f"Bearer {key}"
    return session


@pytest.fixture
def keyed(alice: User) -> Iterator[Callable[..., Http]]:
    """Makes clients that show keys of Alice's with a setting for records."""
    made: list[Http] = []

    def client(setting: str = "scores", owner: User = alice) -> Http:
        _, text = ApiKey.make(owner, name="k", scopes=["proxy"], records=setting)
        made.append(by(text))
        return made[-1]

    yield client
    for each in made:
        each.close()


@pytest.fixture
def ask(through: Through, written: Callable[[], None]) -> Callable[..., str]:
    """Asks the provider by a client, and returns the request's id once its record is written."""

    def asked(client: Http, messages: Any = HISTORY, behaviour: str = "", **headers: str) -> str:
        url = f"{through(behaviour)}/chat/completions"
        response = client.post(url, json=completion(messages), headers=headers)
        written()
        return response.headers["x-alchemyst-request-id"]

    return asked


@pytest.fixture
def record(server: str) -> Callable[[Http, str], requests.Response]:
    def read(client: Http, request_id: str) -> requests.Response:
        return client.get(f"{server}/api/v1/proxy/requests/{request_id}")

    return read


class TestShadow:
    @pytest.fixture
    def shadowed(self, http: Http, through: Through) -> Callable[..., requests.Response]:
        def ask(body: bytes, client: Http = http) -> requests.Response:
            named = {"X-Alchemyst-Relevance": "shadow", "Content-Type": "application/json"}
            return client.post(f"{through()}/chat/completions", data=body, headers=named)

        return ask

    BODY = msgspec.json.format(msgspec.json.encode(completion()), indent=1)

    def test_forwards_the_bytes_that_came(self, shadowed, provider: FakeProvider):
        shadowed(self.BODY)

        assert provider.last().body == self.BODY

    def test_tells_what_would_have_been(self, shadowed, http: Http, through: Through):
        done = http.post(f"{through()}/chat/completions", data=self.BODY)

        told = shadowed(self.BODY).headers["x-alchemyst-context"]

        assert told.startswith("mode=strict; result=shadow; kept=5; dropped=2; ")
        as_filtered = done.headers["x-alchemyst-context"].replace("filtered", "shadow")
        assert told.split("; ms=")[0] == as_filtered.split("; ms=")[0]

    def test_follows_the_mode_of_the_key(self, shadowed, alice: User):
        _, text = ApiKey.make(alice, name="k", scopes=["proxy"], relevance="lax")

        with by(text) as client:
            told = shadowed(self.BODY, client).headers["x-alchemyst-context"]

        assert told.startswith("mode=lax; result=shadow; ")

    def test_follows_the_mode_of_the_user(self, shadowed, alice: User):
        alice.relevance = "very_strict"
        alice.save()

        told = shadowed(self.BODY).headers["x-alchemyst-context"]

        assert told.startswith("mode=very_strict; result=shadow; ")

    def test_says_so_where_nothing_would_go(self, shadowed):
        told = shadowed(msgspec.json.encode(completion(HISTORY[-1:]))).headers

        assert "result=shadow; kept=1; dropped=0; " in told["x-alchemyst-context"]

    def test_leaves_a_row_that_says_so(self, shadowed, rows):
        shadowed(self.BODY)

        (row,) = rows()

        assert (row.mode, row.filtering) == ("strict", "shadow")
        assert (row.messages_before, row.messages_after) == (7, 5)

    def test_is_asked_once_where_the_provider_refuses(
        self, http: Http, through: Through, provider: FakeProvider
    ):
        http.post(
            f"{through('fail/400')}/chat/completions",
            json=completion(),
            headers={"X-Alchemyst-Relevance": "shadow"},
        )

        assert len(provider.received) == 1

    def test_is_no_mode_of_a_key(self, http: Http, server: str):
        body = {"name": "k", "scopes": ["proxy"], "relevance": "shadow"}

        assert http.post(f"{server}/api/v1/auth/keys", json=body).status_code == 400

    def test_is_recorded(self, keyed, ask, record):
        client = keyed()

        told = record(client, ask(client, **{"X-Alchemyst-Relevance": "shadow"})).json()

        assert told["result"] == "shadow"
        assert [each["fate"] for each in told["messages"]].count("dropped") == 2


class TestARecord:
    def test_has_the_decision_on_each_message(self, keyed, ask, record):
        client = keyed()
        request_id = ask(client)

        told = record(client, request_id).json()

        assert told["id"] == request_id
        assert (told["mode"], told["result"], told["model"]) == (
            "strict",
            "filtered",
            "gpt-test",
        )
        assert (told["totals"]["messages_before"], told["totals"]["messages_after"]) == (7, 5)
        assert told["messages"][2].keys() == {
            "index", "role", "fate", "reason", "score", "tokens", "digest",
        }  # fmt: skip
        assert told["messages"][2]["fate"] == "dropped"

    def test_says_by_what_texts_were_compared(self, keyed, ask, record):
        client = keyed()

        assert record(client, ask(client)).json()["meaning"] == "words"
        off = ask(client, **{"X-Alchemyst-Relevance": "off"})
        assert record(client, off).json()["meaning"] is None

    def test_is_what_the_preview_tells(self, keyed, ask, record, server: str):
        client = keyed()

        told = record(client, ask(client)).json()["messages"]

        previewed = client.post(f"{server}/api/v1/proxy/preview", json=completion()).json()
        assert [{**each, "digest": ""} for each in previewed["messages"]] == [
            {**each, "digest": ""} for each in told
        ]

    def test_has_digests_that_anybody_can_work_out(self, keyed, through, written, record):
        client = keyed()
        message = b'{"role": "user",  "content":"Caf\\u00e9?"}'
        response = client.post(
            f"{through()}/chat/completions",
            data=b'{"model":"m","messages":[' + message + b"]}",
        )
        written()

        told = record(client, response.headers["x-alchemyst-request-id"]).json()

        assert told["messages"][0]["digest"] == hashlib.sha256(message).hexdigest()

    def test_has_no_word_of_the_texts_unless_asked(self, keyed, ask):
        ask(keyed("scores"))

        (kept,) = DecisionRecord.objects.all()

        assert b"sourdough" not in msgspec.json.encode(kept.to_json())

    def test_has_the_texts_where_asked(self, keyed, ask, record):
        client = keyed("texts")

        told = record(client, ask(client)).json()

        assert [each["text"] for each in told["messages"]] == [each["content"] for each in HISTORY]

    def test_has_the_beginning_of_a_long_text(self, keyed, ask, record):
        client = keyed("texts")
        long = [{"role": "user", "content": "a" * (decision_writer.LONGEST_TEXT + 5)}]

        told = record(client, ask(client, long)).json()

        assert told["messages"][0]["text"] == "a" * decision_writer.LONGEST_TEXT

    def test_takes_any_character(self, keyed, ask, record):
        client = keyed("texts")

        told = record(client, ask(client, [{"role": "user", "content": "\0 куда \U0001f600"}]))

        assert told.json()["messages"][0]["text"] == "\0 куда \U0001f600"

    def test_and_its_row_take_any_name_of_a_model(self, keyed, through: Through, written, rows):
        url = f"{through()}/chat/completions"

        keyed().post(url, json=completion(HISTORY) | {"model": "gpt\0-" + "x" * 300})
        written()

        assert DecisionRecord.objects.get().model == rows()[0].model == "gpt-" + "x" * 196

    def test_never_has_the_providers_key(self, keyed, ask):
        ask(keyed("texts"))

        (kept,) = DecisionRecord.objects.all()

        assert KEY.encode() not in msgspec.json.encode(kept.to_json())

    def test_says_when_the_provider_refused_the_filtered(self, keyed, ask, record):
        client = keyed()

        told = record(client, ask(client, behaviour="fail/400")).json()

        assert told["result"] == "undone"
        assert {each["reason"] for each in told["messages"]} == {
            "the provider refused the filtered request"
        }
        assert told["totals"]["messages_after"] == 7

    def test_is_not_to_be_stored_on_the_way(self, keyed, ask, record):
        client = keyed()

        assert record(client, ask(client)).headers["cache-control"] == "private, no-store"


class TestNoRecord:
    def test_is_kept_unless_the_key_says_so(self, keyed, ask, http: Http):
        ask(keyed(""))
        ask(http)

        assert not DecisionRecord.objects.exists()

    def test_is_kept_of_a_request_that_we_refuse(self, keyed, ask):
        ask(keyed(), [])

        assert not DecisionRecord.objects.exists()

    def test_delays_or_fails_a_request(
        self, keyed, through: Through, written, monkeypatch: pytest.MonkeyPatch
    ):
        client = keyed()
        monkeypatch.setattr(decision_writer.queue, "limit", 1000)
        before = decision_writer.queue.dropped

        answers = [
            client.post(f"{through()}/chat/completions", json=completion()) for _ in range(3)
        ]
        written()

        assert [answer.status_code for answer in answers] == [200] * 3
        assert DecisionRecord.objects.count() + decision_writer.queue.dropped - before == 3
        assert decision_writer.queue.dropped > before

    def test_of_a_deleted_account_takes_others_along(
        self, keyed, through: Through, written, alice: User, bob: User
    ):
        for owner in (bob, alice):
            keyed(owner=owner).post(f"{through()}/chat/completions", json=completion())

        bob.delete()
        written()

        assert [kept.owner for kept in DecisionRecord.objects.all()] == [alice]

    def test_outlives_its_owner(self, keyed, ask, alice: User):
        ask(keyed("texts"))

        alice.delete()

        assert not DecisionRecord.objects.exists()


class TestReading:
    def test_is_open_to_the_owners_login(self, keyed, ask, record, http: Http):
        assert record(http, ask(keyed())).status_code == 200

    def test_is_closed_to_others_as_if_there_were_nothing(self, keyed, ask, record, bob: User):
        request_id = ask(keyed())
        stranger = keyed(owner=bob)

        theirs, missing = record(stranger, request_id), record(stranger, UNKNOWN)

        assert theirs.status_code == missing.status_code == 404
        assert theirs.content == missing.content
        assert theirs.headers.keys() == missing.headers.keys()
        assert theirs.json()["error"].keys() == {"message", "type", "code", "param"}

    def test_is_closed_to_the_owners_other_keys(self, keyed, ask, record):
        """A key that is handed to a program opens nothing but what that program said."""
        assert record(keyed(), ask(keyed("texts"))).status_code == 404

    @pytest.mark.parametrize("name", ["", "req_", "req_ABC", "../models", "a/b", "x" * 500, NUL])
    def test_finds_nothing_under_odd_names(self, http: Http, server: str, name: str):
        assert http.get(f"{server}/api/v1/proxy/requests/{name}").status_code == 404

    def test_is_by_get_alone(self, http: Http, server: str):
        response = http.post(f"{server}/api/v1/proxy/requests/{UNKNOWN}", json={})

        assert (response.status_code, response.headers["allow"]) == (405, "GET")

    def test_asks_for_a_token(self, server: str):
        response = requests.get(f"{server}/api/v1/proxy/requests/{UNKNOWN}")

        assert response.status_code == 401

    def test_leaves_no_row(self, http: Http, record, rows):
        record(http, UNKNOWN)

        assert rows() == []


class TestExpiry:
    @pytest.fixture
    def old(self, keyed, ask) -> str:
        """The id of a request eight days ago."""
        request_id = ask(keyed())
        DecisionRecord.objects.update(created=timezone.now() - timedelta(days=8))
        return request_id

    def test_hides_what_is_too_old(self, old: str, record, http: Http):
        assert record(http, old).status_code == 404

    def test_leaves_what_the_operator_wants_kept(
        self, old: str, record, http: Http, settings: LazySettings
    ):
        settings.PROXY_RECORD_DAYS = 9

        assert record(http, old).status_code == 200

    def test_deletes_by_command(self, old: str, keyed, ask):
        ask(keyed())
        out = io.StringIO()

        call_command("expire_decisions", stdout=out)

        assert out.getvalue() == "Deleted: 1.\n"
        assert DecisionRecord.objects.count() == 1
        assert not DecisionRecord.objects.filter(request_id=old).exists()

    def test_deletes_as_new_ones_are_written(
        self, old: str, keyed, ask, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(decision_writer.expiry, "seconds", -1)

        ask(keyed())

        assert not DecisionRecord.objects.filter(request_id=old).exists()

    def test_works_in_bounded_steps(self, keyed, ask, old: str):
        ask(keyed())
        DecisionRecord.objects.update(created=timezone.now() - timedelta(days=8))

        assert DecisionRecord.objects.all().expire(at_once=1) == 2


class TestTheSetting:
    def test_is_made_with_a_key_and_told(self, as_alice):
        body = {"name": "k", "scopes": ["proxy"], "records": "texts"}

        assert as_alice.post("/api/v1/auth/keys", body, format="json").status_code == 201
        assert as_alice.get("/api/v1/auth/keys").json()[0]["records"] == "texts"

    def test_is_nothing_by_default(self, as_alice):
        as_alice.post("/api/v1/auth/keys", {"name": "k", "scopes": ["proxy"]}, format="json")

        assert ApiKey.objects.get().records == ""

    def test_is_one_of_three(self, as_alice):
        body = {"name": "k", "scopes": ["proxy"], "records": "everything"}

        response = as_alice.post("/api/v1/auth/keys", body, format="json")

        assert response.status_code == 400
        assert list(response.json()["details"]) == ["records"]


class TestTheAdmin:
    @pytest.fixture
    def page(self, keyed, ask, admin_client) -> Callable[[str], str]:
        ask(keyed("texts"))

        def read(path: str) -> str:
            return admin_client.get(f"/admin/proxy/decisionrecord/{path}").content.decode()

        return read

    def test_lists_records(self, page):
        assert "5 of 7" in page("")

    def test_shows_nothing_that_was_said(self, page):
        (kept,) = DecisionRecord.objects.all()

        shown = page(f"{kept.pk}/change/")

        assert kept.request_id in shown
        assert "packed" not in shown.lower()
        assert "sourdough" not in shown
