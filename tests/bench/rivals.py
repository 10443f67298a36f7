"""Simple ways to choose messages, to be compared with the filter."""

from __future__ import annotations

import functools
import re
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

from proxy.relevance.text import embeddings
from tests.bench.encoded import encoder

Messages = list[dict[str, Any]]


def _text(message: dict[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return " ".join(part.get("text") or "" for part in content)
    return content or ""


class LastMessages:
    """Keep the last 4, 8 or 16 messages, whatever they say."""

    counts = {"very_strict": 4, "strict": 8, "lax": 16}

    def select(self, messages: Messages, query: str, mode: str) -> list[int]:
        return list(range(max(0, len(messages) - self.counts[mode]), len(messages)))

    def score(self, messages: Messages, query: str) -> list[float]:
        return [float(place) for place in range(len(messages))]


class _Threshold:
    """Keep what scores at least a share of the best, or an absolute value."""

    thresholds: dict[str, float]

    def score(self, messages: Messages, query: str) -> list[float]:
        raise NotImplementedError

    def select(self, messages: Messages, query: str, mode: str) -> list[int]:
        scores = self.score(messages, query)
        return [place for place, s in enumerate(scores) if s >= self.thresholds[mode]]


class PlainTfidf(_Threshold):
    """TF-IDF with scikit-learn's defaults and a threshold on the cosine."""

    thresholds = {"very_strict": 0.3, "strict": 0.2, "lax": 0.1}

    def score(self, messages: Messages, query: str) -> list[float]:
        try:
            weights = TfidfVectorizer(stop_words="english").fit_transform(
                [*map(_text, messages), query]
            )
        except ValueError:
            return [0.0] * len(messages)
        return (weights[:-1] @ weights[-1].T).toarray().ravel().tolist()


class BM25(_Threshold):
    """Okapi BM25 (k1 = 1.2, b = 0.75) as a share of the best score."""

    thresholds = {"very_strict": 0.5, "strict": 0.3, "lax": 0.15}

    def score(self, messages: Messages, query: str) -> list[float]:
        vectorizer = CountVectorizer(stop_words="english")
        try:
            counts = vectorizer.fit_transform(map(_text, messages)).toarray().astype(float)
        except ValueError:
            return [0.0] * len(messages)
        lengths = counts.sum(axis=1, keepdims=True)
        seen = (counts > 0).sum(axis=0)
        idf = np.log(1 + (len(counts) - seen + 0.5) / (seen + 0.5))
        norm = 1.2 * (0.25 + 0.75 * lengths / max(lengths.mean(), 1))
        asked = vectorizer.transform([query]).toarray()[0] > 0
        scores = (idf * counts * 2.2 / (counts + norm))[:, asked].sum(axis=1)
        return (scores / max(scores.max(), 1e-9)).tolist()


class MiniLM(_Threshold):
    """A dense encoder (all-MiniLM-L6-v2) with a threshold on the cosine."""

    thresholds = {"very_strict": 0.45, "strict": 0.3, "lax": 0.15}

    @functools.lru_cache(maxsize=20_000)  # noqa: B019
    def _vector(self, text: str) -> np.ndarray:
        known = encoder()
        assert known is not None
        return embeddings.unpacked([known.vector(re.sub(r"\s+", " ", text))])[0]

    def score(self, messages: Messages, query: str) -> list[float]:
        asked = self._vector(query)
        return [float(self._vector(_text(message)) @ asked) for message in messages]
