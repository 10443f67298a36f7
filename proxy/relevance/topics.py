"""Which exchanges are about the same thing, and whether the question goes on with the last of them.

Three small logistic models, fitted on conversations with known topics and rounded. Each says how
likely it is that something continues: the question the last exchange, an exchange the one before
it, and any exchange the topic of any other.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.sparse import csr_matrix

from .text.embeddings import Meaning
from .text.features import Features
from .text.tfidf import Floats, History, products, sums

NEAREST: Final = 8
"""How many exchanges an exchange may take its score from."""

CLOSEST: Final = 3
"""How many of the most alike exchanges count as evidence of a common topic."""

MOST_CONTENT: Final = 6.0
_LEAST_LINK: Final = 1e-4


class Topics:
    """How the exchanges of a history, and the question, hang together."""

    def __init__(self, history: History, meaning: Meaning | None = None) -> None:
        matrix = history.exchanges()
        self.likeness = products(matrix)
        if meaning is not None:
            self.likeness += meaning.of_pairs(history.bounds)
        self._nearest, self._closest = _best(self.likeness)
        self._near, self.cover = _cover(history, matrix)

        self.gate = self._gate(history)
        """How likely it is that the question goes on with the last exchange."""

        self.links = self._links(history)
        """How likely it is that an exchange goes on with the one before it."""

    def _gate(self, history: History) -> float:
        """Tell a follow-up, which points back and says little, from a return to older things."""
        cover, question = self.cover, history.question
        near = cover[-2:].max()
        return float(
            _likely(
                1.0
                + 2.0 * question.is_anaphoric
                - 0.65 * min(question.content, MOST_CONTENT)
                + 3.0 * near
                - 3.4 * (cover.max() - near)
            )
        )

    def _links(self, history: History) -> Floats:
        questions: list[Features] = [history.messages[first] for first in history.bounds[:-1]]
        answers = [history.messages[end - 1] for end in history.bounds[1:-1]]
        content = np.array([f.content for f in questions])
        is_fragment = (content <= 3) & ~np.array([f.is_question for f in questions])
        links = _likely(
            1.3
            + 1.3 * np.array([f.is_anaphoric for f in questions])
            + 0.9 * np.array([f.is_continuation for f in questions])
            + 0.8 * np.array([False, *(f.asks_back for f in answers)])
            + 0.6 * is_fragment
            + 3.0 * (history.sizes == 1)
            - 0.6 * np.minimum(content, MOST_CONTENT)
            + 2.7 * self._near
            + 10 * _before(self.likeness, 1)
            + 7 * np.maximum(_before(self.likeness, 1), _before(self.likeness, 2))
        )
        links[0] = 0
        return links

    def recency(self, decay: float) -> Floats:
        """Return how likely the question goes on with each exchange, by the links between."""
        later = np.cumprod(self.links[:0:-1] * decay)[::-1]
        return self.gate * np.concatenate((later, [1.0]))

    def neighbours(self) -> Floats:
        """Return, for each exchange, the shares of the most alike ones: rows that sum to one."""
        alike = self.likeness * self._nearest
        total = alike.sum(axis=1, keepdims=True)
        alike /= np.where(total > 0, total, 1)
        return alike

    def together(self) -> Floats:
        """Return for each pair how likely it is that the two are about the same thing."""
        steps = np.cumsum(np.log(np.maximum(self.links, _LEAST_LINK)))
        evidence = 6.5 * np.exp(-np.abs(steps[:, None] - steps[None, :]))
        close = 1.35 * (self._closest & (self.likeness > 0))
        evidence += close
        evidence += close.T
        evidence += 10.0 * self.likeness
        evidence -= 6.0
        likely = _likely(evidence)
        np.fill_diagonal(likely, 1)
        return likely


def _likely(evidence: Floats | float) -> Floats:
    """Return the logistic function, which scipy.special would bring for 6 MB of memory."""
    halved = np.tanh(np.multiply(evidence, 0.5))
    likely: Floats = halved * 0.5 + 0.5
    return likely


def _cover(history: History, matrix: csr_matrix) -> tuple[Floats, Floats]:
    """Return which share of a question's words occurs elsewhere, weighted by idf.

    First for each exchange in the better of the two before it, then for the question in each.
    """
    has = np.zeros(matrix.shape, bool)
    has[np.repeat(np.arange(len(has)), np.diff(matrix.indptr)), matrix.indices] = True
    ids, weights, starts = history.asking()
    asker = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    near = np.zeros(len(has))
    for distance in (1, 2):
        covered = weights * has[np.maximum(asker - distance, 0), ids] * (asker >= distance)
        near = np.maximum(near, sums(covered, starts))
    question_weights = history.question.weights * history.idf[history.question_ids]
    total = question_weights.sum()
    return near, has[:, history.question_ids] @ (
        question_weights / total if total > 0 else question_weights
    )


def _before(pairs: Floats, distance: int) -> Floats:
    """Return for each exchange its value with the one that stands `distance` before it."""
    count = pairs.shape[1]
    values = np.zeros(count)
    values[distance:] = np.diagonal(pairs[:count], -distance)
    return values


def _best(pairs: Floats) -> tuple[np.ndarray, np.ndarray]:
    """Tell of each pair whether it is among the `NEAREST` of its row, and the `CLOSEST`."""
    count = len(pairs)
    ranks = [max(count - NEAREST, 0), max(count - CLOSEST, 0)]
    least = np.partition(pairs, ranks, axis=1)[:, ranks]
    return pairs >= least[:, :1], pairs >= least[:, 1:]
