"""Conversations as they stand in files: whole request bodies, bare lists, JSON lines."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from proxy.common.errors import InvalidRequest
from proxy.errors import InvalidMessages
from proxy.wire import anthropic, gemini, openai, responses
from proxy.wire.dialect import Dialect, Request, Route

MOST_MESSAGES = 1_000_000

# What stands in Anthropic's bodies alone: fields, kinds of blocks, the schema of a tool.
_ANTHROPICS_FIELDS = {"system", "thinking", "stop_sequences", "context_management", "thread"}
_ANTHROPICS_BLOCKS = re.compile(
    rb'"type"\s*:\s*"(?:tool_use|tool_result|server_tool_use|thinking|redacted_thinking)"'
)
_OPENAIS_ROLES = re.compile(rb'"role"\s*:\s*"(?:tool|function|developer)"')
# Of Anthropic's, these decide whether anything may be left out.
_DECISIVE = ("cache_control", "container", "context_management", "thread")


class _Item(msgspec.Struct):
    type: str = ""
    content: str | list[msgspec.Raw] | None = None


_items = msgspec.json.Decoder(list[_Item])
_any = msgspec.json.Decoder(msgspec.Raw)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation read in the dialect that it is written in."""

    request: Request
    dialect: Dialect


def read(text: bytes, *, most_messages: int = MOST_MESSAGES) -> list[Conversation]:
    """Return the conversations in a file's text.

    A line of its own can be a conversation, or all lines the messages of one. Raises
    InvalidRequest, saying what is wrong, for what holds none.
    """
    try:
        values = values_in(text.removeprefix(codecs.BOM_UTF8))
        if not values:
            raise InvalidRequest("It is neither JSON nor JSON lines.")
        if all(_is_message(each) for each in values):
            values = [msgspec.Raw(b"[" + b",".join(map(bytes, values)) + b"]")]
        return [_conversation(bytes(each), most_messages) for each in values]
    except RecursionError:
        raise InvalidRequest("It is nested too deeply.") from None


def values_in(text: bytes) -> list[msgspec.Raw]:
    """Return the one JSON value that a text is, or that of each of its lines; none if neither."""
    for read in (lambda: [_any.decode(text)], lambda: _any.decode_lines(text)):
        # A text that is not one JSON value may be JSON lines.
        with suppress(msgspec.DecodeError, UnicodeDecodeError):
            return read()
    return []


def _holds_items(raw: bytes) -> bool:
    """Whether a list holds items of OpenAI's Responses: a call, a text that says which way it went.

    Messages alone are alike in both of its formats.
    """
    with suppress(msgspec.DecodeError, UnicodeDecodeError):
        return any(
            each.type not in ("", "message")
            or (isinstance(each.content, list) and b'put_text"' in b"".join(each.content))
            for each in _items.decode(raw)
        )
    return False


def _format_of(fields: Mapping[str, msgspec.Raw]) -> tuple[Dialect, tuple[str, ...]]:
    """Return the dialect, the field of its messages, and those that tell what may go of them."""
    if "messages" not in fields:
        if "contents" in fields:
            return gemini, ("contents",)
        if "input" in fields:
            return responses, ("input", *responses.STATE)
    elif _is_anthropics(fields):
        return anthropic, ("messages", *_DECISIVE)
    return openai, ("messages",)


def _is_anthropics(fields: Mapping[str, msgspec.Raw]) -> bool:
    """Whether these are Anthropic's messages; plain ones are the same in both dialects."""
    messages = bytes(fields["messages"])
    if _OPENAIS_ROLES.search(messages):
        return False
    return bool(_ANTHROPICS_FIELDS & fields.keys() or _ANTHROPICS_BLOCKS.search(messages))


def _is_message(raw: msgspec.Raw) -> bool:
    try:
        fields = _fields.decode(raw)
    except msgspec.ValidationError:
        return False
    return "role" in fields and not {"messages", "contents", "input"} & fields.keys()


def _conversation(raw: bytes, most_messages: int) -> Conversation:
    if raw.lstrip().startswith(b"["):
        name = b"input" if _holds_items(raw) else b"messages"
        raw = b'{"%b":' % name + raw + b"}"
    try:
        fields = _fields.decode(raw)
    except msgspec.ValidationError:
        raise InvalidMessages("It must be an object with messages, or a list of them.") from None
    dialect, names = _format_of(fields)
    if names[0] not in fields:
        raise InvalidMessages("It has no 'messages'.")
    # Only the messages matter: a file may have any other fields, or none.
    read_fields = {name: fields[name] for name in names if name in fields}
    body = msgspec.json.encode({"model": "any"} | read_fields)
    route = Route("", "", "", is_filtered=True)
    return Conversation(dialect.read(body, route, most_messages=most_messages), dialect)
