"""Verdicts: what became of each message, why, and what a caller may overrule."""

from __future__ import annotations

import time

import pytest

from proxy.relevance.assessment import MOST_EXCHANGES, TooSlow
from proxy.relevance.filter import decide, indices_to_send, ranked
from proxy.relevance.thresholds import at_widths

from .conversations import BREAD, CAPITAL, CHESS, JAZZ, assistant, chat, message, system, user

QUESTION = user("How hot should the oven be for the rye bread?")


def test_every_message_has_its_reason():
    conversation = [system("Be brief."), *chat(*BREAD, *JAZZ, *CAPITAL), QUESTION]

    verdicts = decide(conversation, "strict")

    assert [(v.fate, v.reason.partition(";")[0]) for v in verdicts] == [
        ("protected", "system message"),
        ("kept", "relevant"),
        ("kept", "relevant"),
        ("dropped", "below threshold"),
        ("dropped", "below threshold"),
        ("protected", "last exchange"),
        ("protected", "last exchange"),
        ("protected", "current turn"),
    ]


def test_a_reason_names_the_kind_of_the_exchange():
    verdicts = decide([*chat(*BREAD, *JAZZ, *CAPITAL), QUESTION], "strict")

    assert verdicts[0].reason == "relevant; talk"


def test_scores_tell_how_likely_each_exchange_is_needed():
    verdicts = decide([*chat(*BREAD, *CHESS, *CAPITAL), QUESTION], "very_strict")

    scores = [v.score for v in verdicts[:6]]
    assert all(score is not None and 0 <= score <= 1 for score in scores)
    assert scores[0] == max(scores)
    assert scores[0] > 0.5 > scores[2]
    assert verdicts[-1].score is None


def test_off_keeps_all():
    verdicts = decide([*chat(*BREAD, *BREAD, *CHESS), QUESTION], "off", excluded={0})

    assert {v.fate for v in verdicts} == {"kept"}


def test_a_pinned_message_stays_with_its_exchange():
    verdicts = decide([*chat(*BREAD, *CHESS, *CAPITAL), QUESTION], "very_strict", pinned={3})

    assert (verdicts[3].fate, verdicts[3].reason) == ("protected", "pinned")
    assert (verdicts[2].fate, verdicts[2].reason) == ("protected", "protected exchange")


def test_an_excluded_message_goes_with_its_exchange():
    verdicts = decide([*chat(*BREAD, *CHESS, *CAPITAL), QUESTION], "lax", excluded={0})

    assert (verdicts[0].fate, verdicts[0].reason) == ("dropped", "excluded")
    assert (verdicts[1].fate, verdicts[1].reason) == ("dropped", "exchange of 0")


def test_what_every_conversation_needs_cannot_be_excluded():
    conversation = [system("Be brief."), *chat(*BREAD, *CAPITAL), QUESTION]

    assert indices_to_send(decide(conversation, "lax", excluded={0, 3, 5})) == [0, 1, 2, 3, 4, 5]


def test_a_pin_wins_over_an_exclusion():
    verdicts = decide([*chat(*BREAD, *CHESS), QUESTION], "lax", pinned={0}, excluded={0})

    assert verdicts[0].fate == "protected"


def test_little_to_drop_is_not_dropped():
    long = "The rye bread dough needs flour, water, starter and salt. " * 40
    conversation = [*chat(BREAD[0], long, "Fine day.", "Yes!", *CAPITAL), QUESTION]

    assert indices_to_send(decide(conversation, "very_strict")) == list(range(7))


def test_several_widths_come_in_one_go():
    conversation = [*chat(*BREAD, *CHESS, *JAZZ, *CAPITAL), QUESTION]

    widths = at_widths(conversation, (0.9, 0.4, 0.0)).kept

    assert widths[0] == {0, 1, 6, 7, 8}
    assert widths[2] == set(range(9))


def test_messages_rank_by_themselves():
    ranks = ranked([*chat(*BREAD, *CHESS, *CAPITAL), QUESTION])

    assert max(ranks) == max(ranks[:2])
    assert ranks[-1] == 0


def test_a_message_of_the_one_whom_the_question_names_ranks_higher():
    said = "I moved to a new flat with a large balcony."
    conversation = [
        message("user", said, name="Ann", is_plain=False),
        message("assistant", "Lovely!", name="Bob", is_plain=False),
        message("user", said + " ", name="Cleo", is_plain=False),
        message("assistant", "Lovely!", name="Bob", is_plain=False),
        *chat(*CAPITAL),
    ]

    ranks = ranked([*conversation, user("Has Cleo's flat got a balcony?")])

    assert ranks[2] > ranks[0]


def test_a_deadline_in_the_past_is_too_slow():
    conversation = [user("An unseen question about Antarctic mosses."), assistant("Yes."), QUESTION]

    with pytest.raises(TooSlow):
        decide(conversation, "very_strict", deadline=time.monotonic() - 1)


def test_too_many_exchanges_are_too_slow():
    conversation = [user(f"Question {n}") for n in range(MOST_EXCHANGES + 2)]

    with pytest.raises(TooSlow):
        decide(conversation, "very_strict")
