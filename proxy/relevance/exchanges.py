"""What belongs together: a user's message, the answers to it, and tool calls with their results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .messages import Message


@dataclass(frozen=True, slots=True)
class Conversation:
    """The messages of a request, taken apart."""

    query: int | None
    """Where the last user message stands: it and all that follows are the current turn."""

    exchanges: tuple[tuple[int, ...], ...]
    """The past exchanges, in the order of their first messages; each stays or goes as a whole."""

    current: frozenset[int]
    """The current turn, and what is tied to it by a tool call."""

    last: int | None
    """Which exchange is the last before the current turn."""


def split_exchanges(messages: Sequence[Message]) -> Conversation:
    """Group `messages` into exchanges; system messages belong to none.

    An exchange begins with each user message that begins a turn. What stands before the first one
    is an exchange too.
    A result that arrives in a later exchange ties that exchange to the one with its call.
    """
    query = max((i for i, m in enumerate(messages) if m.role == "user"), default=None)
    if query is None:
        return Conversation(None, (), frozenset(range(len(messages))), None)
    groups = _tied(messages, _positional(messages, query))
    members: dict[int, list[int]] = {}
    for index, group in enumerate(groups):
        if group is not None:
            members.setdefault(group, []).append(index)
    now = groups[query]
    assert now is not None
    current = frozenset(members.pop(now))
    exchanges = tuple(tuple(indices) for indices in members.values())
    past = [i for i in range(query) if groups[i] is not None and i not in current]
    last = next((n for n, e in enumerate(exchanges) if past and past[-1] in e), None)
    return Conversation(query, exchanges, current, last)


def _positional(messages: Sequence[Message], query: int) -> list[int | None]:
    """Return for each message the number of its exchange by position alone."""
    groups: list[int | None] = []
    number = 0
    for index, message in enumerate(messages):
        if index <= query and message.role == "user" and not message.continues:
            number += 1
        groups.append(None if message.role == "system" and index < query else number)
    return groups


def _tied(messages: Sequence[Message], groups: list[int | None]) -> list[int | None]:
    """Unite exchanges that share a tool call; a reused id means its latest call."""
    leader: dict[int, int] = {}

    def find(group: int) -> int:
        while group in leader:
            group = leader[group]
        return group

    calls: dict[str, int] = {}
    for message, group in zip(messages, groups, strict=True):
        if group is None:
            continue
        for call in message.answers:
            if call in calls:
                first, second = sorted((find(calls[call]), find(group)))
                if first != second:
                    leader[second] = first
        for call in message.calls:
            calls[call] = group
    return [None if group is None else find(group) for group in groups]
