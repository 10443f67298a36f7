"""The benchmarks' labelled conversations, taken apart by the product's own code for its models.

Each is there twice, with what its texts mean to the encoder and by words alone.
"""

from __future__ import annotations

import hashlib
import json
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

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
BY_ANSWERS = ("few_shot", "text_agent", "tool_session")
"""The kinds that are known by the form of their answers, which therefore stay as short as they are.
"""

LEAST_LONG, MOST_DOUBLED = 100, 3.0
"""The characters of a longer answer, and how often they are doubled at most."""

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
            for item in (
                *_of_kinds(shared, read_as),
                *_of_tasks(shared, read_as),
            )
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


def longer(messages: list[Message]) -> list[Message]:
    """Return the messages with longer answers, which say the same again."""
    return [_said_again(each) if each.role == "assistant" else each for each in messages]


def _said_again(answer: Message) -> Message:
    doubled = MOST_DOUBLED * zlib.crc32(answer.digest) / 2**32
    times = int(LEAST_LONG * 2**doubled / (len(answer.text) + 1)) + 1
    text = " ".join([answer.text] * times)
    return replace(answer, text=text, digest=hashlib.sha256(text.encode()).digest()[:16])


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
