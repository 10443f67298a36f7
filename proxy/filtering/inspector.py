"""What a model was given, as people read it: each message with its fate, the reason, its tokens.

The inspector (templates/components/inspector.html) shows it, wherever it opens.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from django.utils.formats import number_format
from django.utils.text import Truncator
from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _

from proxy.filtering import decisions
from proxy.filtering.result import FilterResult
from proxy.models import DecisionRecord

EXCERPT_LENGTH = 120
LONGEST_SHOWN = 2000
# Reasons of messages that cannot be excluded.
_FIXED = ("system message", "current turn", "last exchange", "protected exchange")

# Reasons as pages show them; one that is missing here is shown as it is.
_WORDS = {
    "relevant": _("about this"),
    "below threshold": _("not needed"),
    "not sure": _("kept to be sure"),
    "about the conversation": _("the question is about all of it"),
    "system message": _("always kept: system"),
    "current turn": _("the question"),
    "last exchange": _("last exchange"),
    "pinned": _("pinned"),
    "excluded": _("excluded by you"),
    "protected exchange": _("with a message that stays"),
    "standing instruction": _("standing instruction"),
    "open request": _("open request"),
    "not text": _("not text"),
    "the filter took too long": _("the filter took too long"),
    "the filter failed": _("the filter failed"),
    "filter off": _("filter off"),
    "kept for the cache": _("kept for the provider's cache"),
    "moved before the question": _("needed again: moved to right before the question"),
    "sending it again costs more than it is worth": _("dearer to send again than it is worth"),
    "not filtered": _("not filtered"),
    "too short to gain by leaving out": _("all sent: the chat is short"),
    "the provider holds what came before": _("all sent: the provider holds what came before"),
    "the provider leaves out by itself": _("all sent: the provider leaves out by itself"),
    "the provider refused the filtered request": _("sent whole: less of it was refused"),
}
_WITH_PLACE = {
    "duplicate of ": _("says the same as message %s"),
    "exchange of ": _("goes with message %s"),
}


@dataclass(frozen=True, slots=True)
class Message:
    """One message and what became of it."""

    index: int
    role: str
    text: str
    tokens: int
    fate: str
    reason: str
    score: float | None = None
    is_pinned: bool = False
    is_excluded: bool = False

    @property
    def number(self) -> int:
        return self.index + 1

    @property
    def is_dropped(self) -> bool:
        return self.fate == "dropped"

    @property
    def can_be_pinned(self) -> bool:
        return self.is_dropped and not self.is_excluded

    @property
    def can_be_excluded(self) -> bool:
        return not self.is_dropped and not self.is_pinned and self.base_reason not in _FIXED

    @property
    def clipped_text(self) -> str:
        """As much of the text as a page shows."""
        if len(self.text) <= LONGEST_SHOWN:
            return self.text or gettext("(no text)")
        return f"{self.text[:LONGEST_SHOWN]}…"

    @property
    def base_reason(self) -> str:
        """The reason in the filter's own word, without what it was joined with."""
        return self.reason.partition(";")[0]

    @property
    def excerpt(self) -> str:
        """The first words, on one line."""
        words = " ".join(self.text[: 4 * EXCERPT_LENGTH].split())
        return Truncator(words).chars(EXCERPT_LENGTH) or gettext("(no text)")

    @property
    def explanation(self) -> str:
        """The reason, and the score where it was what decided."""
        words = _in_words(self.base_reason)
        if self.score is None or self.base_reason not in ("relevant", "below threshold"):
            return words
        return f"{words}, {number_format(self.score, 2)}"


@dataclass(frozen=True, slots=True)
class InspectorView:
    """The messages of a request and the tokens of what was sent of them."""

    messages: list[Message]
    tokens_before: int
    tokens_sent: int

    @property
    def tokens_left_out(self) -> int:
        return self.tokens_before - self.tokens_sent

    @property
    def kept_count(self) -> int:
        return sum(not message.is_dropped for message in self.messages)

    @property
    def share(self) -> int:
        """How much was sent, in percent."""
        return round(100 * self.tokens_sent / self.tokens_before) if self.tokens_before else 100


def inspector_view(
    result: FilterResult, *, pinned: Collection[int] = (), excluded: Collection[int] = ()
) -> InspectorView:
    """Return what becomes of a request, for people."""
    messages = [
        Message(
            index=decision.index,
            role=decision.role,
            text=result.request.messages[decision.index].text,
            tokens=decision.tokens,
            fate=decision.fate,
            reason=decision.reason,
            score=decision.score,
            is_pinned=decision.index in pinned,
            is_excluded=decision.index in excluded,
        )
        for decision in decisions.decisions_of(result)
    ]
    return InspectorView(messages, result.tokens_before, result.tokens_after)


def recorded_view(record: DecisionRecord, *, with_texts: bool = True) -> InspectorView:
    """Return what became of a recorded request, with its texts as far as they were kept."""
    messages = [
        Message(
            index=message["index"],
            role=message["role"],
            text=message.get("text", "") if with_texts else f"({message['role']})",
            tokens=message["tokens"],
            fate=message["fate"],
            reason=message["reason"],
            score=message["score"],
        )
        for message in record.decisions()
    ]
    return InspectorView(messages, record.tokens_before, record.tokens_after)


def _in_words(reason: str) -> str:
    if reason in _WORDS:
        return gettext(_WORDS[reason])
    for begin, words in _WITH_PLACE.items():
        place = reason.removeprefix(begin)
        if place != reason and place.isdecimal():
            return gettext(words) % (int(place) + 1)
    return gettext(reason)
