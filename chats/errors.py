"""What can go wrong in the chats, each with the answer that it becomes.

    ApiError                 (of proxy.common.errors; the providers' faults: proxy.errors)
    +- NoSuchChat              404 not_found
    +- NoSuchMessage           404 not_found
    +- NoSuchAnswer            404 not_found
    +- BadQuestion             400 invalid_request
    |  +- UnknownPersona       400 unknown_persona
    +- ScopeRefused            403 insufficient_scope
    +- Contradiction           409 conflict
    |  +- AnswerRunning        409 answer_running
    +- TooManyAnswers          429 rate_limit_exceeded
    +- Restarting              503 restarting

Somebody else's chat is not found, in the same words as one that never was.
"""

from __future__ import annotations

from typing import Any

from proxy.common.errors import ApiError


class ChatError(ApiError):
    """A fault with details for programs."""

    def __init__(self, message: str = "", *, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.details = details


class NoSuchChat(ChatError):
    status, type, code = 404, "invalid_request_error", "not_found"
    message = "There is no such chat."


class NoSuchMessage(ChatError):
    status, type, code = 404, "invalid_request_error", "not_found"
    message = "There is no such message in this chat."


class NoSuchAnswer(ChatError):
    status, type, code = 404, "invalid_request_error", "not_found"
    message = "There is no such replay session."


class BadQuestion(ChatError):
    status, type, code = 400, "invalid_request_error", "invalid_request"


class UnknownPersona(BadQuestion):
    code = "unknown_persona"


class ScopeRefused(ChatError):
    status, type, code = 403, "permission_error", "insufficient_scope"


class Contradiction(ChatError):
    status, type, code = 409, "conflict_error", "conflict"


class AnswerRunning(Contradiction):
    code = "answer_running"
    message = "An answer is being written in this chat. Wait for its end, or stop it."


class TooManyAnswers(ChatError):
    status, type, code = 429, "rate_limit_error", "rate_limit_exceeded"

    def __init__(self, running: int) -> None:
        super().__init__(f"You have {running} answers under way. Wait until one has ended.")
        self.headers = (("retry-after", "2"),)


class Restarting(ChatError):
    status, code = 503, "restarting"
    message = "The server is restarting. Try again in a moment."

    def __init__(self) -> None:
        super().__init__()
        self.headers = (("retry-after", "2"),)
