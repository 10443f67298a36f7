"""The preview tells what would become of each message, and asks nobody."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import requests
from django.conf import LazySettings
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from alchemyst.accounts.models import ApiKey
from proxy.models import DecisionRecord, UsageRecord
from proxy.wire import token_count
from tests.fakes import FakeProvider
from tests.proxy.conftest import HISTORY, completion, said

Rows = Callable[[], list[UsageRecord]]
Preview = Callable[..., requests.Response]

WORDS = ["sourdough", "bread", "flour", "oven", "paris", "film", "always", "4711", "yes", "куда"]
TEXTS = st.lists(st.sampled_from(WORDS), max_size=9).map(" ".join)
ROLES = st.sampled_from(["system", "developer", "user", "assistant", "function"])
MESSAGES = st.lists(
    st.builds(lambda role, content: {"role": role, "content": content, "name": "f"}, ROLES, TEXTS)
    | st.builds(lambda role, content: {"role": role, "content": content}, ROLES, TEXTS),
    min_size=1,
    max_size=14,
)
MODES = st.sampled_from(["very_strict", "strict", "lax", "off", "shadow"])
PLACES = st.sampled_from(["", "first", "1,-1", "2-4"])


@pytest.fixture
def preview(http: requests.Session, server: str) -> Preview:
    """Asks for a preview of messages."""

    def ask(messages: object = HISTORY, path: str = "preview", **headers: str) -> requests.Response:
        named = {f"X-Alchemyst-{name.title()}": value for name, value in headers.items()}
        url = f"{server}/api/v1/proxy/{path}"
        return http.post(url, json=completion(messages), headers=named)  # type: ignore[arg-type]

    return ask


class TestEachMessage:
    def test_has_its_fate_reason_score_and_tokens(self, preview: Preview):
        told = preview().json()["messages"]

        assert [each["index"] for each in told] == list(range(7))
        assert told[2] == {
            "index": 2,
            "role": "user",
            "fate": "dropped",
            "reason": "below threshold; talk",
            "score": told[2]["score"],
            "tokens": token_count.PER_MESSAGE + token_count.count(HISTORY[2]["content"]),
        }
        assert 0 <= told[2]["score"] < told[0]["score"] <= 1
        assert [each["fate"] for each in told[4:]] == ["protected"] * 3

    def test_has_the_role_that_the_caller_wrote(self, preview: Preview):
        told = preview([{"role": "developer", "content": "Be brief."}, *HISTORY]).json()["messages"]

        assert (told[0]["role"], told[0]["fate"]) == ("developer", "protected")

    def test_names_the_one_that_it_repeats(self, preview: Preview):
        told = preview(HISTORY[:4] + HISTORY[:2] + HISTORY[4:]).json()["messages"]

        assert [told[4]["fate"], told[4]["reason"]] == ["dropped", "duplicate of 0"]

    def test_is_joined_when_it_becomes_one_with_a_neighbour(self, preview: Preview):
        asked = said(
            "How do I bake sourdough bread at home?",
            "With flour, water and sourdough starter, baked as bread in a hot oven.",
            "What is the capital of France?",
            "The capital of France is Paris, on the river Seine.",
            "Does sourdough bread need salt?",
            "Yes, salt the sourdough bread with two percent of its flour.",
            "Which film by Tarkovsky should I watch first?",
            "Start with Stalker, a slow and beautiful journey.",
            "How long does sourdough bread have to bake, and with how much salt?",
        )
        lone = {"role": "user", "content": "Sourdough bread with rye flour, please."}

        told = preview([lone, *asked], relevance="very_strict").json()["messages"]

        joined = [each for each in told if each["fate"] == "joined"]
        assert {each["index"] for each in joined} == {0, 1}
        assert joined[0]["reason"].endswith("; one message with 1")

    @hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(messages=MESSAGES, mode=MODES, pin=PLACES, exclude=PLACES)
    def test_has_exactly_one_decision_and_tokens_add_up(
        self, preview: Preview, messages, mode: str, pin: str, exclude: str
    ):
        told = preview(messages, relevance=mode, pin=pin, exclude=exclude).json()

        decided, totals = told["messages"], told["totals"]
        stay = [each for each in decided if each["fate"] != "dropped"]
        assert [each["index"] for each in decided] == list(range(len(messages)))
        assert {each["fate"] for each in decided} <= {"kept", "dropped", "joined", "protected"}
        assert all(each["reason"] for each in decided)
        assert (totals["messages_before"], totals["messages_after"]) == (len(decided), len(stay))
        for which, counted in (("before", decided), ("after", stay)):
            own = sum(each["tokens"] for each in counted)
            assert totals[f"tokens_{which}"] == token_count.PER_REQUEST + own


class TestTheWhole:
    def test_is_summed_up_with_the_mode(self, preview: Preview):
        told = preview(relevance="very_strict").json()

        assert (told["mode"], told["result"]) == ("very_strict", "filtered")
        totals = told["totals"]
        assert (totals["messages_before"], totals["messages_after"]) == (7, 5)
        assert 0 < totals["tokens_after"] < totals["tokens_before"]
        assert totals["milliseconds"] > 0

    def test_is_what_a_forwarded_request_is_told(
        self, preview: Preview, http: requests.Session, through: Callable[..., str]
    ):
        done = http.post(f"{through()}/chat/completions", json=completion())

        told = preview()

        context = "x-alchemyst-context"
        assert told.headers[context].split("; ms=")[0] == done.headers[context].split("; ms=")[0]

    def test_obeys_pins_and_exclusions(self, preview: Preview):
        told = preview(pin="2", exclude="0").json()["messages"]

        assert told[2]["reason"] == "pinned"
        assert told[0]["fate"] == told[1]["fate"] == "dropped"

    def test_says_so_when_nothing_is_filtered(self, preview: Preview):
        told = preview(relevance="off").json()

        assert told["result"] == "off"
        assert {(each["fate"], each["reason"]) for each in told["messages"]} == {
            ("kept", "not filtered")
        }

    def test_says_so_when_the_filter_failed(
        self, preview: Preview, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr("proxy.relevance.filter.decide", None)

        told = preview().json()

        assert told["result"] == "failed"
        assert {each["reason"] for each in told["messages"]} == {"the filter failed"}

    def test_is_told_of_a_large_body_too(self, preview: Preview):
        told = preview(said("sourdough " * 10_000, "bread " * 10_000, "Which flour?")).json()

        assert len(told["messages"]) == 3

    def test_has_an_id(self, preview: Preview):
        assert preview().headers["x-alchemyst-request-id"].startswith("req_")


class TestNobody:
    def test_is_asked(self, preview: Preview, provider: FakeProvider):
        preview()

        assert provider.received == []

    def test_finds_a_row_of_it(self, preview: Preview, rows: Rows):
        preview()

        assert rows() == []
        assert not DecisionRecord.objects.exists()


class TestThePath:
    @pytest.mark.parametrize("path", ["preview", "preview/", "preview/chat/completions"])
    def test_may_be_spelled_as_an_sdk_spells_it(self, preview: Preview, path: str):
        assert len(preview(path=path).json()["messages"]) == 7

    def test_may_be_geminis(self, http: requests.Session, server: str):
        contents = [
            {"role": ("user", "model")[place % 2], "parts": [{"text": each["content"]}]}
            for place, each in enumerate(HISTORY)
        ]

        told = http.post(
            f"{server}/api/v1/proxy/preview/v1beta/models/gemini-2.0-flash:generateContent",
            json={"contents": contents},
        ).json()

        assert [each["role"] for each in told["messages"]][:2] == ["user", "model"]
        assert [each["fate"] for each in told["messages"]].count("dropped") == 2

    def test_may_be_anthropics(self, http: requests.Session, server: str):
        told = http.post(
            f"{server}/api/v1/proxy/preview/v1/messages", json=completion(HISTORY)
        ).json()

        assert [each["role"] for each in told["messages"]][:2] == ["user", "assistant"]
        assert [each["fate"] for each in told["messages"]].count("dropped") == 2

    @pytest.mark.parametrize(
        ("fields", "reason"),
        [
            ({"context_management": {"edits": []}}, "the provider leaves out by itself"),
            ({"thread": {"create": {}}}, "the provider holds what came before"),
        ],
    )
    def test_tells_why_all_of_anthropics_goes(
        self, http: requests.Session, server: str, fields: dict, reason: str
    ):
        told = http.post(
            f"{server}/api/v1/proxy/preview/v1/messages", json=completion(HISTORY) | fields
        ).json()

        assert {each["reason"] for each in told["messages"]} == {reason}

    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("POST", "preview/v1/messages/count_tokens", 404),
            ("GET", "preview", 405),
            ("GET", "preview/models", 404),
            ("POST", "preview/v1beta/models/gemini-2.0-flash:countTokens", 404),
        ],
    )
    def test_is_nothing_else(
        self, http: requests.Session, server: str, method: str, path: str, status: int
    ):
        response = http.request(method, f"{server}/api/v1/proxy/{path}", json={})

        assert response.status_code == status


class TestErrors:
    @pytest.mark.parametrize(
        ("messages", "param"), [([], "messages"), ([{"role": "king"}], "messages[0].role")]
    )
    def test_of_the_body_have_openais_shape(self, preview: Preview, messages, param: str):
        response = preview(messages)

        assert response.status_code == 400
        error = response.json()["error"]
        assert error.keys() == {"message", "type", "code", "param"}
        assert (error["code"], error["param"]) == ("invalid_messages", param)

    def test_of_the_headers_are_named(self, preview: Preview):
        error = preview(relevance="fierce").json()["error"]

        assert error["param"] == "X-Alchemyst-Relevance"
        assert "shadow" in error["message"]

    def test_of_geminis_body_have_googles_shape(self, http: requests.Session, server: str):
        response = http.post(
            f"{server}/api/v1/proxy/preview/v1beta/models/gemini-2.0-flash:generateContent", json={}
        )

        assert response.status_code == 400
        assert response.json()["error"]["status"] == "INVALID_ARGUMENT"

    def test_of_anthropics_body_have_its_shape(self, http: requests.Session, server: str):
        response = http.post(f"{server}/api/v1/proxy/preview/v1/messages", json={})

        assert response.status_code == 400
        assert response.json()["error"]["type"] == "invalid_request_error"

    def test_tell_a_stranger_nothing(self, server: str):
        response = requests.post(f"{server}/api/v1/proxy/preview", json=completion())

        assert response.status_code == 401

    def test_refuse_a_key_without_the_scope(self, server: str, alice):
        _, key = ApiKey.make(alice, name="k", scopes=["chat"])
        bearer = {"Authorization": f"Bearer {key}"}

        response = requests.post(
            f"{server}/api/v1/proxy/preview", json=completion(), headers=bearer
        )

        assert response.status_code == 403

    def test_count_against_the_rate(self, preview: Preview, settings: LazySettings):
        settings.RATE_LIMITS = settings.RATE_LIMITS | {"proxy": (1, 3600)}

        assert [preview().status_code for _ in range(2)] == [200, 429]
