"""A decoder's errors as answers for the caller."""

from __future__ import annotations

import re
from collections.abc import Callable, Sized
from typing import TypeVar

import msgspec

from proxy.common.errors import InvalidRequest
from proxy.errors import InvalidMessages

Decoded = TypeVar("Decoded")


def decoded(decode: Callable[[bytes], Decoded], body: bytes, *, messages: str) -> Decoded:
    """Return what `decode` makes of a body; raises our errors for what it raises.

    `messages` is the field that holds the messages.
    """
    try:
        return decode(body)
    except msgspec.ValidationError as error:
        raise _explained(str(error), messages) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InvalidRequest("The body is not valid JSON.") from None
    except RecursionError:
        raise InvalidRequest("The body is nested too deeply.") from None


def check_number(items: Sized, most: int, *, field: str) -> None:
    """Refuse more messages than are taken."""
    if len(items) > most:
        raise InvalidMessages(
            f"There are {len(items)} messages; at most {most} are taken.", param=field
        )


def _explained(error: str, messages: str) -> InvalidRequest:
    """Return our error for a validation error of msgspec's ("Expected `x`, got `y` - at `$.z`")."""
    what, _, where = error.partition(" - at ")
    missing = re.search(r"missing required field `(\w+)`", what)
    param = missing[1] if missing else where.strip("`").removeprefix("$").lstrip(".")
    if missing:
        message = f"'{param}' is required."
    elif param:
        message = f"'{param}' is not valid: {what[:1].lower()}{what[1:]}."
    else:
        message = "The body must be a JSON object."
    if param == messages:
        if not missing:
            message = f"'{messages}' must be a non-empty array of messages."
        return InvalidMessages(message, param=param)
    return InvalidRequest(message, param=param or None)
