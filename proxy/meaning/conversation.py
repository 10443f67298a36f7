"""A conversation's messages with what they mean, where that may save something."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from django.conf import settings

from proxy.meaning import encoder
from proxy.meaning.recollection import Recollection
from proxy.relevance.messages import Message
from proxy.relevance.text import embeddings


class Meanings:
    """What is known of the messages up to the question, but for system messages.

    All of it counts, or none: a message without a vector among others with theirs would seem not to
    matter. Only the last exchange, which may be too new to be known, is left out of that.
    """

    def __init__(self, messages: Sequence[Message], owner_id: int) -> None:
        self._messages = messages
        users = [place for place, each in enumerate(messages) if each.role == "user"]
        *_, self._last, question = users
        self._places = [place for place in range(question + 1) if messages[place].role != "system"]
        texts = [messages[place].text for place in self._places[:-1]]
        texts.append(embeddings.ends_of(messages[question].as_question().text))
        self.recollection = Recollection(owner_id, texts)

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing at all."""
        return not self.recollection.missing

    def attached(self) -> list[Message]:
        """Return the messages with their vectors, or as they are if too little is known."""
        messages = list(self._messages)
        nothing = self.recollection.nothing
        for number, place in enumerate(self._places):
            vector = self.recollection.vector(number)
            if not vector:
                if place < self._last or number == len(self._places) - 1:
                    return list(self._messages)
                vector = nothing
            messages[place] = replace(messages[place], vector=vector)
        return messages


def meanings_of(messages: Sequence[Message], owner_id: int) -> Meanings | None:
    """Return what is known of a conversation; None where words alone decide.

    They do where no encoder is to be had, and where there is little to be saved.
    """
    if not is_worth_encoding(messages) or sum(m.role == "user" for m in messages) < 2:
        return None
    return Meanings(messages, owner_id)


def is_worth_encoding(messages: Sequence[Message]) -> bool:
    """Whether so much is sent that what texts mean may save something, and can be known."""
    if not encoder.is_wanted():
        return False
    return sum(message.tokens for message in messages) >= settings.PROXY_ENCODER_TOKENS


def with_meanings(messages: Sequence[Message], *, seconds: float) -> list[Message]:
    """Return the messages with their vectors, made here and now, within so many seconds.

    For who tries the filter out: nothing of it is kept.
    """
    meanings = meanings_of(messages, owner_id=0)
    if meanings is None:
        return list(messages)
    meanings.recollection.make(time.monotonic() + seconds)
    return meanings.attached()
