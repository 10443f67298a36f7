"""Duplicates: the same question with the same answer, sent again."""

from __future__ import annotations

import pytest

from .conversations import BREAD, CAPITAL, CHESS, assistant, chat, reasons, stays, user

QUESTION = "How long does the rye bread dough rise?"


@pytest.mark.parametrize(
    "again",
    [BREAD, tuple(f"  {t.replace(' ', '  ')}\n" for t in BREAD), tuple(t.upper() for t in BREAD)],
    ids=["exact", "white space", "case"],
)
def test_the_first_of_two_stays(again):
    conversation = chat(*BREAD, *CAPITAL, *again, *CHESS)

    assert {0, 1} <= stays(conversation, QUESTION, "lax")
    assert not {4, 5} & stays(conversation, QUESTION, "lax")


def test_the_reason_names_the_message_that_is_repeated():
    conversation = chat(*BREAD, *CAPITAL, *BREAD, *CHESS)

    assert reasons(conversation, QUESTION, "lax")[4:6] == ["duplicate of 0", "duplicate of 1"]


def test_of_two_copies_the_last_exchange_is_the_one_that_stays():
    conversation = chat(*BREAD, *CAPITAL, *BREAD)

    assert {4, 5} <= stays(conversation, QUESTION, "lax")
    assert not {0, 1} & stays(conversation, QUESTION, "lax")


def test_the_question_of_the_current_turn_is_no_duplicate():
    conversation = chat(*BREAD, *CAPITAL)

    assert {0, 1} <= stays(conversation, BREAD[0])


def test_the_same_question_with_another_answer_is_no_duplicate():
    other = (BREAD[0], "Buy a baking mix for rye bread and follow the packet.")
    conversation = chat(*BREAD, *CAPITAL, *other, *CHESS)

    assert {0, 1, 4, 5} <= stays(conversation, QUESTION, "lax")


def test_one_digit_makes_a_difference():
    early = ("What does the log say at 10:41 for job 7?", "Job 7 failed with code 13 at 10:41.")
    late = ("What does the log say at 10:42 for job 7?", "Job 7 failed with code 13 at 10:42.")
    conversation = chat(*early, *late, *CHESS)

    assert {0, 1, 2, 3} <= stays(conversation, "Why does job 7 fail in the log?", "lax")


@pytest.mark.parametrize("short", ["yes", "next", "go on", "下一个", "weiter"])
def test_short_texts_are_never_taken_for_each_other(short):
    conversation = chat(
        "Ask me about rye bread.", "Do you like it?", short, "Good.", short, "Good.", *CHESS
    )

    assert "duplicate" not in " ".join(
        reasons(conversation, "Ask me about rye bread again.", "lax")
    )


def test_an_image_makes_a_difference():
    asked = "What kind of bread is this on the picture?"
    conversation = [
        user(asked, is_plain=False),
        assistant("It looks like a rye bread to me."),
        user(asked, is_plain=False),
        assistant("It looks like a rye bread to me."),
        *chat(*CHESS),
    ]

    assert {0, 1, 2, 3} <= stays(conversation, "What kind of bread was on the picture?", "lax")


def test_who_speaks_makes_a_difference():
    asked = "I would like to have a rye bread, please."
    conversation = [
        user(asked, name="Ann", is_plain=False),
        assistant("One rye bread, noted."),
        user(asked, name="Bob", is_plain=False),
        assistant("One rye bread, noted."),
        *chat(*CHESS),
    ]

    assert {0, 1, 2, 3} <= stays(conversation, "Who would like to have a rye bread?", "lax")
