"""A proper conversation again, after some of it was dropped: neighbours of one role become one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from .messages import Message
from .text import embeddings

BETWEEN: Final = "\n\n"
"""What stands between the texts of joined messages."""


def joins(messages: Sequence[Message], kept: Sequence[int]) -> list[list[int]]:
    """Return `kept` as runs: the messages of a run become one message, in order.

    Only plain neighbours of one role are joined, users' and assistants' alone. The last user
    message and all that follows it stand by themselves, and where nothing was dropped nothing is
    joined, so that what came in can be passed on byte for byte.
    """
    if len(kept) == len(messages):
        return [[index] for index in kept]
    query = max((i for i in kept if messages[i].role == "user"), default=len(messages))
    runs: list[list[int]] = []
    for index in kept:
        if runs and index < query and _may_join(messages[runs[-1][-1]], messages[index]):
            runs[-1].append(index)
        else:
            runs.append([index])
    return runs


def joined(messages: Sequence[Message]) -> Message:
    """Return the messages of one run as the one that they become."""
    mark = hashlib.blake2b(b"joined", digest_size=16)
    for message in messages:
        mark.update(message.digest)
    return Message(
        role=messages[0].role,
        text=BETWEEN.join(m.text for m in messages),
        digest=mark.digest(),
        tokens=sum(m.tokens for m in messages),
        vector=embeddings.joined([m.vector for m in messages]),
    )


def _may_join(first: Message, second: Message) -> bool:
    return (
        first.role == second.role
        and first.role in ("user", "assistant")
        and first.is_plain
        and second.is_plain
        and first.may_be_joined
        and second.may_be_joined
        and not first.is_protected
        and not second.is_protected
    )
