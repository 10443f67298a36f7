"""A provider's refusal of a question of our own making, in words for whoever asked it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from proxy.errors import ApiError, UpstreamRefused
from proxy.upstream import relay
from proxy.upstream.deadline import CallDeadline
from proxy.upstream.transport import Answer
from proxy.wire.reported_errors import ReportedError, read_error

# Bounds of reading a refusal: bytes, seconds, and characters of its message passed on.
MOST_BYTES = 64 * 1024
SECONDS = 2.0
MAX_MESSAGE_LENGTH = 300
# Used for a Retry-After that is a date or cannot be read.
UNKNOWN_PAUSE_SECONDS = 3.0
# What fails for a moment, and is asked once more: after so many seconds, or as it says itself.
TRANSIENT_STATUSES = (500, 502, 503, 529)
LONGEST_PAUSE_SECONDS = 2.0
# Each says that the provider has too much to do; 529 is Anthropic's own.
BUSY_STATUSES = (429, 503, 529)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a provider does not answer, by its status or in an event of its stream."""

    status: int
    pause: float = 0.0
    """For how many seconds it asks to be left alone; 0 if it does not say."""
    words: str = ""
    """Its own, without its key."""
    code: str = ""
    is_transient: bool = False
    """Whether it may answer if it is asked once more."""

    def as_error(self) -> ApiError:
        """Return the fault for whoever asked, with the provider's own words where it has some."""
        error = UpstreamRefused(self._message())
        if self.status in BUSY_STATUSES:
            error.headers = (("retry-after", str(round(self.pause) or 5)),)
            error.status = 429 if self.status == 429 else 503
            error.type = "rate_limit_error" if self.status == 429 else "server_error"
        return error

    def _message(self) -> str:
        name = self.code or str(self.status)
        code = f"status {name}" if name.isdecimal() else name
        if self.status in BUSY_STATUSES:
            if not self.words:
                return "The model's provider has too much to do. Wait a moment, then try again."
            note = f" ({code})" if self.code else ""
            return f"The model's provider takes no more for now{note}: {self.words}"
        if self.status >= 500:
            failure = f"The model's provider failed ({code})"
            return f"{failure}: {self.words}" if self.words else f"{failure}. Try again."
        refusal = f"The model's provider refused the request ({code})"
        if self.words:
            return f"{refusal}: {self.words}"
        if self.status == 400:
            return (
                f"{refusal}. The conversation may be too long for it, or the persona's settings "
                "may not suit it."
            )
        return f"{refusal}. Tell who set it up."


async def read_refusal(answer: Answer, deadline: CallDeadline, key: str) -> Refusal:
    """Return why a provider does not answer, by the status that it sent instead."""
    status, pause = answer.status, retry_after(answer)
    words = await error_message(answer, deadline, key) if status < 500 else ""
    is_transient = status in TRANSIENT_STATUSES and pause <= LONGEST_PAUSE_SECONDS
    return Refusal(status, pause, words, is_transient=is_transient)


def reported_refusal(error: ReportedError, key: str, *, has_begun: bool) -> Refusal:
    """Return why a provider ends an answer, by what it says of it in an event.

    An answer that `has_begun` is not asked for again.
    """
    status = error.reported_status
    # No event says for how long to wait, so a rate's limit is tried as an overload is.
    is_transient = not has_begun and status in (429, *TRANSIENT_STATUSES)
    words, code = (_shown(text, key) for text in (error.words, error.reported_code))
    return Refusal(status, 0.0, words, code, is_transient)


def retry_after(answer: Answer) -> float:
    """Return for how many seconds a provider asks to be left alone; 0 if it does not say."""
    try:
        return max(0.0, float(answer.get(b"retry-after") or b"0"))
    except ValueError:
        return UNKNOWN_PAUSE_SECONDS


async def error_message(answer: Answer, deadline: CallDeadline, key: str) -> str:
    """Return what a provider says of its refusal, without its key; empty where nothing is read."""
    body, is_whole = bytearray(), False
    try:
        async with asyncio.timeout(SECONDS):
            # All that has come by then: an answer may be complete before it is read at all.
            while not is_whole and len(body) < MOST_BYTES:
                body += await relay.read(answer, deadline)
                is_whole = answer.is_complete
    except (ApiError, TimeoutError):
        return ""
    return _shown(_message_in(bytes(body)), key)


def _shown(text: str, key: str) -> str:
    """Return a provider's words on one line, not too many, and without its key."""
    text = " ".join(text.split())
    if len(key) >= relay.SHORTEST_MASKED_KEY:
        text = text.replace(key, "***")
    return text if len(text) <= MAX_MESSAGE_LENGTH else f"{text[:MAX_MESSAGE_LENGTH]}…"


def _message_in(body: bytes) -> str:
    """Return the words of a refusal's body; empty where it is none, such as a page."""
    return read_error(body).words if body.lstrip()[:1] in (b"{", b"[") else ""
