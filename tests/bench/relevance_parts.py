"""What each part of the filter brings: the benchmark with one part left out at a time.

python tests/bench/relevance_parts.py [--shared DIR] [--only WORD] [--tasks t1,t2,t3,t4]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from proxy.relevance import assessment, filter, keep_rules, scoring, topics  # noqa: E402
from proxy.relevance.kinds import model as kinds  # noqa: E402
from proxy.relevance.text import features, words  # noqa: E402
from tests.bench.relevance import WordsOnly, scorer_at  # noqa: E402

Change = tuple[object, str, object]

_best_first = scoring._shares
_reasons = keep_rules.reasons
_judged = kinds.judge


def _stem_nothing(word: str) -> Any:
    if word not in words.WORDS and (len(word) > 1 or word.isdigit()):
        yield word


def _gate(value: float) -> Change:
    return topics.Topics, "_gate", lambda self, history: value


def _linked(self: topics.Topics, history: Any) -> Any:
    links = np.full(len(history.sizes), 0.8)
    links[0] = 0
    return links


def _as_steep(history: Any, about: Any, score: Any) -> Any:
    return _best_first(history, _Gate(about), score)


class _Gate:
    """Topics whose question looks like a follow-up to the steepness alone."""

    def __init__(self, about: topics.Topics) -> None:
        self._about, self.gate = about, 1.0

    def recency(self, decay: float) -> Any:
        return self._about.recency(decay)


def _without_best(history: Any, about: Any, score: Any) -> Any:
    with patch.object(np, "argmax", lambda values: slice(0, 0)):
        return _best_first(history, about, score)


def _but(reason: str) -> Callable[..., dict[int, str]]:
    def reasons(exchanges: Any, about: Any) -> dict[int, str]:
        found = _reasons(exchanges, about)
        return {number: why for number, why in found.items() if why != reason}

    return reasons


def _looked_once(self: Any, mode: str) -> dict[int, Any]:
    gone = self._whole.assessment.dropped(self._level(self._whole.assessment, mode))
    return self._verdicts_on(self._whole, gone) if gone else {}


def _likeness_alone(*asked: Any) -> kinds.Judgement:
    judgement = _judged(*asked)
    return replace(judgement, needs=asked[2].exchanges, about_conversation=0.0)


def _no_risk(self: Any, threshold: float, most_risk: float) -> float:
    return threshold


PARTS: dict[str, list[Change]] = {
    "nothing: all parts": [],
    "the need (a share of the best likeness instead)": [(assessment, "judge", _likeness_alone)],
    "the need of others of the topic": [(kinds, "TOPIC", 0.0)],
    "the risk": [(kinds.Judgement, "level", _no_risk)],
    "questions about the conversation": [(assessment, "ABOUT", 2.0)],
    "the last exchange always": [(assessment, "STANDS_ALONE", 0.0)],
    "stems": [(words, "_word", _stem_nothing)],
    "less weight for words of asking": [(features, "VAGUE_WEIGHT", 1.0)],
    "widening by the last user message": [(scoring, "EXPANSION", 0.0)],
    "a part from the same exchange": [(scoring, "PARTNER", 0.0)],
    "a part from neighbours": [(scoring, "NEIGHBOUR", 0.0)],
    "the most alike exchanges": [(scoring, "OWN", 1.0)],
    "the best score of the topic": [(scoring, "TOPIC", 0.0)],
    "recency": [(scoring, "RECENCY", 0.0)],
    "gate (always 0)": [_gate(0.0)],
    "gate (always 0.5)": [_gate(0.5)],
    "gate (always 1)": [_gate(1.0)],
    "links (always 0.8)": [(topics.Topics, "_links", _linked)],
    "steeper if no follow-up": [(scoring, "_shares", _as_steep)],
    "doubt where the best score is weak": [(scoring, "EVIDENCE", 1e-9)],
    "the best exchange always": [(scoring, "_shares", _without_best)],
    "preference for short exchanges": [(scoring, "LENGTH_PENALTY", 0.0)],
    "the sender whom the question names": [(scoring, "SPEAKER", 0.0)],
    "open requests": [(assessment, "reasons", _but("open request"))],
    "an open request begins its topic": [(keep_rules, "MOST_LINK", 1.0)],
    "standing instructions": [(assessment, "reasons", _but("standing instruction"))],
    "corrections and latest versions": [
        (assessment, "apply_keep_rules", lambda needs, *rest: needs)
    ],
    "the least worth dropping": [(assessment, "MIN_SAVING", 0.0)],
    "looking again (then not idempotent)": [(filter._Narrowing, "_drop", _looked_once)],
}


def measured(scorer: ModuleType, data: Any, tasks: set[str]) -> str:
    """Return the cells of one row."""
    filter_ = WordsOnly()
    mode = ("very_strict",)
    cells = []
    if "t1" in tasks:
        budget = scorer.task_t1(data, None, filter_.score, (), None)["budget"]["0.1"]
        cells += [_percent(budget[group]["recall"]) for group in ("all", "multi-hop")]
    if "t2" in tasks:
        found = scorer.task_t2(data, filter_.select, filter_.score, mode, None)
        own = found["own"]["very_strict"]["all"]
        shown = (_percent(own[name]) for name in ("f1", "saved", "lost_all"))
        cells += [_percent(found["ap"]["all"]), " / ".join(shown)]
    if "t3" in tasks:
        own = scorer.task_t3(data, filter_.select, None, mode, None)["own"]["very_strict"]
        cells += [_at(own[group], "dep_full") for group in ("both:long", "user")]
    if "t4" in tasks:
        own = scorer.task_t4(data, filter_.select, None, mode, None)["own"]["very_strict"]
        cells += [_at(own["si"], "instruction_kept")]
    return " | ".join(cells)


def _at(found: dict[str, float], name: str) -> str:
    return f"{_percent(found[name])} @ {_percent(found['saved'])}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def main() -> None:
    """Print a row of the table for each part."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    options.add_argument("--only", default="")
    options.add_argument("--tasks", default="t1,t2,t3,t4")
    asked = options.parse_args()
    scorer = scorer_at(asked.shared)
    data = scorer.Data(str(asked.shared / "data" / "context_filter"))
    for name, changes in PARTS.items():
        if asked.only not in name:
            continue
        # Features are remembered by digest, so each row begins with a memory of its own.
        features._memory = features.Memory()
        with ExitStack() as stack:
            for where, attribute, value in changes:
                stack.enter_context(patch.object(where, attribute, value))
            print(f"| {name} | {measured(scorer, data, set(asked.tasks.split(',')))} |", flush=True)


if __name__ == "__main__":
    main()
