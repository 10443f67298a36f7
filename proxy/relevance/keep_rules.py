"""What stays whatever it scores: rules, open requests, corrections, the latest version."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from .text.features import Features
from .text.tfidf import Floats
from .topics import Topics

LONGEST_REQUEST: Final = 400
"""Characters of a request that leaves open what it is about."""

LEAST_CHAIN: Final = 0.12
"""How likely the conversation must have gone on with a request, for it to be open still."""

MOST_LINK: Final = 0.7
"""How likely a request may go on with what stands before it; a task is set where a topic begins."""

SAME_THING: Final = 0.8
"""Two exchanges as alike as this are versions of one thing."""


_MAY_BE_STALE: Final = ("fact", "state", "correction")


def reasons(exchanges: Sequence[Sequence[Features]], topics: Topics) -> dict[int, str]:
    """Return the exchanges that stay for what they do, with the word for it."""
    stays = {
        number: "standing instruction"
        for number, exchange in enumerate(exchanges)
        if exchange[0].sets_a_rule
    }
    request = _open_request(exchanges, topics)
    if request is not None:
        stays.setdefault(request, "open request")
    return stays


def apply_keep_rules(
    needs: Floats,
    exchanges: Sequence[Sequence[Features]],
    topics: Topics,
    kinds: Sequence[str],
) -> Floats:
    """Return `needs` so that what is kept is kept with its correction and its latest version."""
    versions = np.tril(topics.likeness >= SAME_THING, -1) * needs
    needs = np.maximum(needs, versions.max(axis=1))
    may_be_stale = np.array([kind in _MAY_BE_STALE for kind in kinds])
    for number in range(1, len(exchanges)):
        if exchanges[number][0].corrects:
            needs[number - 1 : number + 1] = needs[number - 1 : number + 1].max()
        if kinds[number] == "correction":
            # What it corrects often shares no word with it, so it stays with all that it may mean.
            stale = may_be_stale[:number].copy()
            stale[np.argmax(topics.likeness[number, :number])] = True
            needs[number] = max(needs[number], needs[:number][stale].max())
    return needs


def _open_request(exchanges: Sequence[Sequence[Features]], topics: Topics) -> int | None:
    """Return the latest request that was answered by a question about what it is for.

    "Translate a sentence." "Which one?": each later message may name the next sentence.
    """
    chain = 1.0
    for number in range(len(exchanges) - 1, -1, -1):
        question, answer = exchanges[number][0], exchanges[number][-1]
        if answer is not question and answer.asks_back and question.length < LONGEST_REQUEST:
            begins = topics.links[number] <= MOST_LINK
            return number if begins and chain >= LEAST_CHAIN else None
        chain *= topics.links[number]
    return None
