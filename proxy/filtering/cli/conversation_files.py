"""Conversations as they stand in files: whole request bodies, bare lists, JSON lines."""

from __future__ import annotations

import codecs
import re
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from proxy.common.errors import InvalidRequest
from proxy.errors import InvalidMessages
from proxy.wire import anthropic, gemini, openai
from proxy.wire.dialect import Dialect, Request, Route

MOST_MESSAGES = 1_000_000

# What stands in Anthropic's bodies alone: fields, kinds of blocks, the schema of a tool.
_ANTHROPICS_FIELDS = {"system", "thinking", "stop_sequences", "context_management", "thread"}
_ANTHROPICS_BLOCKS = re.compile(
    rb'"type"\s*:\s*"(?:tool_use|tool_result|server_tool_use|thinking|redacted_thinking)"'
)
_OPENAIS_ROLES = re.compile(rb'"role"\s*:\s*"(?:tool|function|developer)"')
# Of Anthropic's, these decide whether anything may be left out.
_DECISIVE = {"cache_control", "container", "context_management", "thread"}

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


def _is_message(raw: msgspec.Raw) -> bool:
    try:
        fields = _fields.decode(raw)
    except msgspec.ValidationError:
        return False
    return "role" in fields and not {"messages", "contents"} & fields.keys()


def _conversation(raw: bytes, most_messages: int) -> Conversation:
    if raw.lstrip().startswith(b"["):
        raw = b'{"messages":' + raw + b"}"
    try:
        fields = _fields.decode(raw)
    except msgspec.ValidationError:
        raise InvalidMessages("It must be an object with messages, or a list of them.") from None
    name = "contents" if "contents" in fields and "messages" not in fields else "messages"
    if name not in fields:
        raise InvalidMessages("It has no 'messages'.")
    dialect = gemini if name == "contents" else _dialect_of(fields)
    # Only the messages matter: a file may have any other fields, or none.
    rest = {each: fields[each] for each in _DECISIVE & fields.keys()}
    body = msgspec.json.encode({"model": "any", name: fields[name]} | rest)
    route = Route("", "", "", is_filtered=True)
    return Conversation(dialect.read(body, route, most_messages=most_messages), dialect)


def _dialect_of(fields: dict[str, msgspec.Raw]) -> Dialect:
    """Return whose messages these are; plain ones are the same in both dialects."""
    messages = bytes(fields["messages"])
    if _OPENAIS_ROLES.search(messages):
        return openai
    if _ANTHROPICS_FIELDS & fields.keys() or _ANTHROPICS_BLOCKS.search(messages):
        return anthropic
    return openai
