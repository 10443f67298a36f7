"""The cost gate: what every choice holds, what it may cost, and what it is called."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from proxy.cost import message_set
from proxy.cost.policy import NAMES, PRESETS, decide
from proxy.cost.rates import Rates
from proxy.cost.state import State, Unreadable

from .conversations import RATES, Bill, growing, replayed, turn, without_history

ALL_PRESETS = [name for name in NAMES if name != "off"]
every_rates = pytest.mark.parametrize("rates", RATES.values(), ids=RATES)
every_preset = pytest.mark.parametrize("preset", ALL_PRESETS)


def billed(messages: int, each, bill: Bill, now: float) -> float:
    listed = message_set.listed(messages)
    hashes = [each.hashes[place] for place in listed]
    return bill.charge(hashes, [each.tokens[place] for place in listed], now)


@every_rates
@every_preset
@pytest.mark.slow
class TestEveryChoice:
    def test_holds_what_the_question_needs(self, rates, preset):
        for seed in range(30):
            for each, decision, _ in replayed(growing(seed), rates, preset, pause=90):
                assert not each.need & ~decision.messages
                assert not decision.messages & ~each.everything

    def test_parts_no_question_from_its_answer(self, rates, preset):
        for seed in range(30):
            for each, decision, _ in replayed(growing(seed), rates, preset, pause=90):
                for start in each.starts[:-1]:
                    assert decision.messages >> start & 3 in (0, 3)

    def test_is_the_same_for_the_same_turn_state_and_time(self, rates, preset):
        state: State | None = None
        for number, each in enumerate(growing(7)):
            first = decide(each, state, rates, number * 60.0, PRESETS[preset])
            second = decide(each, state, rates, number * 60.0, PRESETS[preset])
            assert first == second
            state = first[1]

    def test_is_expected_to_cost_what_the_provider_bills(self, rates, preset):
        for seed in range(20):
            bill = Bill(rates)
            for number, (each, decision, _) in enumerate(replayed(growing(seed), rates, preset)):
                paid = billed(decision.messages, each, bill, float(number))
                # The provider may remember more requests than we do, never fewer here.
                assert paid <= decision.price + 1e-6
                assert decision.tokens >= decision.hit

    def test_goes_on_with_the_last_request_unless_it_is_said(self, rates, preset):
        for seed in range(30):
            chosen = [(d.messages, d.mode) for _, d, _ in replayed(growing(seed), rates, preset)]
            for (last, _), (messages, mode) in pairwise(chosen):
                if mode in ("full", "continue"):
                    assert messages & message_set.below(last.bit_length()) == last
                else:
                    assert mode in ("recall", "back", "cut", "fresh")


@pytest.mark.slow
class TestGuaranteed:
    @pytest.mark.parametrize("name", RATES)
    def test_never_pays_more_than_everything_would_have_cost_by_then(self, name):
        rates = RATES[name]
        pause = {"free": 2.0}.get(name, 1.0)
        for seed in range(170):
            ours, everything = Bill(rates), Bill(rates)
            turns = replayed(growing(seed), rates, "guaranteed", pause=pause)
            for number, (each, decision, state) in enumerate(turns):
                billed(decision.messages, each, ours, number * pause)
                billed(each.everything, each, everything, number * pause)
                assert ours.paid <= everything.paid + 1e-6
                assert state.savings_balance >= -1e-6

    def test_pays_less_in_the_end_where_topics_change(self):
        ours, everything = Bill(Rates()), Bill(Rates())
        for number, (each, decision, _) in enumerate(
            replayed(_topics(12, 10), Rates(), "guaranteed")
        ):
            billed(decision.messages, each, ours, float(number))
            billed(each.everything, each, everything, float(number))

        assert ours.paid < 0.9 * everything.paid


class TestBalanced:
    def test_starts_fresh_when_nothing_is_cached_any_more(self):
        found = [decision for _, decision, _ in replayed(_topics(4, 8), Rates(), pause=3600)]

        assert "fresh" in {decision.mode for decision in found}
        assert not any(decision.hit for decision in found)
        assert found[-1].price < 0.5 * found[-1].price_of_everything

    def test_goes_on_while_the_cache_is_warm_and_the_topic_the_same(self):
        modes = [decision.mode for _, decision, _ in replayed(_topics(1, 20), Rates())]

        assert set(modes) == {"full"}

    def test_cuts_when_much_that_is_old_lies_behind_it(self):
        found = [decision for _, decision, _ in replayed(_topics(12, 10), Rates())]

        assert {"full", "continue", "fresh"} <= {decision.mode for decision in found}
        assert found[-1].savings_balance > 0

    def test_sends_a_short_conversation_whole(self):
        tokens = [20, 100] * 5 + [20]
        decision, _ = decide(turn(tokens), None, Rates(), 0.0, PRESETS["balanced"])

        assert decision.reason == "quiet"
        assert decision.messages == message_set.below(11)

    def test_sends_everything_where_hardly_anything_may_go(self):
        each = turn([4000, 100] * 3 + [20])
        each = type(each)(**{**_fields(each), "fixed": message_set.of((0, 2, 4))})
        decision, _ = decide(each, None, Rates(), 0.0, PRESETS["balanced"])

        assert decision.reason == "fixed"
        assert decision.mode == "full"

    def test_does_not_cut_between_the_steps_of_an_answer(self):
        tokens = [20, 400] * 20 + [20]
        _, state = decide(turn(tokens), None, Rates(), 0.0, PRESETS["balanced"])
        before = state.sent[-1].messages
        longer = turn([*tokens, 50, 900])
        longer = type(longer)(**{**_fields(longer), "is_continuation": True})
        decision, _ = decide(longer, state, Rates(), 5.0, PRESETS["balanced"])

        assert decision.messages & message_set.below(before.bit_length()) == before
        assert decision.reason == "answering"


class TestTies:
    def test_messages_that_belong_together_stay_together(self):
        for seed in range(20):
            chance = random.Random(seed)
            state = None
            for number, each in enumerate(growing(seed)):
                far = chance.randrange(0, max(1, len(each.tokens) - 1))
                tie = message_set.of({0, far})
                tied = type(each)(**{**_fields(each), "ties": [tie]})
                decision, state = decide(tied, state, Rates(), number * 200.0, PRESETS["bold"])
                assert decision.messages & tie in (0, tie)


class TestState:
    @every_rates
    def test_deleted_at_any_turn_the_next_request_still_holds_what_is_needed(self, rates):
        for seed in range(20):
            state = None
            for number, each in enumerate(growing(seed)):
                if random.Random(seed * 100 + number).random() < 0.3:
                    state = None
                decision, state = decide(each, state, rates, number * 60.0, PRESETS["balanced"])
                assert not each.need & ~decision.messages

    def test_comes_back_from_its_bytes_as_it_was(self):
        for *_, state in replayed(growing(3, turns=50), Rates(), pause=60):
            assert State.unpacked(state.packed()) == state

    def test_takes_one_to_three_kilobytes_for_a_hundred_to_three_hundred_messages(self):
        *_, (_, _, small) = replayed(growing(1, turns=50), Rates())
        *_, (_, _, large) = replayed(growing(1, turns=150), Rates())

        assert len(small.packed()) < 1200
        assert len(large.packed()) < 3000

    @pytest.mark.parametrize("damage", [b"", b"\x07", b"x" * 40, b"\x01" * 90])
    def test_bytes_that_are_none_are_told(self, damage):
        with pytest.raises(Unreadable):
            State.unpacked(damage)

    def test_bytes_cut_short_are_told(self):
        *_, (_, _, state) = replayed(growing(1), Rates())
        packed = state.packed()

        for length in range(len(packed)):
            with pytest.raises(Unreadable):
                State.unpacked(packed[:length])

    def test_forgets_requests_that_hold_an_edited_message(self):
        turns = list(growing(5, turns=20))
        *_, (each, _, state) = replayed(iter(turns), Rates())
        edited = without_history(each, 2)

        carried = state.carried(edited.hashes)

        assert all(not sent.messages & 1 << 2 for sent in carried.sent)

    def test_keeps_requests_before_which_messages_were_put_in(self):
        each = turn([20, 400] * 10 + [20])
        _, state = decide(each, None, Rates(), 0.0, PRESETS["balanced"])
        hashes = each.hashes[:4] + type(each.hashes)("Q", [77, 78]) + each.hashes[4:]

        (sent,) = state.carried(hashes).sent

        was = message_set.listed(state.sent[0].messages)
        assert message_set.listed(sent.messages) == [i if i < 4 else i + 2 for i in was]


def _topics(topics: int, exchanges: int):
    """Yield the turns of a conversation about one topic after another; each needs its own only."""
    tokens, start = [], 0
    for _ in range(topics):
        start = len(tokens)
        for _ in range(exchanges):
            own = set(range(start, len(tokens)))
            yield turn([*tokens, 20], keep=own)
            tokens += [20, 200]


def _fields(each) -> dict[str, object]:
    return {name: getattr(each, name) for name in each.__slots__}
