"""Texts that an answer should rest on: cut into passages, and the best that fit are chosen.

Similarity is the relevance engine's; but passages are no conversation: each is compared alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from proxy.common.lru import digest_of
from proxy.filtering.cpu_threads import run_in_thread_if_large
from proxy.meaning import encoder
from proxy.meaning.recollection import Recollection
from proxy.relevance.messages import Message
from proxy.relevance.passages import alike
from proxy.relevance.text import embeddings
from proxy.wire import token_count

# About two hundred tokens: small enough to choose from, large enough to say something.
PASSAGE_CHARACTERS = 900
# More are not compared: of long texts passages are longer.
MOST_PASSAGES = 1500
# The share of the best passage's score that another one needs.
SHARE = 0.2
# A model takes seconds to answer, so what passages mean may take a part of one.
ENCODER_SECONDS = 0.5

Passage = tuple[int, int, str]
"""The number of its text, its place there, and what it says."""


@dataclass(frozen=True, slots=True)
class ContextText:
    """Something that may help to answer."""

    content: str
    title: str = ""
    kind: str = "context"
    """`context` for what the caller gave, `chat` for a message of an earlier chat."""
    chat_id: str = ""
    message_id: str = ""


@dataclass(slots=True)
class SelectedText:
    """One text and what was selected of it; `number` is how the prompt and the answer name it."""

    text: ContextText
    score: float = 0.0
    tokens: int = 0
    passages: list[tuple[int, str]] | None = None
    number: int = 0

    @property
    def is_used(self) -> bool:
        return bool(self.passages)

    def quoted(self) -> str:
        """Return how the prompt quotes it: the selected passages in their order."""
        passages = " […] ".join(passage for _, passage in sorted(self.passages or []))
        title = f" {self.text.title}" if self.text.title else ""
        return f"[{self.number}]{title}\n{passages}"

    def to_json(self) -> dict[str, object]:
        """Return it as a client and the inspector get it."""
        fields: dict[str, object] = {
            "number": self.number,
            "kind": self.text.kind,
            "title": self.text.title,
            "score": round(self.score, 4),
            "tokens": self.tokens,
            "used": self.is_used,
        }
        if self.text.chat_id:
            fields |= {"chatId": self.text.chat_id, "messageId": self.text.message_id}
        return fields


async def select_passages(
    texts: Sequence[ContextText], question: str, token_budget: int, *, owner_id: int
) -> list[SelectedText]:
    """Return for each text which of its passages fit into the budget, best first.

    Where no passage has anything in common with the question, the first ones are taken: whoever
    gave them knows why.
    """
    size = sum(len(text.content) for text in texts)
    search = await run_in_thread_if_large(size, Search, texts, question, owner_id)
    if encoder.is_wanted():
        await search.recollection.complete(ENCODER_SECONDS)
    return await run_in_thread_if_large(size, search.select, token_budget)


class Search:
    """A question, and all passages that may answer it."""

    def __init__(self, texts: Sequence[ContextText], question: str, owner_id: int) -> None:
        self.texts = texts
        self.passages = _cut(texts)
        self._question = question
        passages = [passage for _, _, passage in self.passages]
        self.recollection = Recollection(owner_id, [*passages, embeddings.ends_of(question)])

    def select(self, token_budget: int) -> list[SelectedText]:
        """Return for each text which of its passages fit, by what is known of their meanings."""
        vector = self.recollection.vector
        passages = [
            _message(passage, vector(place)) for place, (_, _, passage) in enumerate(self.passages)
        ]
        question = _message(self._question, vector(len(passages)))
        return _select(self.texts, self.passages, alike(passages, question), token_budget)


def _cut(texts: Sequence[ContextText]) -> list[Passage]:
    size = max(PASSAGE_CHARACTERS, 2 * sum(len(text.content) for text in texts) // MOST_PASSAGES)
    return [
        (number, order, passage)
        for number, text in enumerate(texts)
        for order, passage in enumerate(_passages(text.content, size))
    ]


def _select(
    texts: Sequence[ContextText],
    passages: Sequence[Passage],
    scores: Sequence[float],
    token_budget: int,
) -> list[SelectedText]:
    selected = [SelectedText(text) for text in texts]
    for (number, _, _), score in zip(passages, scores, strict=True):
        selected[number].score = max(selected[number].score, score)
    ranked = sorted(range(len(passages)), key=lambda index: (-scores[index], index))
    least = SHARE * max(scores, default=0.0)
    candidates = [index for index in ranked if scores[index] > 0 and scores[index] >= least]
    taken: set[str] = set()
    for index in candidates or range(len(passages)):
        number, order, passage = passages[index]
        size = token_count.count(passage)
        if size > token_budget or passage in taken:
            continue
        taken.add(passage)
        token_budget -= size
        choice = selected[number]
        choice.tokens += size
        choice.passages = [*(choice.passages or []), (order, passage)]
    for number, choice in enumerate((each for each in selected if each.is_used), start=1):
        choice.number = number
    return selected


def quoted(choices: Iterable[SelectedText]) -> str:
    """Return the part of the prompt that holds what was selected; empty if nothing was."""
    used = [choice.quoted() for choice in choices if choice.is_used]
    return "\n\n".join(used)


def _message(text: str, vector: bytes) -> Message:
    digest = digest_of(text.encode("utf-8", "replace"))
    return Message(role="user", text=text, digest=digest, vector=vector)


def _passages(text: str, size: int) -> list[str]:
    """Cut a text at its paragraphs, and long paragraphs at their sentences."""
    passages: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text):
        sentences = [paragraph]
        if len(paragraph) > size:
            sentences = re.split(r"(?<=[.!?])\s+|\n", paragraph)
        for sentence in sentences:
            for start in range(0, len(sentence), size):
                part = sentence[start : start + size].strip()
                if not part:
                    continue
                if passages and len(passages[-1]) + len(part) < size:
                    passages[-1] += "\n" + part
                else:
                    passages.append(part)
    return passages
