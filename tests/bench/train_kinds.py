"""Fit the models of kinds (`proxy/relevance/kinds/weights.npz`) on the benchmarks' labelled halves.

    python tests/bench/train_kinds.py [--shared DIR] [--out FILE]

One set of weights serves with what texts mean to the encoder and without, as the data have both
(`labelled`). The same data and the same scikit-learn give the same weights. How well they do on
what they never saw is told by `tests/bench/kinds.py --cross-validate`.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from proxy.relevance.kinds import model as kinds  # noqa: E402
from tests.bench.labelled import FOLDS, Item, is_lost, items  # noqa: E402

HIDDEN, NETWORKS, ROUNDS, DECAY = 12, 3, 40, 6.0
"""The need: the hidden layer of each network, how many are averaged, how they are held small."""

FITTED_LEVELS = [
    place for place, level in enumerate(kinds.LEVELS) if level not in (0.28, 0.35, 0.45)
]
"""The levels that the risk is fitted at; between them it is what it is."""

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
        rows.append(kinds.signs_of_risk(needs, item.sizes)[FITTED_LEVELS])
        questions.append(item.turns.question)
        targets.append([is_lost(item, needs >= kinds.LEVELS[n]) for n in FITTED_LEVELS])
        importance.append(CONTROL if item.kind in CONTROLS else IMPORTANCE[item.source])
    signs = np.vstack(rows)
    scaler = StandardScaler().fit(signs)
    scaling = kinds.Model(weights | {"risk_mean": scaler.mean_, "risk_scale": scaler.scale_})
    question = scaling._scaled("question", np.vstack(questions)).repeat(len(FITTED_LEVELS), axis=0)
    table = np.hstack([scaling._scaled("risk", signs), question])
    fit = LogisticRegression(C=0.01, max_iter=500)
    fit.fit(table, np.concatenate(targets), sample_weight=np.repeat(importance, len(FITTED_LEVELS)))
    width = signs.shape[1]
    return {
        "risk_mean": scaler.mean_,
        "risk_scale": scaler.scale_,
        "risk": fit.coef_[0][:width],
        "risk_question": fit.coef_[0][width:],
        "risk_bias": fit.intercept_[0],
    }


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
