"""The steps in their order, and a verdict for each message.

Why the filter's own result stays as it is: one assessment of a conversation names what to
drop, for any level of need, and a higher level never names less. A mode assesses again
until nothing is named, so that in its result neither its own assessment nor that of any milder mode
names anything.

Why a stricter mode never keeps more: should a milder mode end without something that the stricter
one keeps, which is rare, it drops nothing at all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, replace

from . import modes
from .assessment import Assessment
from .merge_turns import joined, joins
from .messages import Message
from .text.features import memory


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a message, and why."""

    index: int
    fate: str
    """`kept`, `dropped` or `protected`."""

    reason: str
    score: float | None = None
    """How likely the question needs its exchange, where that was worked out; more of what binds."""


class Verdicts(list[Verdict]):
    """A verdict for each message, how sure it is that nothing needed goes, and by what."""

    def __init__(
        self, verdicts: Iterable[Verdict], confidence: float = 1.0, meaning: str = ""
    ) -> None:
        super().__init__(verdicts)
        self.confidence = confidence
        self.meaning = meaning
        """By what texts were compared: `vectors`, `words` alone; empty where nothing was."""


def decide(
    messages: Sequence[Message],
    mode: str,
    *,
    pinned: Collection[int] = (),
    excluded: Collection[int] = (),
    deadline: float | None = None,
) -> Verdicts:
    """Return a verdict for each message, judged by what the last user message asks.

    `pinned` messages stay and `excluded` ones go, each with its whole exchange; what every
    conversation needs stays all the same. Raises `TooSlow` after `deadline`, an instant of
    `time.monotonic()`.
    """
    if mode == "off":
        return Verdicts(Verdict(index, "kept", "filter off") for index in range(len(messages)))
    roles = [message.role for message in messages]
    if roles.count("user") < 2 and not excluded and not pinned:
        return Verdicts(_with_one_question(roles))
    narrowing = _Narrowing(messages, pinned, excluded, deadline)
    return narrowing.verdicts(narrowing.dropped_in(mode), mode)


def _with_one_question(roles: list[str]) -> list[Verdict]:
    """Return the verdicts where at most one exchange stands before the question: nothing goes."""
    query = roles.index("user") if "user" in roles else 0
    before = {"system": "system message"}
    return [
        Verdict(index, "protected", before.get(role, "last exchange"))
        if index < query
        else Verdict(index, "protected", "current turn")
        for index, role in enumerate(roles)
    ]


def indices_to_send(verdicts: Iterable[Verdict]) -> list[int]:
    """Return the places of the messages that stay."""
    return [v.index for v in verdicts if v.fate != "dropped"]


def ranked(messages: Sequence[Message]) -> list[float]:
    """Return a score for each message by itself; copies and the current turn have none: 0."""
    ranks = Assessment(messages, memory(), None).ranks
    return [ranks.get(index, 0.0) for index in range(len(messages))]


class _Narrowing:
    """A conversation on its way to what is left of it, with what was dropped and why."""

    def __init__(
        self,
        messages: Sequence[Message],
        pinned: Collection[int],
        excluded: Collection[int],
        deadline: float | None,
    ) -> None:
        self._pinned = frozenset(pinned)
        self._messages = list(messages)
        for index in self._pinned:
            self._messages[index] = replace(messages[index], is_protected=True)
        self._deadline = deadline
        self._memory = memory()
        self._whole = self._assess(range(len(messages)))
        self._excluded: dict[int, Verdict] = {}
        unwanted = self._whole.assessment.excluded(frozenset(excluded)) if excluded else {}
        if unwanted:
            gone = self._verdicts_on(self._whole, unwanted)
            unwanted_verdicts = {
                i: Verdict(i, "dropped", "excluded") for i in gone if i in excluded
            }
            self._excluded = gone | unwanted_verdicts
            self._whole = self._assess(sorted(self._whole.indices - gone.keys()))

    def dropped_in(self, mode: str) -> dict[int, Verdict]:
        """Return what is dropped in `mode`: nothing that a stricter one keeps."""
        dropped = self._drop(mode)
        stricter = modes.STRICTER.get(mode)
        if dropped and stricter and not self._drops(stricter, dropped.keys()):
            return {}
        return dropped

    def verdicts(self, dropped: dict[int, Verdict], mode: str) -> Verdicts:
        """Return a verdict for each message of the whole conversation."""
        verdicts = dropped | self._excluded
        assessment = self._whole.assessment
        statuses = assessment.statuses(modes.THRESHOLDS[mode])
        for run, (fate, reason, score) in zip(self._whole.runs, statuses, strict=True):
            for index in run:
                why = "pinned" if index in self._pinned else reason
                verdicts.setdefault(index, Verdict(index, fate, why, score))
        level = self._level(assessment, mode) if dropped else 0.0
        return Verdicts(
            (verdicts[index] for index in range(len(self._messages))),
            assessment.confidence(level),
            assessment.meaning,
        )

    def _drops(self, mode: str, indices: Set[int]) -> bool:
        """Tell whether `mode` drops all of `indices`; the strictest looks no further than that."""
        if mode in modes.STRICTER:
            return indices <= self.dropped_in(mode).keys()
        return any(indices <= dropped.keys() for dropped in self._steps(mode))

    def _drop(self, mode: str) -> dict[int, Verdict]:
        """Drop what `mode` drops until nothing more goes."""
        *_, dropped = self._steps(mode)
        return dropped

    def _steps(self, mode: str) -> Iterator[dict[int, Verdict]]:
        """Yield what `mode` drops, first nothing, then with each assessment more."""
        step = self._whole
        dropped: dict[int, Verdict] = {}
        yield dropped
        may_last_go = mode in modes.LAST_MAY_GO
        while gone := step.assessment.dropped(
            self._level(step.assessment, mode), may_last_go=may_last_go
        ):
            dropped = dropped | self._verdicts_on(step, gone)
            yield dropped
            step = self._assess(sorted(self._whole.indices - dropped.keys()))

    @staticmethod
    def _level(assessment: Assessment, mode: str) -> float:
        return assessment.level(modes.THRESHOLDS[mode], modes.MOST_RISK[mode])

    def _assess(self, stays: Sequence[int]) -> _Step:
        runs = joins(self._messages, stays)
        messages = [
            self._messages[run[0]] if len(run) == 1 else joined([self._messages[i] for i in run])
            for run in runs
        ]
        return _Step(runs, frozenset(stays), Assessment(messages, self._memory, self._deadline))

    def _verdicts_on(self, step: _Step, numbers: dict[int, str]) -> dict[int, Verdict]:
        """Return the verdicts on the messages of the exchanges `numbers`."""
        gone = {}
        exchanges = step.assessment.conversation.exchanges
        for number, reason in numbers.items():
            score = step.assessment.shares.get(number)
            for offset, place in enumerate(exchanges[number]):
                why = reason
                if number in step.assessment.copies:
                    original = exchanges[step.assessment.copies[number]][offset]
                    why = f"duplicate of {step.runs[original][0]}"
                for index in step.runs[place]:
                    gone[index] = Verdict(index, "dropped", why, score)
        return gone


@dataclass(frozen=True, slots=True)
class _Step:
    """One assessment: the messages that are left, as the runs that they are joined to."""

    runs: list[list[int]]
    indices: frozenset[int]
    assessment: Assessment
