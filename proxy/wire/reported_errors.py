"""What a provider says in its answer of the fault that ends it."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus

import msgspec

from proxy.errors import UpstreamBroken


class ReportedError(UpstreamBroken):
    """What a provider says itself, in an event, of the fault that ends its answer."""

    def __init__(self, words: str, code: str, reported_status: int) -> None:
        super().__init__()
        self.words = words
        self.reported_code = code
        self.reported_status = reported_status
        """The status that a refusal for this reason would have had."""


# Parts of the names by which providers call a refusal that has no number.
_NAMED_STATUSES = {
    429: ("rate_limit", "too_many", "resource_exhausted", "quota"),
    503: ("overloaded", "unavailable", "capacity"),
    401: ("authentication", "invalid_api_key"),
    402: ("billing",),
    403: ("permission",),
    404: ("not_found",),
    413: ("too_large",),
    400: ("invalid_request", "invalid_prompt", "moderation", "content_policy", "context_length"),
}


def read_error(text: bytes) -> ReportedError:
    """Return what an error says, as OpenAI, Anthropic, Gemini, vLLM and gateways write one."""
    try:
        value: object = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ReportedError(text.decode(errors="replace"), "", HTTPStatus.BAD_GATEWAY)
    if isinstance(value, list) and value:
        value = value[0]
    return error_in(value.get("error") or value if isinstance(value, dict) else value)


def error_in(error: object) -> ReportedError:
    """Return what an error object says; it may be a text, too."""
    if isinstance(error, str):
        return ReportedError(error, "", _status_of([error]))
    if not isinstance(error, dict):
        return ReportedError("", "", HTTPStatus.BAD_GATEWAY)
    words = error.get("message")
    codes = [str(error[name]) for name in ("code", "status", "type") if error.get(name)]
    # What calls itself no more than an error names no reason.
    code = next((code for code in codes if code != "error"), "")
    return ReportedError(words if isinstance(words, str) else "", code, _status_of(codes))


def _status_of(codes: Iterable[str]) -> int:
    """Return the status that these codes stand for, by a number or by a name."""
    for code in codes:
        if len(code) == 3 and code.isdecimal() and 400 <= int(code) < 600:
            return int(code)
        for status, names in _NAMED_STATUSES.items():
            if any(name in code.lower().replace(" ", "_") for name in names):
                return status
    return HTTPStatus.BAD_GATEWAY
