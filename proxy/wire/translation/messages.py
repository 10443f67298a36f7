"""Anthropic's Messages from and to chat completions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from proxy.errors import InvalidMessages
from proxy.wire.translation.chat import (
    NO_MEDIA,
    AnswerWriter,
    Block,
    Fields,
    Translation,
    call_of,
    content_of,
    image_part,
    json_text,
    object_of,
    objects_in,
    schema_format,
    text_of,
    text_part,
)

# Claude Code's account of itself, which is for Anthropic and no instruction.
_BILLING: Final = "x-anthropic-billing-header"
_STOP_REASONS = {
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
_TOOL_CHOICES = {"auto": "auto", "any": "required", "none": "none"}


def _to_chat(fields: Fields, may_see: bool) -> Fields:
    system = _system(fields.get("system"))
    messages = [{"role": "system", "content": system}] if system else []
    for message in objects_in(fields.get("messages")):
        messages += _messages_of(message, may_see)
    choice = object_of(fields, "tool_choice")
    return {
        "model": fields.get("model"),
        "messages": messages,
        "stream": fields.get("stream"),
        "max_tokens": fields.get("max_tokens"),
        "temperature": fields.get("temperature"),
        "top_p": fields.get("top_p"),
        "stop": fields.get("stop_sequences"),
        "tools": _tools(fields.get("tools")) or None,
        "tool_choice": _tool_choice(choice),
        "parallel_tool_calls": False if choice.get("disable_parallel_tool_use") else None,
        "response_format": _response_format(object_of(fields, "output_config")),
    }


def _system(system: object) -> str:
    if isinstance(system, str):
        return system
    texts = [text_of([block]) for block in objects_in(system)]
    return "\n\n".join(text for text in texts if not text.startswith(_BILLING))


def _messages_of(message: Fields, may_see: bool) -> Iterator[Fields]:
    """Yield the messages for one: each result of a tool is a message of its own."""
    role, content = message.get("role"), message.get("content")
    if isinstance(content, str):
        yield {"role": role, "content": content}
        return
    if role == "assistant":
        yield _assistant_message(content)
        return
    results = [block for block in objects_in(content) if block.get("type") == "tool_result"]
    for result in results:
        text = text_of(result.get("content"))
        yield {"role": "tool", "tool_call_id": result.get("tool_use_id"), "content": text}
    parts = [part for block in objects_in(content) if (part := _part(block, may_see))]
    if parts or not results:
        yield {"role": role, "content": content_of(parts)}


def _assistant_message(content: object) -> Fields:
    blocks = list(objects_in(content))
    calls = [
        call_of(block.get("id"), block.get("name"), json_text(block.get("input")))
        for block in blocks
        if block.get("type") == "tool_use"
    ]
    text = text_of([block for block in blocks if block.get("type") == "text"])
    message: Fields = {"role": "assistant", "content": text}
    return message | {"tool_calls": calls} if calls else message


def _part(block: Fields, may_see: bool) -> Fields | None:
    """Return the part for a block of a user's; None for what a chat has no word for."""
    source = object_of(block, "source")
    if block.get("type") == "text":
        return text_part(block.get("text"))
    if block.get("type") == "image":
        data = f"data:{source.get('media_type')};base64,{source.get('data')}"
        return image_part(source.get("url") or data, may_see)
    if block.get("type") == "document":
        if source.get("type") != "text":
            raise InvalidMessages(NO_MEDIA, param="messages")
        return text_part(source.get("data"))
    return None


def _tools(tools: object) -> list[Fields]:
    """Return the tools that the client runs itself; those that Anthropic runs are nowhere else."""
    return [
        {
            "type": "function",
            "function": {
                "name": tool.get("name"),
                "description": tool.get("description") or "",
                "parameters": tool["input_schema"],
            },
        }
        for tool in objects_in(tools)
        if "input_schema" in tool
    ]


def _tool_choice(choice: Fields) -> object:
    if choice.get("type") == "tool":
        return {"type": "function", "function": {"name": choice.get("name")}}
    return _TOOL_CHOICES.get(str(choice.get("type")))


def _response_format(config: Fields) -> Fields | None:
    format = object_of(config, "format")
    return schema_format("answer", format.get("schema")) if format else None


class _Writer(AnswerWriter):
    def _answer(self) -> Fields:
        content = [_content_block(block) for block in self.blocks]
        return self._message(content, self._stop_reason()) | {"usage": self._usage()}

    def _message(self, content: list[Fields], stop_reason: str | None) -> Fields:
        return {
            "id": f"msg_{self.id}",
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": content,
            "stop_reason": stop_reason,
            "stop_sequence": None,
        }

    def _stop_reason(self) -> str:
        return _STOP_REASONS.get(self.finish, "end_turn")

    def _usage(self) -> Fields:
        """Return the counts; unlike OpenAI's, those of the prompt leave out what was cached."""
        cached = self.counts["cached_tokens"] or 0
        return {
            "input_tokens": max((self.counts["prompt_tokens"] or 0) - cached, 0),
            "cache_read_input_tokens": cached,
            "cache_creation_input_tokens": 0,
            "output_tokens": self.counts["completion_tokens"] or 0,
        }

    def _start(self) -> list[Fields]:
        # What a stream took is counted at its end.
        message = self._message([], None) | {"usage": self._usage()}
        return [{"type": "message_start", "message": message}]

    def _open_block(self, block: Block) -> list[Fields]:
        start = {"type": "content_block_start", "index": self._index()}
        empty: Fields = _content_block(block) | ({"input": {}} if block.kind == "call" else {})
        return [start | {"content_block": empty}]

    def _add(self, block: Block, text: str) -> list[Fields]:
        deltas: dict[str, Fields] = {
            "text": {"type": "text_delta", "text": text},
            "reasoning": {"type": "thinking_delta", "thinking": text},
            "call": {"type": "input_json_delta", "partial_json": text},
        }
        delta = deltas[block.kind]
        return [{"type": "content_block_delta", "index": self._index(), "delta": delta}]

    def _close_block(self, block: Block) -> list[Fields]:
        return [{"type": "content_block_stop", "index": self._index()}]

    def _finish(self) -> list[Fields]:
        delta = {"stop_reason": self._stop_reason(), "stop_sequence": None}
        return [
            {"type": "message_delta", "delta": delta, "usage": self._usage()},
            {"type": "message_stop"},
        ]

    def _index(self) -> int:
        return len(self.blocks) - 1


def _content_block(block: Block) -> Fields:
    if block.kind == "text":
        return {"type": "text", "text": block.text}
    if block.kind == "reasoning":
        return {"type": "thinking", "thinking": block.text, "signature": ""}
    return {"type": "tool_use", "id": block.id, "name": block.name, "input": _input(block.text)}


def _input(arguments: str) -> object:
    """Return a call's arguments as an object; a small model may write what is none."""
    try:
        value: object = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


TRANSLATION: Final = Translation(_to_chat, _Writer)
