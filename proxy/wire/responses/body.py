"""Requests for a response: read one, write the kept items back.

A request is taken apart without decoding its items: each stays the bytes that came, so that what
is kept is sent on byte for byte, ids and encrypted reasoning included.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Raw

from proxy.common.errors import InvalidRequest
from proxy.errors import InvalidMessages
from proxy.relevance.messages import Message
from proxy.wire.dialect import (
    BOUND_REASONING,
    CLIENT_MARKS,
    STATEFUL,
    Prompt,
    Request,
    Route,
)
from proxy.wire.openai.body import protect_last_naming_json
from proxy.wire.responses.items import (
    COMPACTIONS,
    REASONING,
    REFERENCE,
    Item,
    item_of,
    keeps_rules,
)
from proxy.wire.responses.routes import RESPONSES
from proxy.wire.validation import check_names, check_number, decoded

SYSTEM_IS_A_MESSAGE: Final = False
# Fields that tell what may go of an input.
STATE: Final = (
    "prompt",
    "previous_response_id",
    "conversation",
    "context_management",
    "reasoning",
    "text",
)
_ABSENT: Final = (b"", b"null", b"[]", b'""')


class _Body(msgspec.Struct):
    """What is checked of a request; every other field passes untouched."""

    input: str | list[Raw] | None = None
    model: str | None = None
    prompt: Raw = Raw()
    previous_response_id: Raw = Raw()
    conversation: Raw = Raw()
    context_management: Raw = Raw()
    instructions: Raw = Raw()
    tools: Raw = Raw()
    text: Raw = Raw()
    reasoning: Raw = Raw()

    def state(self) -> tuple[Raw, ...]:
        """Return the fields by which the provider holds, or makes, another history than this."""
        return self.prompt, self.previous_response_id, self.conversation, self.context_management


class _Reasoning(msgspec.Struct):
    context: str | None = None


_decoder = msgspec.json.Decoder(_Body)
_fields_decoder = msgspec.json.Decoder(dict[str, Raw])
_reasoning_decoder = msgspec.json.Decoder(_Reasoning)


def read(body: bytes, route: Route, *, most_messages: int) -> Request:
    """Check a body and read its items.

    Raises InvalidRequest or InvalidMessages, naming what is wrong and where.
    """
    fields = decoded(_decoder.decode, body, messages="input")
    check_names(body)
    is_stateful = any(map(_is_given, fields.state()))
    if not fields.model and not _is_given(fields.prompt):
        raise InvalidRequest("'model' is required.", param="model")
    if not fields.input and not is_stateful:
        raise InvalidMessages("'input' must be a text or a non-empty array.", param="input")
    raw = _raw_items(fields.input, most_messages)
    items = [item_of(each, place) for place, each in enumerate(raw)]
    is_stateful = is_stateful or any(item.kind in (REFERENCE, *COMPACTIONS) for item in items)
    messages = [item.message for item in items]
    kept_for = STATEFUL if is_stateful else _protect(messages, items, fields.reasoning)
    if b"json_object" in bytes(fields.text):
        protect_last_naming_json(messages)
    is_kept = bool(kept_for) and _has_no_free_exchange(messages)
    return Request(
        body,
        fields.model or "",
        raw,
        messages,
        front=b"".join(map(bytes, (fields.instructions, fields.tools, fields.text))),
        has_tools=_is_given(fields.tools),
        may_be_filtered=not (is_stateful or is_kept),
        kept_for=kept_for,
    )


def _is_given(value: Raw) -> bool:
    return bytes(value) not in _ABSENT


def _raw_items(value: str | list[Raw] | None, most: int) -> list[bytes]:
    """Return the items as they came; a text is what a user says."""
    if isinstance(value, list):
        check_number(value, most, field="input")
        return [bytes(item) for item in value]
    return [msgspec.json.encode({"role": "user", "content": value})] if value else []


def _protect(messages: list[Message], items: Sequence[Item], reasoning: Raw) -> str:
    """Protect what must stay as it is up to some item, and return what more than usual is for."""
    answers = (place for place, each in enumerate(messages) if each.role in ("assistant", "tool"))
    marks = [place for place, item in enumerate(items) if item.is_marked]
    bound = [place for place, item in enumerate(items) if item.kind == REASONING]
    if bound and _is_of_this_turn(reasoning):
        shown = _question(messages)
        bound = [place for place in bound if place >= shown]
    end = max(next(answers, len(items)), *(place + 1 for place in marks[-1:] + bound[-1:]), 0)
    messages[:end] = [item.protected for item in items[:end]]
    if marks:
        return CLIENT_MARKS
    return BOUND_REASONING if bound else ""


def _question(messages: Sequence[Message]) -> int:
    users = (place for place, message in enumerate(messages) if message.role == "user")
    return max(users, default=0)


def _is_of_this_turn(reasoning: Raw) -> bool:
    """Whether the model is shown no reasoning of earlier turns, so that none is bound to them."""
    try:
        return _reasoning_decoder.decode(reasoning).context == "current_turn"
    except msgspec.MsgspecError:
        return False


def _has_no_free_exchange(messages: Sequence[Message]) -> bool:
    """Whether each exchange before the question begins with what must stay, and so stays whole."""
    past = messages[: _question(messages)]
    return all(message.is_protected for message in past if message.role == "user")


def prompted(prompt: Prompt) -> tuple[bytes, Route]:
    """Return the body that asks for a streamed answer, and where it goes."""
    body: dict[str, object] = {
        "model": prompt.model,
        "input": [{"role": role, "content": text} for role, text in prompt.messages],
        "stream": True,
        "store": False,
    }
    chosen = {
        "instructions": prompt.system or None,
        "temperature": prompt.temperature,
        "max_output_tokens": prompt.max_tokens or None,
    }
    body |= {name: value for name, value in chosen.items() if value is not None}
    return msgspec.json.encode(body), Route(
        "", f"/{RESPONSES}", RESPONSES, "POST", is_filtered=True
    )


def written(request: Request, runs: list[list[int]]) -> bytes | None:
    """Return the request's body with only the items in `runs`, none of them joined.

    None where the rest would break a rule that held before, or part what is protected.
    """
    places = [place for run in runs for place in run]
    items = [item_of(raw, place) for place, raw in enumerate(request.raw_messages)]
    bound = _protected_beginning(request.messages)
    if places[:bound] != list(range(bound)) or not keeps_rules(items, places):
        return None
    fields = _fields_decoder.decode(request.body)
    fields["input"] = Raw(b"[" + b",".join(request.raw_messages[each] for each in places) + b"]")
    return msgspec.json.encode(fields)


def _protected_beginning(messages: Sequence[Message]) -> int:
    """Return how many items stand before the first that may go."""
    unprotected = (place for place, each in enumerate(messages) if not each.is_protected)
    return next(unprotected, len(messages))
