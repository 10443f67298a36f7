"""How alike messages, exchanges and the question are: TF-IDF and cosine.

The weights are those of scikit-learn's `TfidfVectorizer(analyzer=..., sublinear_tf=True)`: smooth
idf and rows of length one, with the past messages as the documents. They are worked out here, from
the counts that are remembered for each message, because the counting is most of the work.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from .features import Features

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]


class History:
    """The past messages as rows of TF-IDF weights, exchange after exchange, and the question."""

    def __init__(
        self, exchanges: Sequence[Sequence[Features]], question: Features, terms: int
    ) -> None:
        """Take the features of the past exchanges; `terms` is more than any number of a term."""
        self.messages = [features for exchange in exchanges for features in exchange]
        self.question = question
        self.bounds = _ends([len(exchange) for exchange in exchanges])
        self.sizes = np.diff(self.bounds)
        self.of = np.repeat(np.arange(len(exchanges)), self.sizes)
        self.starts = _ends([len(f.ids) for f in self.messages])
        read = np.concatenate([*(f.ids for f in self.messages), question.ids])
        ids, self.width = _renumbered(read, terms)
        self.ids, self.question_ids = ids[: self.starts[-1]], ids[self.starts[-1] :]
        count = len(self.messages)
        frequencies = np.bincount(self.ids, minlength=self.width)
        self.idf = np.log((1 + count) / (1 + frequencies)) + 1
        counts = np.concatenate([f.counts for f in self.messages])
        self.weights = _unit(counts * self.idf[self.ids], self.starts)

    def vector(self) -> Floats:
        """Return the question's weights, of length one; its words of asking weigh little."""
        vector = np.zeros(self.width)
        vector[self.question_ids] = (
            self.question.counts * self.question.weights * self.idf[self.question_ids]
        )
        length = np.sqrt(vector @ vector)
        return vector / length if length > 0 else vector

    def row(self, message: int) -> Floats:
        """Return the weights of one message."""
        vector = np.zeros(self.width)
        place = slice(self.starts[message], self.starts[message + 1])
        vector[self.ids[place]] = self.weights[place]
        return vector

    def likeness(self, vector: Floats) -> Floats:
        """Return the product of each message with `vector`."""
        return sums(self.weights * vector[self.ids], self.starts)

    def exchanges(self) -> csr_matrix:
        """Return a row of length one for each exchange: the sum of its messages' rows."""
        starts = self.starts[self.bounds]
        matrix = csr_matrix(
            (self.weights.copy(), self.ids.copy(), starts), (len(self.sizes), self.width)
        )
        matrix.sum_duplicates()
        matrix.data = _unit(matrix.data, matrix.indptr)
        return matrix

    def asking(self) -> tuple[Ints, Floats, Ints]:
        """Return terms and weights of what each exchange asks, as shares of 1, and the starts."""
        firsts = self.bounds[:-1]
        questions: list[Features] = [self.messages[first] for first in firsts]
        places = [slice(self.starts[first], self.starts[first + 1]) for first in firsts]
        ids = np.concatenate([self.ids[place] for place in places])
        starts = _ends([len(f.ids) for f in questions])
        weights = np.concatenate([f.weights for f in questions]) * self.idf[ids]
        total = sums(weights, starts)
        weights /= np.repeat(np.where(total > 0, total, 1), np.diff(starts))
        return ids, weights, starts


def products(rows: csr_matrix) -> Floats:
    """Return the product of each row with each other one; of a row with itself, zero."""
    count, width = rows.shape
    # Most terms occur in one row only, and then add to no product.
    shared = np.bincount(rows.indices, minlength=width) > 1
    place = np.cumsum(shared) - 1
    matters = shared[rows.indices]
    terms, values = place[rows.indices[matters]], rows.data[matters]
    row = np.repeat(np.arange(count), np.diff(rows.indptr))[matters]
    starts = np.searchsorted(row, np.arange(count + 1))
    by_term = np.zeros((int(shared.sum()), count))
    by_term[terms, row] = values
    pairs = csr_matrix((values, terms, starts), (count, len(by_term))) @ by_term
    np.fill_diagonal(pairs, 0)
    return pairs


def sums(values: Floats, starts: Ints) -> Floats:
    """Return the sum of each row; an empty row's is zero."""
    total = np.concatenate(([0.0], np.cumsum(values)))
    return total[starts[1:]] - total[starts[:-1]]


def _ends(lengths: Sequence[int]) -> Ints:
    return np.cumsum([0, *lengths], dtype=np.int32)


def _unit(values: Floats, starts: Ints) -> Floats:
    lengths = np.sqrt(sums(values * values, starts))
    return values / np.repeat(np.where(lengths > 0, lengths, 1), np.diff(starts))


def _renumbered(ids: Ints, terms: int) -> tuple[Ints, int]:
    """Number the terms of `ids` by where they stand, and return how many there are.

    So nothing that follows depends on the order in which a process happened to meet them.
    """
    # Only read where it was written, so it needs no clearing.
    last = np.empty(terms, np.int32)
    places = np.arange(len(ids), dtype=np.int32)
    last[ids] = places
    mark = last[ids]
    is_last = mark == places
    return (np.cumsum(is_last, dtype=np.int32) - 1)[mark], int(is_last.sum())
