"""Anthropic's requests: read one, write the kept messages back.

A request is taken apart without decoding what is not checked: each message stays the bytes that
came, signatures, marks and blocks of new kinds included. Nothing is joined.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Raw

from proxy.wire.anthropic import blocks
from proxy.wire.anthropic.conversation import bound_until, broken_rules, tied
from proxy.wire.anthropic.routes import MESSAGES
from proxy.wire.anthropic.turns import Turn, turn_of
from proxy.wire.dialect import (
    CLIENT_MARKS,
    CONTEXT_MANAGEMENT,
    STATEFUL,
    Prompt,
    Request,
    Route,
)
from proxy.wire.validation import check_names, check_number, decoded

SYSTEM_IS_A_MESSAGE: Final = False
# The API asks for a bound; this one every model of Anthropic's takes.
_MOST_TOKENS: Final = 8192
_VERSION: Final = ((b"anthropic-version", b"2023-06-01"),)
# Changes with each request of Claude Code's, and the provider takes it out.
_BILLING: Final = "x-anthropic-billing-header:"


class _Body(msgspec.Struct):
    """What is read of a request; values of every other field are for the provider to judge."""

    model: Annotated[str, Meta(min_length=1)]
    messages: Annotated[list[Raw], Meta(min_length=1)]
    system: object = None
    tools: Raw = Raw()
    cache_control: object = None
    thread: object = None
    container: object = None
    context_management: object = None


_decoder = msgspec.json.Decoder(_Body)
_fields_decoder = msgspec.json.Decoder(dict[str, Raw])


def read(body: bytes, route: Route, *, most_messages: int) -> Request:
    """Check a body and read its messages.

    Raises InvalidRequest or InvalidMessages, naming what is wrong and where.
    """
    # The walk through nested blocks, too, may find that they are nested too deeply.
    return decoded(partial(_read, most_messages=most_messages), body, messages="messages")


def _read(body: bytes, most_messages: int) -> Request:
    fields = _decoder.decode(body)
    check_names(body)
    check_number(fields.messages, most_messages, field="messages")
    raw = [bytes(message) for message in fields.messages]
    turns = [turn_of(each, place) for place, each in enumerate(raw)]
    bound, reason = _bound(turns, fields.cache_control)
    whole_for = _whole_for(fields, turns)
    tools = bytes(fields.tools)
    return Request(
        body,
        fields.model,
        raw,
        tied(turns, bound),
        _front(tools, fields.system),
        has_tools=tools not in (b"", b"null", b"[]"),
        may_be_filtered=not whole_for,
        kept_for=whole_for or reason,
        identities=[turn.message.digest for turn in turns],
    )


def _bound(turns: list[Turn], mark: object) -> tuple[int, str]:
    # A mark on the whole request means its last block.
    return (len(turns), CLIENT_MARKS) if mark else bound_until(turns)


def _whole_for(fields: _Body, turns: list[Turn]) -> str:
    """Return why nothing at all may be left out; empty where something may."""
    if fields.thread or fields.container:
        return STATEFUL
    is_compacted = any(turn.is_compacted for turn in turns)
    return CONTEXT_MANAGEMENT if fields.context_management or is_compacted else ""


def _front(tools: bytes, system: object) -> bytes:
    """Return tools and instructions in the form that stays the same from turn to turn."""
    if b'"cache_control"' in tools:
        tools = msgspec.json.encode(_unmarked(msgspec.json.decode(tools)))
    if isinstance(system, list):
        system = _unmarked([block for block in system if not _is_billing(block)])
    return tools + (msgspec.json.encode(system) if system else b"")


def _unmarked(listed: object) -> object:
    if not isinstance(listed, list):
        return listed
    return [blocks.unmarked(each) if isinstance(each, dict) else each for each in listed]


def _is_billing(block: object) -> bool:
    text = block.get("text") if isinstance(block, dict) else None
    return isinstance(text, str) and text.startswith(_BILLING)


def prompted(prompt: Prompt) -> tuple[bytes, Route]:
    """Return the body that asks for a streamed answer, and where it goes."""
    body: dict[str, object] = {
        "model": prompt.model,
        "max_tokens": prompt.max_tokens or _MOST_TOKENS,
        # An answer that never came has no text, and the API takes no empty one.
        "messages": [
            {"role": role, "content": text} for role, text in prompt.messages if text.strip()
        ],
        "stream": True,
    }
    if prompt.system:
        body["system"] = prompt.system
    if prompt.temperature is not None:
        body["temperature"] = min(prompt.temperature, 1.0)
    route = Route("", f"/v1/{MESSAGES}", MESSAGES, is_filtered=True, headers=_VERSION)
    return msgspec.json.encode(body), route


def written(request: Request, runs: list[list[int]]) -> bytes | None:
    """Return the request's body with only the messages in `runs`, each as it came.

    None where the rest would lack what must stay, or break a rule of turns that held before.
    """
    kept = [place for run in runs for place in run]
    fields = _fields_decoder.decode(request.body)
    turns = [turn_of(raw, place) for place, raw in enumerate(request.raw_messages)]
    if not _keeps_what_must_stay(request, turns, kept):
        return None
    if broken_rules([turns[place] for place in kept]) - broken_rules(turns):
        return None
    fields["messages"] = Raw(b"[" + b",".join(request.raw_messages[n] for n in kept) + b"]")
    return msgspec.json.encode(fields)


def _keeps_what_must_stay(request: Request, turns: list[Turn], kept: list[int]) -> bool:
    bound, _ = bound_until(turns)
    protected = {n for n, message in enumerate(request.messages) if message.is_protected}
    return protected.issubset(kept) and kept[:bound] == list(range(bound))
