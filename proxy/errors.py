"""What can go wrong on the proxy's way, each with the answer that it becomes.

    ApiError                 500 internal_error
    +- InvalidRequest          400 invalid_request
    |  +- InvalidMessages      400 invalid_messages
    |  +- InvalidTarget        400 invalid_target
    |  +- UnsupportedEncoding  415 unsupported_encoding
    |  +- PromptTooLong        400 context_length_exceeded
    +- AccessEnded             401 access_ended
    +- NotFound                404 not_found
    |  +- ModelNotFound        404 model_not_found
    +- NotAllowed              403
    |  +- ModelNotAllowed      403 model_not_allowed
    |  +- TargetNotAllowed     403 target_not_allowed
    +- MethodNotAllowed        405 method_not_allowed
    +- RequestTooLarge         413 request_too_large
    +- UpgradeRefused          426 upgrade_refused
    +- TooManyAtOnce           429 rate_limit_exceeded
    +- BudgetSpent             429 insufficient_quota
    +- UpstreamUnreachable     502 upstream_unreachable
    +- UpstreamTimeout         504 upstream_timeout
    +- UpstreamRefused         502 upstream_refused; 429 or 503 as the provider said
    +- UpstreamBroken          502 upstream_broken
    +- ModelUnavailable        503 model_unavailable
    +- KeyUnreadable           503 key_unreadable

The base, and the faults of what every app stands on, are `proxy.common.errors`. `wire/` gives an
error its dialect's shape.
"""

from __future__ import annotations

from proxy.common.errors import ApiError, InvalidRequest
from proxy.common.web.content_encoding import SUPPORTED


class InvalidMessages(InvalidRequest):
    code = "invalid_messages"


class InvalidTarget(InvalidRequest):
    code = "invalid_target"
    message = (
        "This target can't be used. Name a public provider by https and port 443, "
        "such as https://api.openai.com/v1, or ask the operator to allow its host and port."
    )


class UnsupportedEncoding(InvalidRequest):
    status, code = 415, "unsupported_encoding"
    message = (
        "The body's encoding can't be read here. Send it as it is, or compressed once by "
        f"{', '.join(SUPPORTED[:-1])} or {SUPPORTED[-1]}, and say so in Content-Encoding."
    )

    def __init__(self) -> None:
        super().__init__(headers=(("accept-encoding", ", ".join(SUPPORTED)),))


class PromptTooLong(InvalidRequest):
    """The built-in model's; clients know it by its code, or by how Anthropic words it."""

    code = "context_length_exceeded"
    message = "prompt is too long"


class AccessEnded(ApiError):
    """The caller was blocked, or signed out everywhere, while the answer came."""

    status, type, code = 401, "authentication_error", "access_ended"
    message = "Your access has ended. Sign in again, or ask the operator."


class NotFound(ApiError):
    status, type, code = 404, "invalid_request_error", "not_found"


class ModelNotFound(NotFound):
    code = "model_not_found"


class NotAllowed(ApiError):
    status, type = 403, "permission_error"


class ModelNotAllowed(NotAllowed):
    code = "model_not_allowed"
    message = "This API key may not use this model. Use one that its list of models names."


class TargetNotAllowed(NotAllowed):
    code = "target_not_allowed"
    message = "This API key may not use this provider. Use one that its list of hosts names."


class MethodNotAllowed(ApiError):
    status, type, code = 405, "invalid_request_error", "method_not_allowed"


class UpgradeRefused(ApiError):
    """For clients that try a WebSocket first: by this status alone they go on at once without."""

    status, type, code = 426, "invalid_request_error", "upgrade_refused"
    message = "There are no WebSockets here. Send the request by HTTP."

    def __init__(self) -> None:
        super().__init__(headers=(("upgrade", "HTTP/1.1"),))


class TooManyAtOnce(ApiError):
    status, type, code = 429, "rate_limit_error", "rate_limit_exceeded"


class BudgetSpent(ApiError):
    status, type, code = 429, "rate_limit_error", "insufficient_quota"


class UpstreamUnreachable(ApiError):
    status, code = 502, "upstream_unreachable"
    message = "The provider could not be reached. Check the target's address, or try again."


class UpstreamTimeout(ApiError):
    status, code = 504, "upstream_timeout"
    message = "The provider did not answer in time. Try again."


class UpstreamRefused(ApiError):
    """For answers of our own making: the proxy passes a provider's refusal on as it is."""

    status, code = 502, "upstream_refused"
    message = "The model's provider refused the request. Tell the operator if it stays."


class UpstreamBroken(ApiError):
    """The provider's answer broke off, or is none."""

    status, code = 502, "upstream_broken"
    message = "The model's answer broke off. Try again."


class ModelUnavailable(ApiError):
    status, code = 503, "model_unavailable"
    message = "The built-in model is not running. Try again in a moment, or tell the operator."
