"""Texts as the filter's encoder has them, kept on disk: benchmarks ask for the same ones often."""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from proxy.meaning import weights
from proxy.meaning.encoder import Encoder
from proxy.meaning.weights import WeightsUnavailable
from proxy.relevance.messages import Message
from proxy.relevance.text import embeddings

DATA = Path(__file__).resolve().parents[2] / "var"


class _Kept:
    """An encoder whose vectors stay known."""

    def __init__(self, weights: Path) -> None:
        from proxy.meaning.minilm import MiniLM

        self._minilm = MiniLM(weights)
        self._rows = sqlite3.connect(DATA / "bench-vectors.sqlite3", isolation_level=None)
        self._rows.execute("PRAGMA synchronous = OFF")
        self._rows.execute("CREATE TABLE IF NOT EXISTS vectors (text PRIMARY KEY, vector)")

    @functools.lru_cache(maxsize=50_000)  # noqa: B019
    def vector(self, text: str) -> bytes:
        row = self._rows.execute("SELECT vector FROM vectors WHERE text = ?", [text]).fetchone()
        if row is None:
            row = (self._minilm.vector(text),)
            self._rows.execute("INSERT OR IGNORE INTO vectors VALUES (?, ?)", [text, *row])
        vector: bytes = row[0]
        return vector


@functools.cache
def encoder() -> Encoder | None:
    """Return the encoder of a default installation; None where there is none."""
    try:
        return _Kept(weights.make(DATA / "encoder"))
    except WeightsUnavailable:
        return None


def with_vectors(messages: Sequence[Message]) -> list[Message]:
    """Return messages as a conversation that is known has them."""
    known = encoder()
    assert known is not None, "there is no encoder on this machine"
    question = max(place for place, each in enumerate(messages) if each.role == "user")
    return [
        message
        if message.role == "system"
        else replace(message, vector=_vector(known, _read(message.text, place == question)))
        for place, message in enumerate(messages)
    ]


def _read(text: str, is_question: bool) -> str:
    return embeddings.ends_of(text) if is_question else text[: embeddings.READ]


def _vector(known: Encoder, text: str) -> bytes:
    return known.vector(text) if text.strip() else embeddings.nothing(weights.WIDTH)
