"""Memory: features are worked out once, in bounded space, for many threads, and change nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from proxy.relevance.filter import decide
from proxy.relevance.text import features
from proxy.relevance.text.features import Memory

from .conversations import BREAD, CAPITAL, CHESS, chat, user

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """
from tests.relevance.conversations import *
import proxy.relevance.filter, sys
words = "bread flour oven rye dough starter salt water heat crust".split()
texts = [f"{words[n % 10]} {words[n * 3 % 10]} and {words[n * 7 % 10]} {n}" for n in range(60)]
for mode in ("very_strict", "strict", "lax"):
    print(decide([*chat(*texts), user("Which flour does a rye dough need?")], mode))
print(sorted(m for m in sys.modules if m.split(".")[0] in ("django", "sklearn", "aiohttp")))
"""


def nothing() -> None:
    pass


def test_a_turn_pays_for_its_new_messages_only():
    memory = Memory()
    memory.of(chat(*BREAD, *CAPITAL), nothing)
    new: list[None] = []

    memory.of(chat(*BREAD, *CAPITAL, *CHESS), lambda: new.append(None))

    assert len(new) == 2


def test_the_least_recently_used_is_forgotten_first(monkeypatch):
    first, second = chat(*BREAD)
    size = Memory().of([first], nothing)[0].size
    monkeypatch.setattr(features, "MOST_BYTES", 5 * size // 2)
    memory = Memory()
    memory.of([first], nothing)
    memory.of([second], nothing)
    memory.of([first], nothing)
    memory.of([user(BREAD[0] + " Please!")], nothing)
    worked_out: list[None] = []

    memory.of([first], lambda: worked_out.append(None))
    assert not worked_out
    memory.of([second], lambda: worked_out.append(None))
    assert worked_out


def test_a_memory_with_too_many_terms_is_replaced(monkeypatch):
    old = features.memory()
    monkeypatch.setattr(features, "MOST_TERMS", -1)

    assert features.memory() is not old


def test_threads_get_the_same_verdicts():
    conversations = [
        [*chat(*BREAD, f"Note {n}", "Ok.", *CHESS), user("Which flour?")] for n in range(40)
    ]
    alone = [decide(c, "strict") for c in conversations]
    features._memory = Memory()

    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda c: decide(c, "strict"), conversations * 3))

    assert together == alone * 3


@pytest.fixture(scope="module")
def runs() -> list[str]:
    return [
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]


@pytest.mark.slow
def test_the_hash_seed_changes_nothing(runs):
    assert runs[0] == runs[1]


@pytest.mark.slow
def test_neither_django_nor_scikit_learn_is_imported(runs):
    assert runs[0].splitlines()[-1] == "[]"
