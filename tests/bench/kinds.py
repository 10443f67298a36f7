"""The kinds benchmark: what a question needs when words do not tell, by kind and mode.

    python tests/bench/kinds.py [--shared DIR] [--misses] [--words] [--long] [--cross-validate]

With `--cross-validate` five models are fitted, each without a fifth of the labelled items, and each
item (of the tasks T2, T3 and T4 too) is judged by the one that never saw it. With `--words` what
texts mean is not known; the models are the same. With `--long` the answers of the kinds are as long
as a model's usually are, which theirs are not. The benchmarks and
their data live outside the repository; where they are missing, it says so and ends.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from proxy.relevance.kinds import model  # noqa: E402
from proxy.relevance.messages import Message  # noqa: E402
from tests.bench import labelled, train_kinds  # noqa: E402
from tests.bench.relevance import Filter, WordsOnly, scorer_at  # noqa: E402

MODES = ("very_strict", "strict", "lax")


class LongFilter(Filter):
    """The filter of a default installation, asked about longer answers."""

    def _read(self, messages: list[dict[str, Any]]) -> list[Message]:
        return labelled.longer(super()._read(messages))


class LongWordsOnly(WordsOnly):
    """The filter without an encoder, asked about longer answers."""

    def _read(self, messages: list[dict[str, Any]]) -> list[Message]:
        return labelled.longer(super()._read(messages))


class CrossValidated:
    """A filter, with the model for each conversation that was fitted without it."""

    def __init__(self, chosen: WordsOnly, shared: Path) -> None:
        self._filter = chosen
        self.score = chosen.score
        items = labelled.items(shared)
        self._folds = {item.key: item.fold for item in items}
        self._models = [
            model.Model(train_kinds.fitted([item for item in items if item.fold != fold]))
            for fold in range(labelled.FOLDS)
        ]

    def select(self, messages: list[dict[str, Any]], query: str, mode: str) -> list[int]:
        """Return the places of the messages that stay."""
        fold = self._folds.get(labelled.key_of(messages, query), 0)
        with patch.object(model, "model", lambda: self._models[fold]):
            return self._filter.select(messages, query, mode)


def _state(*, is_long: bool, is_words: bool) -> WordsOnly:
    if is_long:
        return LongWordsOnly() if is_words else LongFilter()
    return WordsOnly() if is_words else Filter()


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    options.add_argument("--misses", action="store_true", help="name the items that miss a need")
    options.add_argument("--words", action="store_true", help="words alone, without the encoder")
    options.add_argument("--long", action="store_true", help="with longer answers")
    options.add_argument("--cross-validate", action="store_true")
    asked = options.parse_args()
    scorer = scorer_at(asked.shared, "context_kinds")
    path = asked.shared / "data" / "context_kinds" / "items.jsonl"
    items = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    if asked.long:
        items = [item for item in items if item["kind"] not in labelled.BY_ANSWERS]
    state = _state(is_long=asked.long, is_words=asked.words)
    chosen = CrossValidated(state, asked.shared) if asked.cross_validate else state
    results = [scorer.run(items, type(state).__name__, chosen.select, MODES)]
    print(scorer.table(results))
    if asked.misses:
        for mode, misses in results[0]["misses"].items():
            print(mode, "; ".join(f"{miss['id']} {miss['lost']}" for miss in misses))
    if asked.cross_validate and not asked.long:
        others = scorer_at(asked.shared)
        others.load_filter = lambda name: (chosen.select, chosen.score)
        data = others.Data(str(asked.shared / "data" / "context_filter"))
        tasks = {"t2", "t3", "t4"}
        measured = others.run(type(state).__name__, data=data, tasks=tasks, modes=MODES, limit=None)
        print(others.table([measured], MODES))


if __name__ == "__main__":
    main()
