"""How much each past exchange matters to the question.

A question rarely repeats the words of what it needs. So an exchange has, besides its own likeness
to the question, a part in that of its neighbours, of the exchanges most alike, and of all that is
likely about the same thing; and a question that points back makes recent exchanges matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from .text.embeddings import Meaning
from .text.tfidf import Floats, History
from .topics import Topics

EXPANSION: Final = 0.3
"""What the last user message adds to a question that goes on with it."""

PARTNER: Final = 0.5
"""What a message inherits of the others in its exchange."""

NEIGHBOUR: Final = 0.4
"""What it inherits of the exchange before or after, half of it only if they are linked."""

SPEAKER: Final = 0.9
"""How much more a message matters whose sender the question names."""

OWN: Final = 0.6
STEPS: Final = 2
"""In each step an exchange keeps `OWN` of its score and takes the rest from the most alike."""

TOPIC: Final = 0.7
"""What of the score is the best score of the same topic, rather than its own."""

RECENCY: Final = 1.2
DECAY: Final = 0.7
"""What the last exchange wins if the question goes on with it; each one before it wins less."""

LENGTH_PENALTY: Final = 0.2
MAX_LENGTH_PENALTY: Final = 1.5
"""How much a short exchange is preferred to a long one, and the most that it may win by that."""

EVIDENCE: Final = 0.12
"""A best score below this says little: then no exchange but the best is taken for relevant."""

OVERHEAD: Final = 16
"""What a message takes besides its text, in characters."""

SINGLE: Final = 0.5
"""What of its topic's score ranks a message by itself."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What was worked out for a history and a question."""

    exchanges: Floats
    """Shares of the best exchange's score."""

    messages: Floats
    """A score for each message by itself."""

    likeness: Floats
    """The likeness of each exchange's best message to the question."""

    widened: Floats
    """The same, with the question seen as a follow-up if it is one, and with its meaning."""

    meaning: Floats
    """What the encoder adds to it; zero where none is used."""

    has_meaning: bool
    """Whether the encoder was heard."""

    together: Floats
    """For each pair of exchanges how likely it is that they are about the same thing."""

    is_named: Floats
    """For each exchange whether somebody speaks in it whom the question names."""


def scored(
    history: History, topics: Topics, is_named: Sequence[bool], meaning: Meaning | None = None
) -> Scores:
    """Return the scores; `is_named` tells the messages whose sender the question names."""
    firsts = history.bounds[:-1]
    plain = history.likeness(history.vector())
    last = history.row(int(history.bounds[-2]))
    # A question that goes on with the last exchange is widened by what that one asked.
    widened = plain + topics.gate * EXPANSION * history.likeness(last)
    meant = np.zeros(len(plain)) if meaning is None else meaning.to_question()
    single = _inherited(history, topics, widened + meant)
    own = np.maximum.reduceat(single, firsts)
    spread = _spread(topics, own)
    together = topics.together()
    score = (1 - TOPIC) * spread + TOPIC * (together * spread).max(axis=1)
    messages = OWN * single + (spread - OWN * own + SINGLE * score)[history.of]
    named = np.array(is_named, np.float64)
    messages *= 1 + SPEAKER * named
    return Scores(
        exchanges=_shares(history, topics, score),
        messages=np.round(messages, 9),
        likeness=np.maximum.reduceat(plain, firsts),
        widened=np.maximum.reduceat(widened + meant, firsts),
        meaning=np.maximum.reduceat(meant, firsts),
        has_meaning=meaning is not None,
        together=together,
        is_named=np.maximum.reduceat(named, firsts),
    )


def _inherited(history: History, topics: Topics, likeness: Floats) -> Floats:
    """Return `likeness` with what a message inherits within its exchange and from the next ones."""
    firsts = history.bounds[:-1]
    total = np.add.reduceat(likeness, firsts)
    best = np.maximum.reduceat(likeness, firsts)
    others = (total[history.of] - likeness) / np.maximum(history.sizes - 1, 1)[history.of]
    link = 0.5 + 0.5 * topics.links[1:]
    beside = np.zeros(len(best))
    beside[1:] = best[:-1] * link
    beside[:-1] = np.maximum(beside[:-1], best[1:] * link)
    return likeness + PARTNER * others + NEIGHBOUR * beside[history.of]


def _spread(topics: Topics, own: Floats) -> Floats:
    """Let each exchange take a part of the scores of those that are most alike."""
    neighbours = topics.neighbours()
    spread = own
    for _ in range(STEPS):
        spread = OWN * own + (1 - OWN) * (neighbours @ spread)
    return spread


def _shares(history: History, topics: Topics, score: Floats) -> Floats:
    """Return shares of the best score, the steeper the more the question stands by itself."""
    relevance = (score / max(score.max(), EVIDENCE)) ** (2 - topics.gate)
    total = relevance + RECENCY * topics.recency(DECAY)
    total *= _length_discount(history)
    # Rounded, so that no machine's last digit decides about a threshold.
    shares = np.round(total / max(total.max(), 1), 9)
    shares[np.argmax(np.round(score, 9))] = 1
    return shares


def _length_discount(history: History) -> Floats:
    """Return a factor for each exchange: above 1 if it is shorter than most."""
    lengths = np.array([f.length + OVERHEAD for f in history.messages], np.float64)
    lengths = np.add.reduceat(lengths, history.bounds[:-1])
    factor = (np.median(lengths) / lengths) ** LENGTH_PENALTY
    return np.clip(factor, 1 / MAX_LENGTH_PENALTY, MAX_LENGTH_PENALTY)
