"""The cost gate on the proxy's path, in front of a provider that bills by its rules."""

from __future__ import annotations

import json

import pytest

from proxy.models import Price, Provider
from tests import anthropic
from tests.cost.billing import ANSWERED
from tests.cost.conftest import KEY, told
from tests.cost.topics import EXCHANGES, turns

pytestmark = pytest.mark.django_db(transaction=True)


def sent(billing) -> list[list[dict]]:
    return [received.json["messages"] for received in billing.received]


class TestBill:
    @pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
    def test_the_ledger_matches_the_providers_to_the_token(self, stream, ask, billing, price, rows):
        for messages in turns():
            assert ask(messages, stream=stream).status_code == 200

        written = rows()
        assert [
            {"prompt": r.prompt_tokens, "cached": r.cached_tokens, "written": r.written_tokens}
            for r in written
        ] == billing.calls
        for row, call in zip(written, billing.calls, strict=True):
            fresh = call["prompt"] - call["cached"] - call["written"]
            # Thousandths of a dollar for a million tokens, so billionths for each.
            assert row.cost == (
                fresh * 5_000 + call["cached"] * 500 + call["written"] * 6_250 + ANSWERED * 25_000
            )
            assert row.price_id == price.pk

    def test_is_what_was_expected(self, ask, billing, price, rows):
        for messages in turns():
            ask(messages)

        for row, call in zip(rows(), billing.calls, strict=True):
            assert row.expected_cached == call["cached"]
            assert row.estimated == row.cost - ANSWERED * 25_000

    def test_is_lower_than_for_everything_and_what_was_saved_adds_up(
        self, ask, billing, price, rows
    ):
        for messages in turns():
            ask(messages)
        ours = rows()
        billing.calls.clear()
        for messages in turns():
            system = {"role": "system", "content": "You are a patient teacher!"}
            ask([system, *messages[1:]], Cost="off", Relevance="off")

        everything = sum(row.cost for row in rows()[len(ours) :])
        assert sum(row.cost for row in ours) < 0.9 * everything
        saved = sum(row.saved for row in ours)
        assert saved == pytest.approx(everything - sum(row.cost for row in ours), rel=0.02)


class TestRequests:
    def test_go_on_with_the_last_one_unless_the_header_says_otherwise(self, ask, billing, price):
        modes = [told(ask(messages))["cache"] for messages in turns()]

        for last, this, mode in zip(sent(billing), sent(billing)[1:], modes[1:], strict=False):
            if mode in ("full", "continue"):
                assert this[: len(last)] == last
        assert {"full", "continue"} < set(modes)

    def test_are_whole_while_the_conversation_is_short(self, ask, billing, price):
        messages = next(turns())
        answer = ask(messages)

        assert told(answer)["reason"] == "quiet"
        assert sent(billing) == [messages]

    @pytest.mark.parametrize("mark", ["cache_control", "prompt_cache_breakpoint"])
    def test_are_forwarded_byte_for_byte_where_the_client_marks_its_cache(
        self, ask, billing, price, mark: str
    ):
        *_, messages = turns()
        messages[0] = {**messages[0], mark: {"type": "ephemeral"}}

        answer = ask(messages)

        assert told(answer)["reason"] == "client-marks"
        assert told(answer)["result"] == "unchanged"
        assert sent(billing) == [messages]

    def test_in_shadow_everything_goes_and_the_books_are_kept(self, ask, billing, price, rows):
        for messages in turns():
            answer = ask(messages, Relevance="shadow")

        assert sent(billing) == list(turns())
        assert told(answer)["result"] == "shadow"
        assert int(told(answer)["est-cost"]) < int(told(answer)["est-cost-whole"])
        assert {row.saved for row in rows()} == {0}
        assert rows()[-1].estimated < rows()[-1].estimated_whole

    def test_start_fresh_when_the_provider_has_forgotten(self, ask, billing, price, rows):
        *_, messages = turns()
        billing.forgets = True
        modes = []
        for number in range(1, 10):
            answer = ask(messages[: -2 * (10 - number)])
            rows()
            modes.append(told(answer))

        assert int(modes[-1]["tokens-after"]) < int(modes[-1]["tokens-before"]) / 2


class TestSettings:
    def test_the_header_goes_before_all_others(self, ask, price):
        *_, messages = turns()

        assert "cost" not in told(ask(messages, Cost="off"))
        assert told(ask(messages, Cost="bold"))["cost"] == "bold"

    def test_an_unknown_preset_is_refused(self, ask, billing, price):
        answer = ask(next(turns()), Cost="cheap")

        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == "X-Alchemyst-Cost"
        assert not billing.received

    def test_a_users_own_preset_counts(self, ask, price, alice):
        alice.cost = "guaranteed"
        alice.save()

        assert told(ask(next(turns())))["cost"] == "guaranteed"

    def test_a_stored_providers_preset_counts(self, server, token, price, billing, alice, http):
        stored = Provider(owner=alice, name="mine", base_url=f"{billing.url}/v1", cost="bold")
        stored.seal(KEY)
        stored.save()
        url = f"{server}/api/v1/proxy/mine/chat/completions"
        body = {"model": "gpt-test", "messages": next(turns())}

        answer = http.post(url, json=body, headers={"Authorization": f"Bearer {token}"})

        assert told(answer)["cost"] == "bold"

    def test_the_operator_can_switch_it_off(self, ask, price, settings):
        settings.PROXY_COST = "off"

        assert "cost" not in told(ask(next(turns())))


class TestUnknownProviders:
    def test_relevance_alone_decides_until_answers_show_a_cache(self, ask, billing, server, rows):
        *_, messages = turns()
        answers = []
        for _ in range(5):
            answers.append(told(ask(messages)))
            rows()

        assert "cost" not in answers[0]
        assert answers[-1]["cost"] == "balanced"

    def test_one_that_never_shows_a_cache_stays_as_it_is(self, ask, billing, server, rows):
        billing.tells_cached = False
        *_, messages = turns()
        for _ in range(5):
            answer = ask(messages)
            rows()

        assert "cost" not in told(answer)


class TestAlarm:
    def test_everything_is_sent_while_far_less_is_cached_than_expected(
        self, ask, billing, price, rows, monkeypatch
    ):
        monkeypatch.setattr("proxy.filtering.cache_estimates.WINDOW", 3)
        monkeypatch.setattr("proxy.filtering.cache_estimates.MAX_MISSES", 100)
        billing.forgets = True
        for messages in turns():
            answer = ask(messages)
            rows()

        assert told(answer)["reason"] == "alarm"
        assert sent(billing)[-1] == messages


class TestPreview:
    def test_shows_what_is_not_worth_its_price_beside_what_is_for_the_answer(
        self, server, token, http
    ):
        messages = list(turns())[4 * EXCHANGES + 2]
        url = f"{server}/api/v1/proxy/preview"
        headers = {
            "Authorization": f"Bearer {token}",
            "X-Alchemyst-Cost": "balanced",
            "X-Alchemyst-Relevance": "very_strict",
        }
        body = {"model": "gpt-5.4", "messages": messages}

        answer = http.post(url, json=body, headers=headers).json()

        assert answer["cost"]["mode"] == "fresh"
        reasons = {message["reason"].partition(";")[0] for message in answer["messages"]}
        assert "sending it again costs more than it is worth" in reasons
        assert "relevant" in reasons

    def test_without_a_preset_it_is_relevance_alone(self, server, token, http):
        url = f"{server}/api/v1/proxy/preview"
        body = {"model": "gpt-5.4", "messages": next(turns())}

        answer = http.post(url, json=body, headers={"Authorization": f"Bearer {token}"}).json()

        assert answer["cost"] is None


def test_gemini_is_looked_at_as_well(server, token, billing, http, rows):
    Price.objects.create(host=billing.host, input=5, cached="0.5", output=25, since="2026-01-01")
    contents = [
        {"role": "model" if m["role"] == "assistant" else "user", "parts": [{"text": m["content"]}]}
        for m in list(turns())[-1][1:]
    ]
    body = json.dumps({"contents": contents})
    url = f"{server}/api/v1/proxy/preview/v1beta/models/gemini-2.5-flash:generateContent"
    headers = {"Authorization": f"Bearer {token}", "X-Alchemyst-Cost": "bold",
               "x-goog-api-key": "k"}  # fmt: skip

    answer = http.post(url, data=body, headers=headers).json()

    assert answer["cost"]["mode"] == "fresh"
    assert answer["totals"]["tokens_after"] < answer["totals"]["tokens_before"]


def test_anthropics_request_with_a_mark_anywhere_is_left_alone(server, token, provider, http):
    Price.objects.create(
        host=f"127.0.0.1:{provider.port}", input=5, cached="0.5", output=25, since="2026-01-01"
    )
    mark = {"cache_control": {"type": "ephemeral"}}
    system = [{"type": "text", "text": "You are an agent."} | mark]

    for messages in turns():
        body = {"model": "m", "max_tokens": 9, "system": system, "messages": messages[1:]}
        answer = http.post(
            f"{anthropic.base_of(server, provider)}/v1/messages",
            json=body,
            headers={"Authorization": f"Bearer {token}", "x-api-key": KEY},
        )

        assert provider.last().json == body
        assert told(answer)["reason"] == "client-marks"


def test_anthropics_conversation_is_known_again_in_whatever_form_its_client_sends_it(
    server, token, provider, http
):
    Price.objects.create(
        host=f"127.0.0.1:{provider.port}", input=5, cached="0.5", output=25, since="2026-01-01"
    )

    def modes(key: str, *, changes_form: bool) -> list[str]:
        listed = []
        for number, messages in enumerate(turns()):
            sent = [
                m | {"content": [{"type": "text", "text": m["content"]}]}
                if changes_form and number % 2
                else m
                for m in messages[1:]
            ]
            answer = http.post(
                f"{anthropic.base_of(server, provider)}/v1/messages",
                json={"model": "claude-opus-5", "max_tokens": 9, "messages": sent},
                headers={"Authorization": f"Bearer {token}", "x-api-key": key},
            )
            listed.append(told(answer)["cache"])
        return listed

    assert modes("one", changes_form=True) == modes("two", changes_form=False)
