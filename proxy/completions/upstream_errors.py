"""A provider's refusal of a question of our own making, in words for whoever asked it."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from proxy.errors import ApiError, UpstreamRefused
from proxy.upstream import relay
from proxy.upstream.deadline import CallDeadline
from proxy.upstream.transport import Answer

# Bounds of reading a refusal: bytes, seconds, and characters of its message passed on.
MOST_BYTES = 64 * 1024
SECONDS = 2.0
MAX_MESSAGE_LENGTH = 300
# Used for a Retry-After that is a date or cannot be read.
UNKNOWN_PAUSE_SECONDS = 3.0


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
    message = " ".join(_message_in(bytes(body)).split())
    if len(key) >= relay.SHORTEST_MASKED_KEY:
        message = message.replace(key, "***")
    return message if len(message) <= MAX_MESSAGE_LENGTH else f"{message[:MAX_MESSAGE_LENGTH]}…"


def error_for(status: int, pause: float, message: str) -> ApiError:
    """Return the fault for a status, with the provider's own words where it has some."""
    if status in (429, 503):
        usual = "The model's provider has too much to do. Wait a moment, then try again."
        error = UpstreamRefused(
            f"The model's provider takes no more for now: {message}" if message else usual,
            headers=(("retry-after", str(round(pause) or 5)),),
        )
        error.status = status
        error.type = "rate_limit_error" if status == 429 else "server_error"
        return error
    if status >= 500:
        return UpstreamRefused(f"The model's provider failed (status {status}). Try again.")
    refused = f"The model's provider refused the request (status {status})"
    if message:
        return UpstreamRefused(f"{refused}: {message}")
    if status == 400:
        return UpstreamRefused(
            f"{refused}. The conversation may be too long for it, or the persona's settings may "
            "not suit it."
        )
    return UpstreamRefused(f"{refused}. Tell who set it up.")


def _message_in(body: bytes) -> str:
    """Return the words of an error as OpenAI, Gemini, Ollama and vLLM write them."""
    try:
        value: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    if isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, dict):
        value = value.get("error", value)
    if isinstance(value, dict):
        value = value.get("message")
    return value if isinstance(value, str) else ""
