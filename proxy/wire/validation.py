"""A decoder's errors as answers for the caller, and bodies that every reader reads alike."""

from __future__ import annotations

import re
from collections.abc import Callable, Sized
from typing import TypeVar

import msgspec

from proxy.common.errors import InvalidRequest
from proxy.errors import InvalidMessages

Decoded = TypeVar("Decoded")

_WRONG_TYPE = re.compile(r"Expected `([^`]+)`, got `([^`]+)`")
# Types as OpenAI calls them.
_TYPES = {
    "str": "a string",
    "bool": "a boolean",
    "int": "an integer",
    "float": "a decimal",
    "array": "an array",
    "object": "an object",
}
_fields_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_name_decoder = msgspec.json.Decoder(str)
# From the end of a member to the next one's value.
_TO_VALUE = re.compile(rb'\s*[{,]\s*("[^"\\]*+(?:\\.[^"\\]*+)*+")\s*:\s*')


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


def check_names(body: bytes) -> None:
    """Refuse a JSON object that names a field twice, whatever its objects within do.

    Of two fields parsers take the first or the last, and Go's read names whatever their case: the
    model that we check must be the one that the provider reads. The members, of which the decoder
    has the last of each name, are looked for one after the other; a doubled one is in the way.
    """
    fields = _fields_decoder.decode(body)
    position, name = 0, ""
    for expected, value in fields.items():
        start = _TO_VALUE.match(body, position)
        name = _name_decoder.decode(start[1]) if start else name
        if not start or name != expected or not body.startswith(value, start.end()):
            raise _doubled(name)
        position = start.end() + len(memoryview(value))
    if rest := _TO_VALUE.match(body, position):
        raise _doubled(_name_decoder.decode(rest[1]))
    if body[position:].strip() != b"}":
        # A number that goes on, as 12 does after 1.
        raise _doubled(name)
    if len(set(map(str.casefold, fields))) < len(fields):
        raise InvalidRequest("Two fields of the body have names that differ in case alone.")


def _doubled(name: str) -> InvalidRequest:
    shown = name[:100]
    return InvalidRequest(f"'{shown}' is given more than once.", param=shown)


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
        message = _invalid(param, what)
    else:
        message = "The body must be a JSON object."
    if param == messages:
        if not missing:
            message = f"'{messages}' must be a non-empty array of messages."
        return InvalidMessages(message, param=param)
    return InvalidRequest(message, param=param or None)


def _invalid(param: str, what: str) -> str:
    """Return the words for a field that is wrong, as OpenAI has them."""
    match = _WRONG_TYPE.fullmatch(what)
    if not match:
        is_empty = what.endswith("of length >= 1")
        return f"'{param}' must not be empty." if is_empty else f"Invalid value for '{param}'."
    types = [name for name in match[1].split(" | ") if name != "null"]
    expected = " or ".join(_TYPES.get(name, name) for name in types)
    actual = _TYPES.get(match[2], match[2])
    return f"Invalid type for '{param}': expected {expected}, but got {actual} instead."
