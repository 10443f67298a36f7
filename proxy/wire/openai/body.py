"""OpenAI's requests: read one, write the kept messages back.

A request is taken apart without decoding its messages: each stays the bytes that came, so that
what is kept is sent on byte for byte, numbers and unknown fields included, and a message that was
seen in the previous turn is found again by its digest alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Raw

from proxy.relevance.merge_turns import BETWEEN
from proxy.relevance.messages import Message
from proxy.wire.dialect import Prompt, Request, Route
from proxy.wire.openai import messages as openai_messages
from proxy.wire.openai.routes import COMPLETIONS, OWN_HOST
from proxy.wire.validation import check_names, check_number, decoded


class _Completion(msgspec.Struct):
    """What is checked of a request; every other field passes untouched.

    Values are for the provider to judge: others than OpenAI take -1 for no limit, and bounds of
    their own.
    """

    model: Annotated[str, Meta(min_length=1)]
    messages: Annotated[list[Raw], Meta(min_length=1)]
    stream: bool | None = None
    max_tokens: int | float | None = None
    temperature: float | None = None
    top_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    response_format: Raw = Raw()
    tools: Raw = Raw()
    functions: Raw = Raw()


SYSTEM_IS_A_MESSAGE: Final = True
_decoder = msgspec.json.Decoder(_Completion)
_fields_decoder = msgspec.json.Decoder(dict[str, Raw])


def read(body: bytes, route: Route, *, most_messages: int) -> Request:
    """Check a body and read its messages.

    Raises InvalidRequest or InvalidMessages, naming what is wrong and where.
    """
    fields = decoded(_decoder.decode, body, messages="messages")
    check_names(body)
    check_number(fields.messages, most_messages, field="messages")
    raw = [bytes(message) for message in fields.messages]
    messages = [openai_messages.read(each, place) for place, each in enumerate(raw)]
    if b"json_object" in bytes(fields.response_format):
        protect_last_naming_json(messages)
    front = b"".join(map(bytes, (fields.tools, fields.functions, fields.response_format)))
    has_tools = bool(bytes(fields.tools) or bytes(fields.functions))
    return Request(body, fields.model, raw, messages, front, has_tools)


def prompted(prompt: Prompt) -> tuple[bytes, Route]:
    """Return the body that asks for a streamed answer, and where it goes."""
    messages = [{"role": role, "content": text} for role, text in prompt.messages]
    if prompt.system:
        messages.insert(0, {"role": "system", "content": prompt.system})
    body: dict[str, Any] = {
        "model": prompt.model,
        "messages": messages,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if prompt.temperature is not None:
        body["temperature"] = prompt.temperature
    if prompt.max_tokens:
        # OpenAI's reasoning models refuse the older name, other servers don't know the newer one.
        name = "max_completion_tokens" if prompt.host == OWN_HOST else "max_tokens"
        body[name] = prompt.max_tokens
    return msgspec.json.encode(body), Route(
        "", f"/{COMPLETIONS}", COMPLETIONS, "POST", is_filtered=True
    )


def written(request: Request, runs: list[list[int]]) -> bytes:
    """Return the request's body with only the messages in `runs`, each run joined to one.

    All other fields keep their bytes and their order.
    """
    fields = _fields_decoder.decode(request.body)
    kept = b",".join(_joined(request, run) for run in runs)
    fields["messages"] = Raw(b"[" + kept + b"]")
    return msgspec.json.encode(fields)


def with_model(body: bytes, model: str) -> bytes:
    """Return the body with another model's name."""
    fields = _fields_decoder.decode(body)
    fields["model"] = Raw(msgspec.json.encode(model))
    return msgspec.json.encode(fields)


def has_media(request: Request) -> bool:
    """Whether any message has a part that is no text: an image, audio, a file."""
    return any(
        openai_messages.has_media(msgspec.json.decode(raw))
        for raw, message in zip(request.raw_messages, request.messages, strict=True)
        if not message.is_plain
    )


def protect_last_naming_json(messages: list[Message]) -> None:
    """Keep a message with the word: without one, OpenAI refuses the format `json_object`."""
    for place in reversed(range(len(messages))):
        if "json" in messages[place].text.lower():
            messages[place] = replace(messages[place], is_protected=True)
            return


def _joined(request: Request, run: list[int]) -> bytes:
    """Return one message for a run: itself byte for byte, or the join of several plain ones."""
    if len(run) == 1:
        return request.raw_messages[run[0]]
    messages = [msgspec.json.decode(request.raw_messages[index]) for index in run]
    content = BETWEEN.join(message["content"] for message in messages)
    return msgspec.json.encode({"role": messages[0]["role"], "content": content})
