"""The filter as the shared benchmark wants it, and a table that compares it with other ways.

    python tests/bench/relevance.py [--shared DIR] [--tasks t1,t2,...] [--limit N] [--only NAME]

The benchmark and its data live outside the repository; where they are missing, it says so and ends.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from proxy.relevance import filter as relevance  # noqa: E402
from proxy.relevance.messages import Message  # noqa: E402
from tests.bench.encoded import encoder, with_vectors  # noqa: E402
from tests.bench.rivals import BM25, LastMessages, MiniLM, PlainTfidf  # noqa: E402

ROLES = {"developer": "system", "function": "tool"}


def read(messages: list[dict[str, Any]]) -> list[Message]:
    """Return what the filter may know of messages in the chat format."""
    return [_read(message) for message in messages]


def _read(message: dict[str, Any]) -> Message:
    content = message.get("content")
    parts = content if isinstance(content, list) else [{"type": "text", "text": content or ""}]
    calls = message.get("tool_calls") or []
    texts = [part["text"] for part in parts if part.get("type") == "text"]
    texts += [f"{c['function']['name']} {c['function']['arguments']}" for c in calls]
    role = message["role"]
    is_plain = set(message) <= {"role", "content"} and isinstance(content, str)
    written = f"{role}\0{content}" if is_plain else json.dumps(message, sort_keys=True)
    return Message(
        role=ROLES.get(role, role),
        text="\n".join(texts),
        digest=hashlib.blake2b(written.encode(), digest_size=16).digest(),
        name=message.get("name", ""),
        calls=tuple(call["id"] for call in calls),
        answers=(message["tool_call_id"],) if "tool_call_id" in message else (),
        is_plain=is_plain,
    )


class WordsOnly:
    """The product's filter, where no encoder is to be had, with the benchmark's two questions."""

    def select(self, messages: list[dict[str, Any]], query: str, mode: str) -> list[int]:
        """Return the places of the messages that stay."""
        asked = self._read([*messages, {"role": "user", "content": query}])
        return [
            i for i in relevance.indices_to_send(relevance.decide(asked, mode)) if i < len(messages)
        ]

    def score(self, messages: list[dict[str, Any]], query: str) -> list[float]:
        """Return a number for each message, the larger the more it matters."""
        return relevance.ranked(self._read([*messages, {"role": "user", "content": query}]))[:-1]

    def _read(self, messages: list[dict[str, Any]]) -> list[Message]:
        return read(messages)


class Filter(WordsOnly):
    """The filter of a default installation, to which what texts mean is known."""

    def _read(self, messages: list[dict[str, Any]]) -> list[Message]:
        return with_vectors(read(messages))


def scorer_at(shared: Path, name: str = "context_filter") -> ModuleType:
    """Return a benchmark's scorer; where it is missing, say so and end."""
    path = shared / "bench" / name / "score.py"
    if not path.exists():
        sys.exit(f"The benchmark is not at {shared}; name its place with --shared.")
    spec = importlib.util.spec_from_file_location(f"{name}_score", path)
    assert spec
    assert spec.loader
    scorer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(scorer)
    return scorer


def main() -> None:
    """Print the whole table, one filter below the other, from one run."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    options.add_argument("--tasks", default="t1,t2,t3,t4,t5,probes,cost,time")
    options.add_argument("--limit", type=int)
    options.add_argument("--only", default="", help="The filters with this in their name.")
    asked = options.parse_args()
    scorer = scorer_at(asked.shared)
    kinds: list[type] = [LastMessages, PlainTfidf, BM25, WordsOnly]
    if encoder():
        kinds += [MiniLM, Filter]
    # The scorer loads a filter by name; here they are at hand.
    found = {kind.__name__: kind() for kind in kinds if asked.only in kind.__name__}
    scorer.load_filter = lambda name: (found[name].select, getattr(found[name], "score", None))
    data = scorer.Data(str(asked.shared / "data" / "context_filter"))
    run = functools.partial(scorer.run, data=data, tasks=set(asked.tasks.split(",")))
    results = [run(name, modes=scorer.MODES, limit=asked.limit) for name in found]
    print(scorer.table(results, scorer.MODES))


if __name__ == "__main__":
    main()
