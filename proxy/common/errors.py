"""What every app's faults are: each becomes an answer in the shape that its caller reads.

    ApiError                 500 internal_error
    +- InvalidRequest          400 invalid_request
    +- RequestTooLarge         413 request_too_large
    +- KeyUnreadable           503 key_unreadable
    +- Overloaded              503 overloaded

Each app has a tree of its own below these. A message is for the caller: it says what to do, and
holds no key, no address that was resolved and no text of a library.
"""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """A fault that becomes an answer in the shape of the caller's dialect."""

    status = 500
    type = "server_error"
    code = "internal_error"
    message = "Something went wrong on our side. Try again; if it stays, tell the operator."
    details: dict[str, Any] | None = None
    """More for programs, where the shape of an answer has room for it."""

    def __init__(
        self,
        message: str = "",
        *,
        param: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(message or self.message)
        self.message = message or self.message
        self.param = param
        self.headers = headers


class InvalidRequest(ApiError):
    status, type, code = 400, "invalid_request_error", "invalid_request"
    message = "The body must be a JSON object."


class RequestTooLarge(ApiError):
    status, type, code = 413, "invalid_request_error", "request_too_large"


class Overloaded(ApiError):
    """Too many wait already for what this one needs; nothing of it was begun."""

    status, code = 503, "overloaded"
    message = "Too many changes wait to be written. Nothing of yours was begun: try again soon."

    def __init__(self) -> None:
        super().__init__(headers=(("retry-after", "2"),))


class KeyUnreadable(ApiError):
    """A stored key whose encryption key is gone: trying again does not help."""

    status, code = 503, "key_unreadable"
    message = (
        "The key stored for this provider can't be read, because the server's encryption key has "
        "changed. Delete the provider and store it again, or ask the operator to add the old key "
        "to ALCHEMYST_VAULT_KEY."
    )

    def __init__(self) -> None:
        super().__init__(headers=(("x-should-retry", "false"),))
