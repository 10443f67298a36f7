"""What holds for any conversation whatever it says: tried on thousands of generated ones."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.relevance.filter import decide, indices_to_send
from proxy.relevance.merge_turns import BETWEEN, joins
from proxy.relevance.messages import Message
from proxy.relevance.modes import NAMES
from proxy.relevance.thresholds import at_widths

MODES = NAMES[:-1]

VOCABULARY = (
    "sourdough bread oven flour starter proof tcp window congestion packet rome capital france "
    "paris it that more explain always answer from now on invoice parse_config retryBackoffMs "
    "4711 4712 куда дом 巧克力蛋糕 yes no next the of"
)
SENTENCES = st.lists(st.sampled_from(VOCABULARY.split()), max_size=12).map(" ".join)
IDS = st.sampled_from(["c1", "c2", "c3"])


@st.composite
def messages(draw: st.DrawFn) -> Message:
    """Any message at all: also ones that no provider would take."""
    role = draw(st.sampled_from(["user"] * 4 + ["assistant"] * 4 + ["tool", "system"]))
    calls = draw(st.lists(IDS, max_size=2, unique=True)) if role == "assistant" else []
    answers = draw(st.lists(IDS, min_size=1, max_size=1)) if role == "tool" else []
    is_image = draw(st.integers(0, 9)) == 0
    is_plain = role in ("user", "assistant") and not calls and not is_image
    return made(
        role,
        draw(SENTENCES),
        calls=tuple(calls),
        answers=tuple(answers),
        is_plain=is_plain,
        is_protected=draw(st.integers(0, 19)) == 0,
    )


def made(role: str, text: str, **more: object) -> Message:
    digest = hashlib.blake2b(repr((role, text, more)).encode(), digest_size=16).digest()
    return replace(Message(role, text, digest), **more)


CONVERSATIONS = st.lists(messages(), max_size=40)


def filtered(conversation: Sequence[Message], mode: str) -> list[Message]:
    """What the provider gets, as the wire would read it again."""
    runs = joins(conversation, indices_to_send(decide(conversation, mode)))
    return [
        conversation[run[0]]
        if len(run) == 1
        else made(conversation[run[0]].role, BETWEEN.join(conversation[i].text for i in run))
        for run in runs
    ]


many = settings(max_examples=300, deadline=None)


@many
@given(CONVERSATIONS, st.sampled_from(NAMES))
def test_each_message_has_one_verdict(conversation, mode):
    verdicts = decide(conversation, mode)

    assert [v.index for v in verdicts] == list(range(len(conversation)))
    assert {v.fate for v in verdicts} <= {"kept", "dropped", "protected"}
    assert all(v.reason for v in verdicts)


@many
@given(CONVERSATIONS, st.sampled_from(NAMES))
def test_the_same_conversation_gets_the_same_verdicts(conversation, mode):
    assert decide(conversation, mode) == decide(list(conversation), mode)


@many
@given(CONVERSATIONS)
def test_a_stricter_mode_keeps_nothing_that_a_milder_one_drops(conversation):
    results = [set(indices_to_send(decide(conversation, mode))) for mode in NAMES]

    assert all(a <= b for a, b in pairwise(results))
    assert results[-1] == set(range(len(conversation)))


@many
@given(CONVERSATIONS, st.sampled_from(NAMES))
def test_filtering_the_result_again_changes_nothing(conversation, mode):
    once = filtered(conversation, mode)

    assert indices_to_send(decide(once, mode)) == list(range(len(once)))
    assert filtered(once, mode) == once


@many
@given(CONVERSATIONS, st.sampled_from(MODES))
def test_system_messages_and_the_current_turn_stay(conversation, mode):
    stays = set(indices_to_send(decide(conversation, mode)))

    users = [i for i, m in enumerate(conversation) if m.role == "user"]
    now = users[-1] if users else 0
    assert stays.issuperset(i for i, m in enumerate(conversation) if m.role == "system")
    assert stays.issuperset(range(now, len(conversation)))
    assert stays.issuperset(i for i, m in enumerate(conversation) if m.is_protected)


@many
@given(CONVERSATIONS, st.sampled_from(("strict", "lax")))
def test_the_last_exchange_before_the_question_stays(conversation, mode):
    stays = set(indices_to_send(decide(conversation, mode)))

    users = [i for i, m in enumerate(conversation) if m.role == "user"]
    if len(users) > 1:
        assert stays.issuperset(range(users[-2], users[-1]))


@many
@given(CONVERSATIONS, st.sampled_from(MODES))
def test_calls_and_results_stay_or_go_together(conversation, mode):
    stays = set(indices_to_send(decide(conversation, mode)))

    made_by: dict[str, int] = {}
    for index, message in enumerate(conversation):
        for call in message.answers:
            if call in made_by:
                assert (index in stays) == (made_by[call] in stays)
        made_by.update(dict.fromkeys(message.calls, index))


@many
@given(CONVERSATIONS, st.sampled_from(MODES))
def test_a_question_and_its_answers_stay_or_go_together(conversation, mode):
    stays = set(indices_to_send(decide(conversation, mode)))

    question: int | None = None
    for index, message in enumerate(conversation):
        if message.role == "user":
            question = index
        elif message.role != "system" and question is not None:
            assert (index in stays) == (question in stays)


@many
@given(CONVERSATIONS, st.sampled_from(MODES))
def test_joins_hold_each_kept_message_once_and_in_order(conversation, mode):
    stays = indices_to_send(decide(conversation, mode))

    runs = joins(conversation, stays)

    assert [i for run in runs for i in run] == stays
    users = [i for i in stays if conversation[i].role == "user"]
    assert not users or [users[-1]] in runs
    for run in runs:
        assert len(run) == 1 or all(conversation[i].is_plain for i in run)
    if len(stays) == len(conversation):
        assert all(len(run) == 1 for run in runs)


@many
@given(CONVERSATIONS, st.data(), st.sampled_from(MODES))
def test_pinned_messages_stay_and_excluded_ones_go(conversation, data, mode):
    places = st.sets(st.integers(0, max(len(conversation) - 1, 0)), max_size=3)
    pinned, excluded = (data.draw(places), data.draw(places)) if conversation else (set(), set())

    verdicts = decide(conversation, mode, pinned=pinned, excluded=excluded)

    stays = set(indices_to_send(verdicts))
    assert stays >= pinned
    assert all(verdicts[i].fate == "protected" for i in excluded & stays)


@given(CONVERSATIONS)
@settings(max_examples=100, deadline=None)
def test_widths_grow_step_by_step(conversation):
    widths = at_widths(conversation, (0.8, 0.4, 0.2, 0.1)).kept

    assert all(a <= b for a, b in pairwise(widths))


def test_an_empty_conversation_has_no_verdicts():
    assert decide([], "very_strict") == []


@pytest.mark.parametrize("mode", NAMES)
def test_a_conversation_without_a_user_is_left_alone(mode):
    conversation = [made("system", "Be brief."), made("assistant", "Hello, how can I help?")]

    assert indices_to_send(decide(conversation, mode)) == [0, 1]
