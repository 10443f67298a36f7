"""How alike messages, exchanges and the question are: TF-IDF and cosine.

The weights are those of scikit-learn's `TfidfVectorizer(analyzer=..., sublinear_tf=True)`: smooth
idf and rows of length one, with the history as the documents. They are worked out here, from
the counts that are remembered for each message, because the counting is most of the work.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from .features import Features

Floats = NDArray[np.float64]


def renumbered(ids: NDArray[np.int32], terms: int) -> tuple[NDArray[np.int32], int]:
    """Number the terms of `ids` from 0 by where they stand, and return how many there are."""
    # `last` is written where a term occurs and read nowhere else, so it needs no clearing.
    last = np.empty(terms, np.int32)
    places = np.arange(len(ids), dtype=np.int32)
    last[ids] = places
    mark = last[ids]
    is_last = mark == places
    return (np.cumsum(is_last, dtype=np.int32) - 1)[mark], int(is_last.sum())


class History:
    """The past messages as rows of TF-IDF weights, in order, ready to be compared."""

    def __init__(self, features: Sequence[Features], query: Sequence[Features], terms: int) -> None:
        """Take the past messages' features and those of the questions to be compared with them."""
        rows = [*features, *query]
        lengths = np.array([0, *(len(f.ids) for f in rows)], np.int64)
        ends = np.cumsum(lengths)
        self.count = len(features)
        ids, width = renumbered(np.concatenate([f.ids for f in rows]), terms)
        counts = np.concatenate([f.counts for f in rows]).astype(np.float64)
        self.asked = [
            (ids[ends[self.count + n] : ends[self.count + n + 1]], f) for n, f in enumerate(query)
        ]
        size = int(ends[self.count])
        self.starts = ends[: self.count + 1].astype(np.int32)
        self.ids, self.width = ids[:size], width
        seen = np.bincount(self.ids, minlength=width)
        self.idf = np.log((1 + self.count) / (1 + seen)) + 1
        raw = counts[:size] * self.idf[self.ids]
        lengths_ = np.sqrt(sums(raw * raw, self.starts))
        self.weights = raw / np.repeat(
            np.where(lengths_ > 0, lengths_, 1), lengths[1 : self.count + 1]
        )

    def matrix(self) -> csr_matrix:
        """Return the rows as a sparse matrix."""
        return csr_matrix((self.weights, self.ids, self.starts), (self.count, self.width))

    def likeness(self, question: Floats) -> Floats:
        """Return the cosine of each message with `question`, a vector over the terms."""
        length = np.sqrt(question @ question)
        if length == 0:
            return np.zeros(self.count)
        return sums(self.weights * question[self.ids], self.starts) / length

    def question(self, number: int = 0) -> Floats:
        """Return a question as a vector: its words of asking weigh little."""
        ids, features = self.asked[number]
        vector = np.zeros(self.width)
        vector[ids] = features.counts * features.weights * self.idf[ids]
        return vector


def sums(values: Floats, starts: NDArray[np.int32]) -> Floats:
    """Return the sum of each row; an empty row's is zero."""
    total = np.concatenate(([0.0], np.cumsum(values)))
    return total[starts[1:]] - total[starts[:-1]]
