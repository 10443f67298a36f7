"""What texts mean, beside their words: what it finds, and what holds all the same."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings

from proxy.relevance.filter import decide, indices_to_send
from proxy.relevance.merge_turns import joined, joins
from proxy.relevance.messages import Message
from proxy.relevance.modes import NAMES
from proxy.relevance.text import embeddings
from tests.relevance.conversations import CAPITAL, CHESS, chat, user
from tests.relevance.test_structure import CONVERSATIONS

SENSES = ({"dog", "puppy", "pet", "spaniel"}, {"chess", "pawn", "sicilian"}, {"capital", "norway"})
WIDTH = 32

DOG = ("Which spaniel is good with children?", "The English cocker, gentle and patient.")
PAST = chat(*DOG, *CAPITAL, *CHESS)
QUESTION = user("How much exercise does a puppy need?")


def sensed(message: Message) -> Message:
    """A message with the vector of one who knows a few words of a sense, and no other text."""
    words = set(message.text.lower().replace("?", " ").replace(".", " ").split())
    vector = np.zeros(WIDTH)
    vector[: len(SENSES)] = [bool(words & sense) for sense in SENSES]
    if not vector.any():
        seed = hashlib.blake2b(message.text.encode(), digest_size=4).digest()
        vector[len(SENSES) :] = np.random.default_rng(list(seed)).normal(size=WIDTH - len(SENSES))
    return replace(message, vector=embeddings.packed(vector))


def stays(conversation: Sequence[Message]) -> list[int]:
    return indices_to_send(decide(conversation, "strict"))


def test_finds_what_shares_no_word_with_the_question():
    assert stays([sensed(each) for each in (*PAST, QUESTION)]) == [0, 1, 4, 5, 6]


def test_words_alone_do_not_find_it():
    assert 0 not in stays([*PAST, QUESTION])


@pytest.mark.parametrize("place", [0, 3, 6])
def test_words_alone_count_where_one_message_is_not_known(place: int):
    conversation = [sensed(each) for each in (*PAST, QUESTION)]
    conversation[place] = replace(conversation[place], vector=b"")

    assert stays(conversation) == stays([*PAST, QUESTION])


def test_a_message_that_says_nothing_is_like_none():
    conversation = [sensed(each) for each in (*PAST, QUESTION)]
    conversation[1] = replace(conversation[1], vector=embeddings.nothing(WIDTH))

    assert {0, 1} <= set(stays(conversation))


def test_words_alone_count_where_the_question_says_nothing():
    conversation = [sensed(each) for each in (*PAST, QUESTION)]
    conversation[-1] = replace(conversation[-1], vector=embeddings.nothing(WIDTH))

    assert stays(conversation) == stays([*PAST, QUESTION])


def test_what_all_texts_have_in_common_counts_for_nothing():
    """As an encoder sees texts of a language that it can hardly read."""
    conversation = [sensed(each) for each in (*PAST, QUESTION)]
    alike = [
        replace(each, vector=embeddings.packed(row + 5))
        for each, row in zip(
            conversation, embeddings.unpacked([m.vector for m in conversation]), strict=True
        )
    ]

    assert not {2, 3} & set(stays(alike))


def test_packed_vectors_keep_their_direction():
    vector = np.random.default_rng(7).normal(size=384)

    (row,) = embeddings.unpacked([embeddings.packed(vector)])

    assert row @ row == pytest.approx(1)
    assert row @ vector / np.linalg.norm(vector) > 0.999


def test_packing_again_changes_nothing():
    vector = embeddings.packed(np.random.default_rng(7).normal(size=384))

    assert embeddings.packed(embeddings.unpacked([vector])[0]) == vector


def test_joined_texts_lie_between_what_they_were():
    one, other = (embeddings.packed(direction) for direction in np.eye(2))

    (row,) = embeddings.unpacked([embeddings.joined([one, other])])

    assert row.tolist() == pytest.approx([0.5**0.5] * 2)


def test_joined_texts_are_unknown_where_one_of_them_is():
    assert embeddings.joined([embeddings.packed([1, 0]), b""]) == b""


def filtered(conversation: Sequence[Message], mode: str) -> list[Message]:
    runs = joins(conversation, indices_to_send(decide(conversation, mode)))
    return [
        conversation[run[0]] if len(run) == 1 else joined([conversation[i] for i in run])
        for run in runs
    ]


@settings(max_examples=60, deadline=None)
@given(CONVERSATIONS)
def test_the_structure_holds_with_vectors(conversation):
    conversation = [sensed(each) for each in conversation]

    results = [set(indices_to_send(decide(conversation, mode))) for mode in NAMES]
    once = filtered(conversation, "very_strict")

    assert all(a <= b for a, b in pairwise(results))
    assert filtered(once, "very_strict") == once
