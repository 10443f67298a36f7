"""Exchanges that are moved to right before the question, where the operator allows it."""

from __future__ import annotations

import json
import random
import time
from array import array
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from proxy.cost import message_set
from proxy.cost.cache import Sent
from proxy.cost.policy import PRESETS, Decision, decide
from proxy.cost.prices import Table, Tariff
from proxy.cost.rates import Rates
from proxy.cost.state import State
from proxy.cost.turn import Turn
from proxy.filtering import result
from proxy.filtering.cache_estimates import CacheEstimate
from proxy.filtering.cost_gate import CostGateConfig, assess
from proxy.filtering.decisions import decisions_of
from proxy.filtering.result import FilterOptions, FilterResult
from proxy.wire import gemini, openai, responses
from proxy.wire.dialect import Dialect, Route
from proxy.wire.gemini.contents import broken_rules

from .conftest import told
from .conversations import RATES, Bill, growing
from .topics import TOPICS

MODEL = "gemini-2.5-flash"
ROUTES = {
    openai: Route("", "/chat/completions", "chat/completions", "POST", True),
    gemini: Route("", f"/v1beta/models/{MODEL}:generateContent", "generateContent", "POST", True,
                  MODEL),
    responses: Route("", "/responses", "responses", "POST", True),
}  # fmt: skip
FIELDS = {openai: "messages", gemini: "contents", responses: "input"}


# ---- any history, as numbers


def movable(seed: int) -> Iterator[Turn]:
    """Yield the turns of a random conversation in which every exchange may be moved."""
    chance = random.Random(seed)
    for each in growing(seed, turns=40):
        last = len(each.tokens) - 1
        alike = {place for place in range(0, last, 2) if chance.random() < 0.01}
        yield replace(each, movable=message_set.below(last), on_topic=message_set.of(alike))


def moves(name: str, preset: str, seeds: int = 15, pause: float = 90) -> Iterator[tuple]:
    """Yield what was decided at each turn, and the order in which it is sent."""
    for seed in range(seeds):
        state: State | None = None
        for number, each in enumerate(movable(seed)):
            made, state = decide(each, state, RATES[name], number * pause, PRESETS[preset])
            yield seed, each, made, in_order(made)


def in_order(decision: Decision) -> list[int]:
    *stays, question = message_set.listed(decision.messages & ~decision.moved)
    return [*stays, *message_set.listed(decision.moved), question]


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("name", RATES)
@pytest.mark.slow
class TestEveryChoice:
    def test_holds_what_the_question_needs_and_the_question_last(self, name, preset):
        for _, each, made, order in moves(name, preset):
            assert not each.need & ~made.messages
            assert not made.messages & ~each.everything
            assert message_set.of(order) == made.messages
            assert order[-1] == len(each.tokens) - 1

    def test_puts_nothing_old_behind_something_newer_that_is_like_the_question(self, name, preset):
        for _, each, made, _ in moves(name, preset):
            if made.moved:
                behind = (
                    ~message_set.below(message_set.first(made.moved)) & each.on_topic & ~made.moved
                )
                assert not made.messages & behind & message_set.below(len(each.tokens) - 1)

    def test_is_expected_to_cost_what_the_provider_bills(self, name, preset):
        bills: dict[int, Bill] = {}
        now = 0.0
        for seed, each, made, order in moves(name, preset):
            bill = bills.setdefault(seed, Bill(RATES[name]))
            now = now + 90 if len(each.tokens) > 1 else 0.0
            hashes, tokens = [each.hashes[i] for i in order], [each.tokens[i] for i in order]
            assert bill.charge(hashes, tokens, now) <= made.price + 1e-6


class TestWhereItPays:
    @pytest.mark.parametrize("name", ["tenth", "written"])
    def test_exchanges_are_moved(self, name):
        assert any(made.moved for _, _, made, _ in moves(name, "balanced", 40))

    @pytest.mark.parametrize("name", ["none", "whole"])
    def test_none_are_without_a_cache_or_where_whole_requests_are_found_again(self, name):
        assert not any(made.moved for _, _, made, _ in moves(name, "balanced"))

    def test_the_next_request_begins_with_what_stood_before_the_moved(self):
        *_, each = growing(3, turns=15)
        last = len(each.tokens) - 1
        old, lasting = message_set.of((2, 3)), message_set.of(range(8, last - 2))
        before = State(array("Q", each.hashes[:last]), (Sent(lasting, 0.0),), at=0.0, turns=9)
        asked = replace(
            each,
            tokens=[500] * last + [20],
            need=each.need | old,
            keep=each.everything,
            movable=message_set.below(last),
        )

        made, after = decide(asked, before, Rates(), 1.0, PRESETS["balanced"])

        assert made.mode == "moved"
        assert made.moved == old
        assert after.sent[-1].messages == made.messages & ~old & message_set.below(last)


@pytest.mark.slow
class TestGuaranteed:
    @pytest.mark.parametrize("name", RATES)
    def test_never_pays_more_than_everything_would_have_cost_by_then(self, name):
        rates = RATES[name]
        pause = {"free": 2.0}.get(name, 1.0)
        for seed in range(40):
            ours, everything = Bill(rates), Bill(rates)
            state: State | None = None
            for number, each in enumerate(movable(seed)):
                now = number * pause
                made, state = decide(each, state, rates, now, PRESETS["guaranteed"])
                for bill, sent in (
                    (ours, in_order(made)),
                    (everything, message_set.listed(each.everything)),
                ):
                    tokens = [each.tokens[i] for i in sent]
                    bill.charge([each.hashes[i] for i in sent], tokens, now)
                assert ours.paid <= everything.paid + 1e-6


# ---- any history, as bodies


def conversation(seed: int, *, dialect: Dialect = openai, kind: str = "plain") -> list[list[Any]]:
    """Return the turns of a chat that comes back to its topics again and again."""
    chance = random.Random(seed)
    said: list[dict[str, Any]] = []
    turns = []
    for number in range(36):
        if number % 3 == 0:
            topic, words = chance.choice(list(TOPICS.items()))
        word = chance.choice(words.split())
        question = f"What about the {word} in {topic}, part {number}?"
        turns.append([*said, _said(dialect, "user", question)])
        answer = " ".join(
            f"About {topic}, the {word} and the {chance.choice(words.split())} go together {n}."
            for n in range(14)
        )
        if kind == "tools" and number % 5 == 2:
            said += [_said(dialect, "user", question), *_called(dialect, number)]
        elif kind == "code" and number == 1:
            answer += "\n```\nbake()\n```"
        if kind != "tools" or number % 5 != 2:
            said.append(_said(dialect, "user", question))
        said.append(_said(dialect, "assistant", answer))
    return turns


def _said(dialect: Dialect, role: str, text: str) -> dict[str, Any]:
    if dialect is gemini:
        return {"role": {"assistant": "model"}.get(role, role), "parts": [{"text": text}]}
    return {"role": role, "content": text}


def _called(dialect: Dialect, number: int) -> list[dict[str, Any]]:
    if dialect is gemini:
        call = {"functionCall": {"name": "look_up", "args": {"n": number}}}
        found = {"functionResponse": {"name": "look_up", "response": {"n": number}}}
        return [{"role": "model", "parts": [call]}, {"role": "user", "parts": [found]}]
    function = {"name": "look_up", "arguments": "{}"}
    if dialect is responses:
        return [
            {"type": "function_call", "call_id": f"c{number}", **function},
            {"type": "function_call_output", "call_id": f"c{number}", "output": "found"},
        ]
    call = {"id": f"c{number}", "type": "function", "function": function}
    return [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": f"c{number}", "content": "found"},
    ]


def forwarded(
    turns: list[list[Any]], dialect: Dialect = openai, *, may_move: bool = True, **fields: Any
) -> Iterator[FilterResult]:
    """Yield what is forwarded of each turn, a minute and a half apart."""
    table = Table([Tariff("h", lifetime=300, least=1024)])
    config = CostGateConfig("balanced", "h", 1, "k", table, may_move)
    state: State | None = None
    for number, messages in enumerate(turns):
        body = json.dumps({"model": MODEL, FIELDS[dialect]: messages} | fields).encode()
        request = dialect.read(body, ROUTES[dialect], most_messages=2000)
        assessment = assess(
            request, config, "very_strict", pinned=frozenset(), excluded=frozenset(),
            deadline=time.monotonic() + 60, is_shadow=False,
        )  # fmt: skip
        assert assessment is not None
        gated, state = assessment.decide(state, CacheEstimate(), number * 90.0)
        verdicts, moved = assessment.verdicts(gated.decision), gated.decision.moved
        filter_result = result.apply_verdicts(
            request, dialect, FilterOptions("very_strict"), verdicts, 0.0, moved
        )
        yield replace(filter_result, cost_decision=gated)


def moved(filter_result: FilterResult) -> int:
    assert filter_result.cost_decision is not None
    return filter_result.cost_decision.decision.moved


@pytest.mark.parametrize("dialect", ROUTES, ids=lambda dialect: dialect.NAME)
@pytest.mark.slow
class TestBodies:
    def test_turns_alternate_and_every_message_is_one_that_came(self, dialect):
        found = 0
        for seed in range(8):
            turns = conversation(seed, dialect=dialect)
            for came, made in zip(turns, forwarded(turns, dialect), strict=True):
                body = json.loads(made.body)
                sent = body[FIELDS[dialect]]
                roles = [message["role"] for message in sent]
                assert all(first != second for first, second in pairwise(roles))
                assert roles[0] == "user"
                assert sent[-1] == came[-1]
                assert len({json.dumps(message) for message in sent}) == len(sent)
                assert all(message in came for message in sent)
                found += bool(moved(made))
                if dialect is gemini:
                    assert not broken_rules(dialect.read(
                        made.body, ROUTES[gemini], most_messages=2000
                    ).messages)  # fmt: skip
        assert found > 5

    def test_an_exchange_is_moved_as_a_whole(self, dialect):
        for seed in range(6):
            turns = conversation(seed, dialect=dialect)
            for made in forwarded(turns, dialect):
                listed = message_set.listed(moved(made))
                assert all(i % 2 == 0 and i + 1 in listed for i in listed[::2])

    @pytest.mark.parametrize("kind", ["tools", "code"])
    def test_nothing_moves_in_a_conversation_with_calls_or_code(self, dialect, kind):
        for seed in range(6):
            turns = conversation(seed, dialect=dialect, kind=kind)
            found = [moved(made) for made in forwarded(turns, dialect)]
            assert not any(found[4:])

    def test_nothing_moves_where_the_model_may_call_tools(self, dialect):
        tools = [{"functionDeclarations": [{"name": "f"}]}]
        for seed in range(6):
            turns = conversation(seed, dialect=dialect)
            assert not any(map(moved, forwarded(turns, dialect, tools=tools)))

    def test_nothing_moves_unless_the_operator_allows_it(self, dialect):
        for seed in range(6):
            turns = conversation(seed, dialect=dialect)
            assert not any(map(moved, forwarded(turns, dialect, may_move=False)))


def test_the_account_of_a_request_says_what_was_moved():
    made = next(made for made in forwarded(conversation(1)) if moved(made))

    assert f"moved={moved(made).bit_count()}; " in made.header
    reasons = {each.index: (each.fate, each.reason) for each in decisions_of(made)}
    for place in message_set.listed(moved(made)):
        assert reasons[place] == ("kept", "moved before the question")


@pytest.mark.django_db(transaction=True)
def test_the_setting_allows_it_on_the_proxys_path(ask, billing, price, settings, rows):
    turns = conversation(3)
    found = []
    for is_allowed in (True, False):
        settings.PROXY_COST_MOVES = is_allowed
        for messages in turns:
            system = {"role": "system", "content": f"You may {is_allowed}."}
            answer = ask([system, *messages], Relevance="very_strict")
            found.append(told(answer).get("moved"))

    assert any(found[: len(turns)])
    assert not any(found[len(turns) :])
    for row, call in zip(rows(), billing.calls, strict=True):
        assert row.expected_cached == call["cached"]
