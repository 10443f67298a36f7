"""Likeness: the weights are scikit-learn's, whatever was remembered before."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from proxy.relevance.text import words
from proxy.relevance.text.features import Memory
from proxy.relevance.text.tfidf import History

from .conversations import BREAD, CAPITAL, CHESS, chat, user


def analyzed(text: str) -> list[str]:
    return [term for chunk in words.CHUNK.findall(text) for term in words.terms(chunk)]


@pytest.mark.parametrize("seen_before", [[], chat(*CHESS, *CAPITAL, "norway oslo oslo dough")])
def test_weights_are_those_of_tfidf_vectorizer(seen_before):
    texts = [*BREAD, *CAPITAL, "bread bread bread parse_config parseConfig E-4711", ""]
    memory = Memory()
    memory.of(seen_before, lambda: None)
    features = memory.of(chat(*texts), lambda: None)
    (question,) = memory.of([user("Which bread?")], lambda: None)

    history = History([features], question, memory.terms)

    vectorizer = TfidfVectorizer(analyzer=analyzed, sublinear_tf=True)
    expected = vectorizer.fit_transform(texts).toarray()
    ours = np.zeros((len(texts), history.width))
    rows = np.repeat(np.arange(len(texts)), np.diff(history.starts))
    ours[rows, history.ids] = history.weights
    np.testing.assert_allclose(ours @ ours.T, expected @ expected.T, atol=1e-12)
    np.testing.assert_allclose(np.sort(ours[0])[-5:], np.sort(expected[0])[-5:], atol=1e-12)
    assert sorted(history.idf[np.unique(history.ids)]) == pytest.approx(sorted(vectorizer.idf_))


def test_the_order_in_which_a_process_met_the_terms_changes_nothing():
    conversation = chat(*BREAD, *CAPITAL)
    fresh, used = Memory(), Memory()
    used.of(chat(*reversed(BREAD)), lambda: None)

    found = []
    for memory in (fresh, used):
        features = memory.of(conversation, lambda: None)
        (question,) = memory.of([user("Which bread?")], lambda: None)
        found.append(History([features], question, memory.terms))

    assert (found[0].ids == found[1].ids).all()
    assert (found[0].weights == found[1].weights).all()
