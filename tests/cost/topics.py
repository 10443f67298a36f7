"""A long conversation about one thing after another, in the chat format."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

TOPICS = {
    "rye bread": "flour sourdough oven crust dough yeast loaf bakery knead ferment",
    "chess openings": "pawn bishop knight castle gambit queen rook sicilian tempo endgame",
    "jazz pianists": "chord swing trio melody improvise harmony record rhythm keyboard blues",
    "orchid care": "pot root bark humidity leaf bloom fertilizer window moss stem",
    "bicycle repair": "chain brake wheel spoke gear pedal tyre saddle cable derailleur",
}
EXCHANGES = 8


def turns() -> Iterator[list[dict[str, Any]]]:
    """Yield the messages of each turn, the question last."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": "You are a patient teacher."}]
    for topic, words in TOPICS.items():
        nouns = words.split()
        for number in range(EXCHANGES):
            word = nouns[number]
            question = f"What about the {word} in {topic}, part {number}?"
            yield [*messages, {"role": "user", "content": question}]
            answer = " ".join(
                f"About {topic}, the {word} and the {nouns[(number + n) % 10]} belong together {n}."
                for n in range(12)
            )
            messages.append({"role": "user", "content": question})
            messages.append({"role": "assistant", "content": answer})
