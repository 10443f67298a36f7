"""Fit the models of kinds (`proxy/relevance/kinds/weights.npz`) on the benchmarks' labelled halves.

    python tests/bench/train_kinds.py [--shared DIR] [--out FILE]

Each conversation is taken apart by the product's own code, once with what its texts mean to the
encoder and once by words alone, so that one set of weights serves both. The same data and the same
scikit-learn give the same weights. How well they do on what they never saw is told by
`tests/bench/kinds.py --cross-validate`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from proxy.relevance import assessment as assessing  # noqa: E402
from proxy.relevance.kinds import model as kinds  # noqa: E402
from proxy.relevance.kinds.turns import Turns, turns  # noqa: E402
from proxy.relevance.messages import Message  # noqa: E402
from proxy.relevance.text.features import memory  # noqa: E402
from tests.bench.encoded import with_vectors  # noqa: E402
from tests.bench.relevance import read, scorer_at  # noqa: E402

Reader = Callable[[list[Message]], list[Message]]
"""What gives messages their vectors, or leaves them without."""

FOLDS = 5
HIDDEN, NETWORKS, ROUNDS, DECAY = 12, 3, 40, 6.0
"""The need: the hidden layer of each network, how many are averaged, how they are held small."""

IMPORTANCE = {"kinds": 1.0, "t2": 1.5, "t3": 0.7, "t4": 0.5}
"""What an item of each source weighs."""

CONTROL = 3.0
"""How many times as much an item weighs of which all but the near may go; there are few."""

CONTROLS = ("control_new", "control_follow", "control_return")
ABOUT = ("about_conversation", "scoped_recap")
KIND_OF_NEED = {
    "material": "material",
    "fact": "fact",
    "group": "fact",
    "lookup": "fact",
    "cross_language": "fact",
    "rule": "rule",
    "few_shot": "example",
    "state": "state",
    "text_agent": "task",
    "tool_session": "tool work",
    "correction": "correction",
}
SMALL_TALK = 25
"""Characters of a user's message that is small talk if nobody needs it and it asks nothing."""


@dataclass
class Item:
    """A conversation with its question, taken apart, and what the question needs."""

    name: str
    source: str
    kind: str
    fold: int
    judgement: kinds.Judgement
    """What the models are asked about; their answers are filled in here."""

    exchanges: list[tuple[int, ...]]
    is_needed: Any
    is_unjudged: Any
    is_small_talk: Any
    needs: list[set[int]]
    """Places that must all be kept, a set for each need."""

    choices: list[set[int]]
    """Sets of which one must be kept whole; none if empty."""

    any_of_each: bool
    """Whether one place of each need is enough."""

    key: str
    """What `key_of` returns for it."""

    @property
    def turns(self) -> Turns:
        return self.judgement.turns

    @property
    def together(self) -> Any:
        return self.judgement.together

    @property
    def sizes(self) -> Any:
        return self.judgement.sizes


def items(shared: Path) -> list[Item]:
    """Return every labelled conversation in which something could go, in both states."""
    with patch.object(assessing, "judge", _described):
        return [
            item
            for read_as in (with_vectors, list[Message])
            for item in (*_of_kinds(shared, read_as), *_of_tasks(shared, read_as))
            if item is not None
        ]


def _described(history: Any, topics: Any, scores: Any, exchanges: Any, sizes: Any) -> Any:
    """Return what the models are to be asked about, without asking any."""
    nothing = np.zeros(len(sizes))
    described = turns(history, topics, scores, exchanges)
    risks = np.zeros(len(kinds.LEVELS))
    kind = [kinds.KINDS[0]] * len(sizes)
    return kinds.Judgement(described, scores.together, sizes, nothing, kind, 0.0, risks)


def _of_kinds(shared: Path, read_as: Reader) -> Iterator[Item | None]:
    path = shared / "data" / "context_kinds" / "items.jsonl"
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        needs, choices = [set(g) for g in row["needs"]], [set(g) for g in row.get("any_of") or []]
        yield _item(
            row["id"],
            "kinds",
            row["kind"],
            zlib.crc32(row["id"].encode()) % FOLDS,
            row["messages"],
            row["query"],
            needs,
            choices,
            set(row["droppable"]),
            read_as,
        )


def _of_tasks(shared: Path, read_as: Reader) -> Iterator[Item | None]:
    data = scorer_at(shared).Data(str(shared / "data" / "context_filter"))
    for task in ("t2", "t3", "t4"):
        for number, row in enumerate(data.rows(task)):
            history = data.history(row)
            if task == "t3":
                needs = [set(holders) for _, holders in row["needs"]]
            else:
                needs = [set(row["relevant" if task == "t2" else "must"])]
            needed = set().union(*needs)
            yield _item(
                f"{task}-{number}",
                task,
                task,
                zlib.crc32(row["history"][-1][0].encode()) % FOLDS,
                history,
                row["query"],
                needs,
                [],
                set(range(len(history))) - needed,
                read_as,
            )


def _item(
    name: str,
    source: str,
    kind: str,
    fold: int,
    messages: list[dict[str, Any]],
    query: str,
    needs: list[set[int]],
    choices: list[set[int]],
    droppable: set[int],
    read_as: Reader,
) -> Item | None:
    asked = read_as(read([*messages, {"role": "user", "content": query}]))
    assessment = assessing.Assessment(asked, memory(), None)
    if assessment.judgement is None:
        return None
    exchanges = [assessment.conversation.exchanges[n] for n in assessment.shares]
    needed = set().union(*needs, *choices)
    is_needed = np.array([not needed.isdisjoint(e) for e in exchanges])
    return Item(
        name,
        source,
        kind,
        fold,
        assessment.judgement,
        exchanges,
        is_needed,
        ~is_needed & np.array([droppable.isdisjoint(e) for e in exchanges]),
        np.array(
            [len(asked[e[0]].text) <= SMALL_TALK and "?" not in asked[e[0]].text for e in exchanges]
        ),
        needs,
        choices,
        source == "t3",
        key_of(messages, query),
    )


def key_of(messages: list[dict[str, Any]], query: str) -> str:
    """Return a name for a conversation with its question."""
    return hashlib.sha256(json.dumps([messages, query]).encode()).hexdigest()


def fitted(training: Sequence[Item]) -> dict[str, Any]:
    """Return the weights of all models, fitted on `training`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        weights = _scales(training) | _need(training)
        weights |= _kind(training, weights) | _about(training, weights)
        return weights | _risk(_judged_unseen(training), weights)


def _judged_unseen(training: Sequence[Item]) -> list[tuple[Item, Any]]:
    """Return each item with its needs as a model sees them that was fitted without it."""
    judged = []
    for fold in range(FOLDS):
        rest = [item for item in training if item.fold != fold]
        inner = kinds.Model(_scales(rest) | _need(rest))
        judged += [(i, inner.needs(i.turns, i.together)) for i in training if i.fold == fold]
    return judged


def _scales(training: Sequence[Item]) -> dict[str, Any]:
    exchanges = StandardScaler().fit(np.vstack([i.turns.exchanges for i in training]))
    questions = StandardScaler().fit(np.vstack([i.turns.question for i in training]))
    return {
        "exchange_mean": exchanges.mean_,
        "exchange_scale": exchanges.scale_,
        "question_mean": questions.mean_,
        "question_scale": questions.scale_,
    }


def _need(training: Sequence[Item]) -> dict[str, Any]:
    scales = _scales(training)
    scaling = kinds.Model(scales)
    rows, wanted, importance = [], [], []
    for item in training:
        own = scaling._scaled("exchange", item.turns.exchanges)
        question = np.tile(scaling._scaled("question", item.turns.question), (len(own), 1))
        rows.append(np.hstack([own, question]))
        wanted.append(item.is_needed)
        importance.append(_importance(item))
    table, target, weight = np.vstack(rows), np.concatenate(wanted), np.concatenate(importance)
    fits = [
        MLPClassifier(
            (HIDDEN,),
            alpha=DECAY,
            max_iter=ROUNDS,
            random_state=seed,
            batch_size=256,
            learning_rate_init=2e-3,
        ).fit(table, target, sample_weight=weight / weight.mean())
        for seed in range(NETWORKS)
    ]
    first = np.hstack([n.coefs_[0] for n in fits])
    width = len(scales["exchange_mean"])
    return {
        "need_exchange": first[:width],
        "need_question": first[width:],
        "need_hidden": np.concatenate([n.intercepts_[0] for n in fits]),
        "need_out": np.concatenate([n.coefs_[1][:, 0] for n in fits]),
        "need_bias": np.concatenate([n.intercepts_[1] for n in fits]),
    }


def _importance(item: Item) -> Any:
    """Return what each exchange of an item weighs; long histories weigh no more than short ones."""
    importance = np.full(
        len(item.is_needed), IMPORTANCE[item.source] * min(1, 8 / len(item.is_needed))
    )
    importance[item.is_unjudged] *= 0.3
    if item.source == "kinds":
        importance[item.is_needed] *= 2
    if item.kind in CONTROLS:
        importance *= CONTROL
    return importance


def _kind(training: Sequence[Item], scales: dict[str, Any]) -> dict[str, Any]:
    scaling = kinds.Model(scales)
    rows, names = [], []
    for item in training:
        if item.source != "kinds":
            continue
        own = KIND_OF_NEED.get(item.kind, "talk")
        for row, needed, small in zip(
            scaling._scaled("exchange", item.turns.exchanges),
            item.is_needed,
            item.is_small_talk,
            strict=True,
        ):
            rows.append(row)
            names.append(own if needed else "small talk" if small else "talk")
    balanced = LogisticRegression(C=0.01, max_iter=500, class_weight="balanced").fit(rows, names)
    order = [list(balanced.classes_).index(name) for name in kinds.KINDS]
    return {"kind": balanced.coef_[order].T, "kind_bias": balanced.intercept_[order]}


def _about(training: Sequence[Item], scales: dict[str, Any]) -> dict[str, Any]:
    scaling = kinds.Model(scales)
    rows = [scaling._scaled("question", item.turns.question) for item in training]
    are_about = [item.kind in ABOUT for item in training]
    fit = LogisticRegression(C=0.03, max_iter=500, class_weight={False: 1, True: 3})
    fit.fit(rows, are_about)
    return {"about": fit.coef_[0], "about_bias": fit.intercept_[0]}


def _risk(judged: Sequence[tuple[Item, Any]], weights: dict[str, Any]) -> dict[str, Any]:
    """Fit the risk on needs that are judged by models which never saw the item."""
    rows, questions, targets, importance = [], [], [], []
    for item, needs in judged:
        rows.append(kinds.signs_of_risk(needs, item.sizes))
        questions.append(item.turns.question)
        targets.append([is_lost(item, needs >= level) for level in kinds.LEVELS])
        importance.append(CONTROL if item.kind in CONTROLS else IMPORTANCE[item.source])
    signs = np.vstack(rows)
    scaler = StandardScaler().fit(signs)
    scaling = kinds.Model(weights | {"risk_mean": scaler.mean_, "risk_scale": scaler.scale_})
    question = scaling._scaled("question", np.vstack(questions)).repeat(len(kinds.LEVELS), axis=0)
    table = np.hstack([scaling._scaled("risk", signs), question])
    fit = LogisticRegression(C=0.01, max_iter=500)
    fit.fit(table, np.concatenate(targets), sample_weight=np.repeat(importance, len(kinds.LEVELS)))
    width = signs.shape[1]
    return {
        "risk_mean": scaler.mean_,
        "risk_scale": scaler.scale_,
        "risk": fit.coef_[0][:width],
        "risk_question": fit.coef_[0][width:],
        "risk_bias": fit.intercept_[0],
    }


def is_lost(item: Item, stays: Any) -> bool:
    """Tell whether something needed goes where these exchanges and the last one stay."""
    stays = stays.copy()
    stays[-1] = True
    past = {i for exchange in item.exchanges for i in exchange}
    kept = {
        i
        for exchange, is_kept in zip(item.exchanges, stays, strict=True)
        if is_kept
        for i in exchange
    }
    gone = past - kept
    if item.source == "t2":
        # A whole conversation is the need there: most of it is enough.
        return len(item.needs[0] - gone) < 0.6 * len(item.needs[0])
    if item.any_of_each:
        return any(need <= gone for need in item.needs)
    lost_one = any(not need.isdisjoint(gone) for need in item.needs)
    return lost_one or bool(item.choices and all(not c.isdisjoint(gone) for c in item.choices))


def save(weights: dict[str, Any], path: Path) -> None:
    """Write the weights; half precision is more than their noise."""
    np.savez_compressed(path, **{name: np.asarray(w, np.float32) for name, w in weights.items()})


def main() -> None:
    """Fit and write."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    options.add_argument("--out", type=Path, default=kinds.WEIGHTS)
    asked = options.parse_args()
    save(fitted(items(asked.shared)), asked.out)


if __name__ == "__main__":
    main()
