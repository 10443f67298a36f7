"""Gemini's requests: read one, write the kept contents back.

A request is taken apart without decoding its contents: each stays the bytes that came, so that
what is kept is sent on byte for byte, signatures and unknown fields included.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, field

from proxy.wire.dialect import STATEFUL, Prompt, Request, Route
from proxy.wire.gemini.contents import broken_rules, content_of, tied
from proxy.wire.validation import check_names, check_number, decoded

SYSTEM_IS_A_MESSAGE = False
_Object = dict[str, Raw] | None


class _Generation(msgspec.Struct):
    """What is checked of a request, in both spellings; every other field passes untouched."""

    contents: Annotated[list[Raw], Meta(min_length=1)]
    tools: Raw = Raw()
    generation_config: _Object = None
    generation_config_camel: _Object = field(default=None, name="generationConfig")
    safety_settings: list[Raw] | None = None
    safety_settings_camel: list[Raw] | None = field(default=None, name="safetySettings")
    system_instruction: dict[str, Raw] | str | None = None
    system_instruction_camel: dict[str, Raw] | str | None = field(
        default=None, name="systemInstruction"
    )
    cached_content: Any = None
    cached_content_camel: Any = field(default=None, name="cachedContent")


class _PlainContent(msgspec.Struct):
    parts: list[Raw]


_decoder = msgspec.json.Decoder(_Generation)
_fields_decoder = msgspec.json.Decoder(dict[str, Raw])
_plain_decoder = msgspec.json.Decoder(_PlainContent)


def read(body: bytes, route: Route, *, most_messages: int) -> Request:
    """Check a body and read its contents.

    Raises InvalidRequest or InvalidMessages, naming what is wrong and where.
    """
    fields = decoded(_decoder.decode, body, messages="contents")
    check_names(body)
    check_number(fields.contents, most_messages, field="contents")
    raw = [bytes(content) for content in fields.contents]
    messages = tied([content_of(each, place) for place, each in enumerate(raw)])
    is_tail = bool(fields.cached_content or fields.cached_content_camel)
    tools = bytes(fields.tools)
    front = tools + msgspec.json.encode(
        fields.system_instruction or fields.system_instruction_camel
    )
    return Request(
        body,
        route.model,
        raw,
        messages,
        front,
        bool(tools),
        may_be_filtered=not is_tail,
        kept_for=STATEFUL if is_tail else "",
    )


def prompted(prompt: Prompt) -> tuple[bytes, Route]:
    """Return the body that asks for a streamed answer, and where it goes."""
    roles = {"assistant": "model"}
    body: dict[str, Any] = {
        "contents": [
            {"role": roles.get(role, role), "parts": [{"text": text}]}
            for role, text in prompt.messages
        ]
    }
    if prompt.system:
        body["systemInstruction"] = {"parts": [{"text": prompt.system}]}
    chosen = {"temperature": prompt.temperature, "maxOutputTokens": prompt.max_tokens}
    if config := {name: value for name, value in chosen.items() if value is not None}:
        body["generationConfig"] = config
    endpoint = f"/v1beta/models/{prompt.model}:streamGenerateContent?alt=sse"
    return msgspec.json.encode(body), Route(
        "", endpoint, "streamGenerateContent", "POST", is_filtered=True, model=prompt.model
    )


def written(request: Request, runs: list[list[int]]) -> bytes | None:
    """Return the request's body with only the contents in `runs`, each run joined to one.

    None where the rest would break a rule of turns that held before.
    """
    rest = [request.messages[run[0]] for run in runs]
    if broken_rules(rest) - broken_rules(request.messages):
        return None
    fields = _fields_decoder.decode(request.body)
    kept = b",".join(_joined(request, run) for run in runs)
    fields["contents"] = Raw(b"[" + kept + b"]")
    return msgspec.json.encode(fields)


def _joined(request: Request, run: list[int]) -> bytes:
    """Return one content for a run: itself byte for byte, or the parts of several plain ones."""
    if len(run) == 1:
        return request.raw_messages[run[0]]
    role = "user" if request.messages[run[0]].role == "user" else "model"
    parts = [part for i in run for part in _plain_decoder.decode(request.raw_messages[i]).parts]
    return msgspec.json.encode({"role": role, "parts": parts})
