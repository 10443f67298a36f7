"""The turns of a conversation as the models of kinds see them: a row of numbers for each.

A row tells of an exchange what its form is, where it stands, how it differs from the others and
how alike it is to the question; the question has a row of its own. All of it holds for any
language, and nothing in it is a word of a topic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..messages import Message
from ..scoring import DECAY, Scores
from ..text.features import Features
from ..text.form import NAMES, OUTLINE, PLACE
from ..text.tfidf import Floats, History
from ..topics import Topics

Column = NDArray[np.float64] | NDArray[np.bool_]

CLOSE: Final = 2
"""An exchange is one of a row of examples if this many others have its form."""

CONTINUED_DECAY: Final = 0.8
"""What is left at each step back of how likely the question goes on with an exchange."""

MOST_CONTENT: Final = 12.0
_LEAST: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Turns:
    """What the models are asked about."""

    exchanges: Floats
    """A row for each past exchange: `EXCHANGE` numbers of its own, then `LIKENESS` numbers."""

    question: Floats

    continued: Floats
    """How likely the question goes on with each exchange, by the links between."""


class _Conversation:
    """What the columns are worked out of, an exchange a row."""

    def __init__(
        self,
        history: History,
        topics: Topics,
        scores: Scores,
        exchanges: Sequence[Sequence[Message]],
    ) -> None:
        self.history, self.topics, self.scores = history, topics, scores
        self.question = history.question
        self.count = len(history.sizes)
        firsts, ends = history.bounds[:-1], history.bounds[1:]
        self.asking: list[Features] = [history.messages[first] for first in firsts]
        self.answering = [
            history.messages[end - 1] if end - first > 1 else None
            for first, end in zip(firsts, ends, strict=True)
        ]
        nothing = np.zeros(len(NAMES), np.float32)
        self.asks = np.array([f.form for f in self.asking], np.float64)
        self.answers = np.array(
            [nothing if f is None else f.form for f in self.answering], np.float64
        )
        lengths = np.array([f.length for f in history.messages], np.float64)
        self.ask_length = lengths[firsts]
        self.answer_length = np.add.reduceat(lengths, firsts) - self.ask_length
        self.ask_opening = np.array([f.opening for f in self.asking])
        self.answer_opening = np.array([0 if f is None else f.opening for f in self.answering])
        self.asks_alike = _same(self.ask_opening)
        self.answers_alike = _same(self.answer_opening)
        self.is_other_script = np.array([f.script != self.question.script for f in self.asking])
        self.calls = np.array([any(m.calls for m in exchange) for exchange in exchanges])
        changes = np.array([f.changes_something for f in history.messages])
        self.changes = np.logical_or.reduceat(changes, firsts)
        names = [exchange[0].name for exchange in exchanges]
        self.has_name = np.array([bool(name) for name in names])
        self.are_several = len({name for name in names if name}) > 1
        self.is_users = np.array([exchange[0].role == "user" for exchange in exchanges])
        self.asks_apart = _apart(self.asks[:, :OUTLINE])
        self.answers_apart = _apart(self.answers[:, :OUTLINE])
        outline = np.asarray(self.question.form[:OUTLINE], np.float64)
        self.from_question = np.sqrt(((self.asks[:, :OUTLINE] - outline) ** 2).sum(axis=1))


def turns(
    history: History,
    topics: Topics,
    scores: Scores,
    exchanges: Sequence[Sequence[Message]],
) -> Turns:
    """Describe each exchange of `history`, whose messages are `exchanges`, and its question."""
    conversation = _Conversation(history, topics, scores, exchanges)
    columns = _exchange_columns(conversation) | _likeness_columns(conversation)
    rows = [conversation.asks, conversation.answers[:, :OUTLINE], _table(columns)]
    question = [*_question_columns(conversation).values()]
    return Turns(
        np.hstack(rows),
        np.concatenate([conversation.question.form, np.array(question, np.float64)]),
        topics.recency(CONTINUED_DECAY),
    )


def _exchange_columns(c: _Conversation) -> dict[str, Column]:
    """Return what each exchange is, whatever the question."""
    before = np.arange(c.count)
    after = before[::-1]
    length = c.asks[:, PLACE["length"]]
    has_list = c.answers[:, PLACE["items"]] > 0.2
    fenced, symbols = PLACE["fenced"], PLACE["symbols"]
    has_code = (c.asks[:, fenced] > 0) | (c.answers[:, fenced] > 0) | (c.asks[:, symbols] > 0.2)
    links = c.topics.links
    return {
        "place from the end": np.log1p(after) / 3,
        "last": after == 0,
        "last but one": after == 1,
        "last but two": after == 2,
        "place from the beginning": np.log1p(before) / 3,
        "first": before == 0,
        "second": before == 1,
        "length beside the others'": _beside(c.ask_length) / 3,
        "answer beside the others'": _beside(c.answer_length) / 3,
        "answer beside the asking": np.log((c.answer_length + 1) / (c.ask_length + 1)) / 5,
        "answer": np.log1p(c.answer_length) / 8,
        "no answer": c.answer_length == 0,
        "messages": np.log1p(c.history.sizes) / 2,
        "many messages": c.history.sizes > 2,
        "longest": length >= length.max() - _LEAST,
        "form of asking repeated": c.asks_apart,
        "form of answer repeated": c.answers_apart,
        "begins like other askings": c.asks_alike,
        "begins like other answers": c.answers_alike,
        "calls a tool": c.calls,
        "changes something": c.changes,
        "latest change": _latest(c.changes),
        "latest list": _latest(has_list),
        "latest code": _latest(has_code),
        "latest call": _latest(c.calls),
        "has a list": has_list,
        "has code": has_code,
        "has a name": c.has_name,
        "several speakers": np.full(c.count, c.are_several),
        "goes on": links,
        "is gone on with": np.append(links[1:], c.topics.gate),
        "set right later": _set_right(c),
        "sets a rule": np.array([f.sets_a_rule for f in c.asking]),
        "corrects": np.array([f.corrects for f in c.asking]),
        "points back": np.array([f.is_anaphoric for f in c.asking]),
        "answered by a question": np.array([f is not None and f.asks_back for f in c.answering]),
        "a user's": c.is_users,
        "content": np.minimum([f.content for f in c.asking], MOST_CONTENT) / 6,
    }


def _likeness_columns(c: _Conversation) -> dict[str, Column]:
    """Return how each exchange is related to the question."""
    likeness, widened, cover = c.scores.likeness, c.scores.widened, c.topics.cover
    return {
        "longer than the question": c.asks[:, PLACE["length"]] - c.question.form[PLACE["length"]],
        "unlike the question in form": c.from_question,
        "begins like the question": c.ask_opening == c.question.opening,
        "in another script": c.is_other_script,
        "named by the question": c.scores.is_named,
        "share of the best": c.scores.exchanges,
        "likeness": likeness,
        "likeness beside the best": likeness / (likeness.max() + _LEAST),
        "likeness as a follow-up": widened,
        "that beside the best": widened / (widened.max() + _LEAST),
        "cover": cover,
        "covers a word": cover > 0,
        "recency": c.topics.recency(DECAY),
        "like the last": c.topics.likeness[:, -1],
        "about the same as the last": c.scores.together[-1],
        "most alike": likeness >= likeness.max() - _LEAST,
        "meaning": c.scores.meaning,
        "meaning beside the best": c.scores.meaning / (c.scores.meaning.max() + _LEAST),
    }


def _question_columns(c: _Conversation) -> dict[str, float]:
    """Return what the question is, beside its form, and what it is a question to."""
    question, cover = c.question, c.topics.cover
    begins_alike = c.ask_opening == question.opening
    length = PLACE["length"]
    return {
        "goes on with the last": c.topics.gate,
        "points back": question.is_anaphoric,
        "continues": question.is_continuation,
        "content": min(question.content, MOST_CONTENT) / 6,
        "corrects": question.corrects,
        "sets a rule": question.sets_a_rule,
        "best cover": cover.max(),
        "cover by the last": cover[-1],
        "best likeness": c.scores.likeness.max(),
        "best meaning": c.scores.meaning.max(),
        "has a meaning": c.scores.has_meaning,
        "begins like others": begins_alike.mean(),
        "begins like several": begins_alike.sum() >= CLOSE,
        "longer than others": question.form[length] - _median(c.asks[:, length]),
        "unlike others in form": c.from_question.mean(),
        "exchanges": np.log1p(c.count) / 3,
        "calls of tools": c.calls.mean(),
        "several speakers": c.are_several,
        "last in another script": c.is_other_script[-1],
        "others in another script": c.is_other_script.mean(),
        "forms of asking repeated": c.asks_apart.mean(),
        "forms of answer repeated": c.answers_apart.mean(),
        "openings of asking repeated": c.asks_alike.mean(),
        "openings of answer repeated": c.answers_alike.mean(),
        "usual answer": np.log1p(_median(c.answer_length)) / 8,
        "answers' length": c.answers[:, length].mean(),
        "others ask": c.asks[:, PLACE["ends in a question"]].mean(),
        "answers end in a stop": c.answers[:, PLACE["ends in a stop"]].mean(),
        "askings have a label": c.asks[:, PLACE["label"]].mean(),
        "answers have a label": c.answers[:, PLACE["label"]].mean(),
        "answers have markup": c.answers[:, PLACE["markup"]].mean(),
    }


def _table(columns: dict[str, Column]) -> Floats:
    return np.column_stack([np.asarray(column, np.float64) for column in columns.values()])


def _beside(lengths: Floats) -> Floats:
    logarithms: Floats = np.log((lengths + 1) / (_median(lengths) + 1))
    return logarithms


def _median(values: Floats) -> float:
    """Return the upper median; numpy's own takes longer than all the rest of a column."""
    return float(np.sort(values)[len(values) // 2])


def _latest(mask: Column) -> Column:
    latest = np.zeros(len(mask), bool)
    latest[np.flatnonzero(mask)[-1:]] = True
    return latest


def _same(openings: NDArray[np.int64]) -> Floats:
    """Return the share of the others that begin with the same word."""
    _, place, count = np.unique(openings, return_inverse=True, return_counts=True)
    share: Floats = (count[place] - 1) / max(len(openings) - 1, 1)
    return share


def _apart(outlines: Floats) -> Floats:
    """Return how far from each row its `CLOSE` nearest others are."""
    count = len(outlines)
    if count <= CLOSE:
        return np.full(count, 1.0)
    squares = (outlines * outlines).sum(axis=1)
    distances = np.maximum(squares[:, None] + squares[None, :] - 2 * outlines @ outlines.T, 0)
    np.fill_diagonal(distances, np.inf)
    for _ in range(CLOSE - 1):
        distances[np.arange(count), distances.argmin(axis=1)] = np.inf
    rounded: Floats = np.round(distances.min(axis=1) ** 0.5, 6)
    return rounded


def _set_right(c: _Conversation) -> Floats:
    """Return how alike to each exchange the most alike later one is that speaks of a change."""
    speaks_of_change = c.asks[:, PLACE["again"]] > 0
    if not speaks_of_change.any():
        return np.zeros(c.count)
    pairs: Floats = np.tril(c.topics.likeness, -1)
    later: Floats = pairs[speaks_of_change].max(axis=0)
    return later
