"""The same question with the same answer, sent again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .exchanges import Conversation
from .messages import Message
from .text.features import Features


def repeated(
    messages: Sequence[Message], features: Mapping[int, Features], conversation: Conversation
) -> dict[int, int]:
    """Return, for each exchange that says nothing new, the exchange that says the same.

    Exchanges are equal when all their messages are plain and differ in case and white space at
    most. The first one stays, so that a provider's prompt cache keeps its prefix; only where a copy
    is the last exchange of all, which always stays, the earlier ones go.
    """
    questions = [features[exchange[0]].text_hash for exchange in conversation.exchanges]
    if len(set(questions)) == len(questions):
        return {}
    alike: dict[tuple[tuple[str, bytes], ...], list[int]] = {}
    for number, exchange in enumerate(conversation.exchanges):
        if _may_be_compared([messages[i] for i in exchange], features[exchange[0]]):
            spoken = tuple((messages[i].role, features[i].text_hash) for i in exchange)
            alike.setdefault(spoken, []).append(number)
    copies = {}
    for numbers in alike.values():
        stays = numbers[-1] if numbers[-1] == conversation.last else numbers[0]
        copies.update({number: stays for number in numbers if number != stays})
    return copies


def _may_be_compared(exchange: Sequence[Message], question: Features) -> bool:
    """Tell whether the exchange is plain text and asks more than "next" or "yes"."""
    return (
        exchange[0].role == "user"
        and not question.is_short
        and all(m.is_plain and not m.is_protected for m in exchange)
    )
