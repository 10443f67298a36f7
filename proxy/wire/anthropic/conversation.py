"""Messages as a conversation: what belongs together, what must stay, and the rules of turns.

Reasoning is signed for all that stands before it, and a cache mark was paid for: nothing before
either is touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from proxy.relevance.messages import Message
from proxy.wire.anthropic.turns import Turn
from proxy.wire.dialect import BOUND_REASONING, CLIENT_MARKS


def bound_until(turns: Sequence[Turn]) -> tuple[int, str]:
    """Return how many of the first messages stay as they are for what stands in them, and why."""
    ends = [number for number, turn in enumerate(turns, 1) if turn.is_marked or turn.is_bound]
    if not ends:
        return 0, ""
    return ends[-1], CLIENT_MARKS if any(turn.is_marked for turn in turns) else BOUND_REASONING


def tied(turns: Sequence[Turn], bound: int) -> list[Message]:
    """Return the messages as the filter takes them, the first `bound` protected."""
    protected = _kept_places(turns).union(range(bound))
    roles = ["", *(turn.message.role for turn in turns), ""]
    return [
        _placed(turn, roles[place], roles[place + 2], is_protected=place in protected)
        for place, turn in enumerate(turns)
    ]


def _placed(turn: Turn, before: str, after: str, *, is_protected: bool) -> Message:
    """Return a turn's message between its neighbours, of which only the roles matter."""
    message = turn.protected if is_protected else turn.message
    role = message.role
    # A user who goes on, or speaks into a loop of tools; most turns are neither.
    if role not in (before, after) and not turn.is_aside:
        return message
    follows_user = role == before == "user"
    is_result = turn.is_aside and (bool(turn.answers) or follows_user)
    return replace(
        message,
        role="tool" if is_result else role,
        # The API reads neighbours of a role as one message: no join of ours is needed.
        is_plain=message.is_plain and role not in (before, after),
        continues=follows_user,
    )


def _kept_places(turns: Sequence[Turn]) -> set[int]:
    """Return the places around system messages, which only stand between such."""
    places = set()
    for place, turn in enumerate(turns):
        if turn.message.role == "system":
            places |= {place - 1, place}
            if place + 1 < len(turns) and turns[place + 1].message.role != "user":
                places.add(place + 1)
    return places


@dataclass(frozen=True, slots=True)
class _Group:
    """Neighbours of one role, which the API reads as one message."""

    role: str
    calls: frozenset[str]
    answers: frozenset[str]
    server_answers: frozenset[str]


def _groups(turns: Sequence[Turn]) -> list[_Group]:
    groups: list[_Group] = []
    for turn in turns:
        new = _Group(turn.message.role, turn.calls, turn.answers, turn.server_answers)
        if groups and groups[-1].role == new.role != "system":
            last = groups.pop()
            new = _Group(
                new.role,
                last.calls | new.calls,
                last.answers | new.answers,
                last.server_answers | new.server_answers,
            )
        groups.append(new)
    return groups


def broken_rules(turns: Sequence[Turn]) -> set[tuple[str, str]]:
    """Return which rules of turns a conversation breaks: each by name, and by what breaks it."""
    groups = _groups(turns)
    broken: set[tuple[str, str]] = set()
    if groups and groups[0].role != "user":
        broken.add(("begins with the user", ""))
    nobody = _Group("", frozenset(), frozenset(), frozenset())
    for first, second in pairwise([nobody, *groups]):
        broken |= {("results follow their calls", id) for id in second.answers - first.calls}
        unanswered = first.calls - (second.answers if second.role == "user" else frozenset())
        broken |= {("calls are answered at once", id) for id in unanswered}
        if second.role == "system" and not (first.role == "user" or first.server_answers):
            broken.add(("a system message follows the user", ""))
        if first.role == "system" and second.role == "user":
            broken.add(("the assistant follows a system message", ""))
    return broken | _broken_pairs(turns)


def _broken_pairs(turns: Sequence[Turn]) -> set[tuple[str, str]]:
    """Return the calls of the provider's tools that lack their result, and the other way round."""
    called: set[str] = set()
    open_calls: set[str] = set()
    broken: set[tuple[str, str]] = set()
    for turn in turns:
        called |= turn.server_calls
        open_calls |= turn.server_calls
        broken |= {("server results follow their calls", id) for id in turn.server_answers - called}
        open_calls -= turn.server_answers
    return broken | {("server calls have their results", id) for id in open_calls}
