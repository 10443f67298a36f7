"""The learned part: what a turn is, how likely it is needed, and how likely something needed goes.

Small models, fitted by `tests/bench/train_kinds.py` on labelled conversations and read from
`weights.npz`: a network of one hidden layer for the need, and logistic ones for the kind of an
exchange, for whether a question is about the conversation itself, and for the risk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..messages import Message
from ..scoring import Scores
from ..text.tfidf import Floats, History
from ..topics import Topics
from .turns import Turns, turns

WEIGHTS: Final = Path(__file__).with_name("weights.npz")

KINDS: Final = (
    "talk",
    "small talk",
    "material",
    "fact",
    "rule",
    "example",
    "state",
    "task",
    "tool work",
    "correction",
)
"""What an exchange may be, in the order of the weights."""

LEVELS: Final = (
    0.03, 0.05, 0.07, 0.1, 0.13, 0.16, 0.2, 0.25, 0.28, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7,
)  # fmt: skip
"""The thresholds between which the filter chooses."""

TOPIC: Final = 0.4
"""What an exchange takes of the need for another about the same thing."""

CONTINUED: Final = 0.2
"""What of an exchange's lack of need is made up for where the question surely goes on with it: what
"it" means stands there or a few steps before, and shares no word with the question."""

BINDING: Final = ("fact", "rule", "state")
BINDS: Final = 1.3
"""How many times its need counts what is of a kind that binds a question which does not name it."""

FARTHEST: Final = 4.0
"""Standard deviations from the mean beyond which a number says no more."""


class Model:
    """The weights, as functions."""

    def __init__(self, weights: Mapping[str, Floats]) -> None:
        self._weights = weights

    def needs(self, turns: Turns, together: Floats) -> Floats:
        """Return how likely the question needs each exchange."""
        w = self._weights
        rows = self._scaled("exchange", turns.exchanges) @ w["need_exchange"]
        question = self._scaled("question", turns.question) @ w["need_question"]
        hidden = np.maximum(rows + question + w["need_hidden"], 0)
        # The hidden layer is that of several networks side by side, whose answers are averaged.
        votes = (hidden * w["need_out"]).reshape(len(rows), len(w["need_bias"]), -1).sum(axis=2)
        needs = logistic(votes + w["need_bias"]).mean(axis=1)
        shared = TOPIC * (together * needs).max(axis=1)
        # Rounded, so that no machine's last digit decides about a threshold.
        return np.round(np.maximum(needs, shared), 6)

    def kinds(self, turns: Turns) -> list[str]:
        """Return the kind of each exchange."""
        w = self._weights
        rows = self._scaled("exchange", turns.exchanges)
        best = np.argmax(np.round(rows @ w["kind"] + w["kind_bias"], 6), axis=1)
        return [KINDS[number] for number in best]

    def is_about_conversation(self, turns: Turns) -> float:
        """Return how likely the question is about the conversation itself, or much of it."""
        w = self._weights
        question = self._scaled("question", turns.question)
        return float(logistic(question @ w["about"] + w["about_bias"]))

    def risks(self, turns: Turns, needs: Floats, sizes: Floats) -> Floats:
        """Return how likely something needed goes at each of `LEVELS`; `sizes` is in characters."""
        w = self._weights
        rows = self._scaled("risk", signs_of_risk(needs, sizes))
        question = self._scaled("question", turns.question)
        risks = logistic(rows @ w["risk"] + question @ w["risk_question"] + w["risk_bias"])
        rising: Floats = np.maximum.accumulate(np.round(risks, 6))
        return rising

    def _scaled(self, name: str, values: Floats) -> Floats:
        scaled = (values - self._weights[f"{name}_mean"]) / self._weights[f"{name}_scale"]
        return np.clip(scaled, -FARTHEST, FARTHEST)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the models say of a conversation and its question."""

    turns: Turns
    together: Floats
    """For each pair of exchanges how likely it is that they are about the same thing."""

    sizes: Floats
    needs: Floats
    """How likely the question needs each exchange."""

    kinds: list[str]
    about_conversation: float
    risks: Floats
    """How likely something needed goes, at each of `LEVELS`."""

    @property
    def weighed_needs(self) -> Floats:
        """The needs, as they are held against a threshold."""
        weights = np.array([BINDS if kind in BINDING else 1.0 for kind in self.kinds], np.float64)
        needs = self.needs + CONTINUED * self.turns.continued * (1 - self.needs)
        weighed = np.clip(needs * weights, 0.0, 1.0)
        rounded: Floats = np.round(weighed, 6)
        return rounded

    def level(self, threshold: float, most_risk: float) -> float:
        """Return the highest of `LEVELS` up to `threshold` that risks no more; 0: none does."""
        return max(
            (
                level
                for level, risk in zip(LEVELS, self.risks.tolist(), strict=True)
                if level <= threshold and risk <= most_risk
            ),
            default=0.0,
        )

    def confidence(self, level: float) -> float:
        """Return how likely nothing needed is under `level`, one of `LEVELS` or 0."""
        return 1.0 - float(self.risks[LEVELS.index(level)]) if level else 1.0


def judge(
    history: History,
    topics: Topics,
    scores: Scores,
    exchanges: Sequence[Sequence[Message]],
    sizes: Floats,
) -> Judgement:
    """Ask all models; `exchanges` are the messages of `history`, `sizes` their characters."""
    described = turns(history, topics, scores, exchanges)
    known = model()
    needs = known.needs(described, scores.together)
    return Judgement(
        described,
        scores.together,
        sizes,
        needs,
        known.kinds(described),
        known.is_about_conversation(described),
        known.risks(described, needs, sizes),
    )


@cache
def model() -> Model:
    """Return the model that is part of the product."""
    with np.load(WEIGHTS, allow_pickle=False) as weights:
        return Model({name: weights[name].astype(np.float64) for name in weights.files})


def signs_of_risk(needs: Floats, sizes: Floats) -> Floats:
    """Return a row for each of `LEVELS`: what would go there, and what would stay.

    The last of `needs` is that of the last exchange, which stays.
    """
    before = needs[:-1] if len(needs) > 1 else needs
    best = np.sort(before)[-2:]
    by_need = np.argsort(needs[:-1], kind="stable")
    doubts = needs[by_need]
    levels = np.array(LEVELS)
    # At each level the first so many of the doubts go.
    count = np.searchsorted(doubts, levels)
    rows: Floats = np.empty((len(levels), 12))
    rows[:, 0] = np.log1p(_up_to(doubts, count))
    rows[:, 1] = np.sqrt(np.concatenate(([0.0], doubts))[count])
    rows[:, 2] = np.log1p(count)
    rows[:, 3] = np.sqrt(_up_to(-np.log1p(-np.minimum(doubts, 0.999)), count))
    rows[:, 4] = np.log1p(len(needs) - count)
    rows[:, 5] = best[-1]
    rows[:, 6] = best.mean()
    rows[:, 7] = before[-1] >= levels
    rows[:, 8] = np.log(max(best[-1], 0.01))
    rows[:, 9] = needs[-1]
    rows[:, 10] = _up_to(sizes[by_need], count) / sizes.sum()
    rows[:, 11] = np.log(levels)
    return rows


def _up_to(values: Floats, count: NDArray[np.int64]) -> Floats:
    """Return the sums of the first so many values."""
    sums: Floats = np.concatenate(([0.0], np.cumsum(values)))[count]
    return sums


def logistic(evidence: Floats) -> Floats:
    """Return the logistic function."""
    likely: Floats = np.tanh(evidence * 0.5) * 0.5 + 0.5
    return likely
