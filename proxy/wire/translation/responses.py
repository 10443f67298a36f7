"""OpenAI's Responses from and to chat completions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

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
    refuse_state,
    schema_format,
    text_of,
    text_part,
)

# What goes on from a response that a server keeps, or takes the prompt from elsewhere.
_STATE = ("previous_response_id", "conversation", "prompt", "background")
_TEXT_PARTS = ("input_text", "output_text", "text", "refusal")
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


def _to_chat(fields: Fields, may_see: bool) -> Fields:
    refuse_state(fields, _STATE)
    instructions, prompt = fields.get("instructions"), fields.get("input")
    messages: list[Fields] = []
    if instructions:
        messages.append({"role": "system", "content": instructions})
    if isinstance(prompt, str):
        messages.append({"role": "user", "content": prompt})
    for message in _messages_of(prompt, may_see):
        _append(messages, message)
    return {
        "model": fields.get("model"),
        "messages": messages,
        "stream": fields.get("stream"),
        "max_tokens": fields.get("max_output_tokens"),
        "temperature": fields.get("temperature"),
        "top_p": fields.get("top_p"),
        "tools": _tools(fields.get("tools")) or None,
        "tool_choice": _tool_choice(fields.get("tool_choice")),
        "parallel_tool_calls": fields.get("parallel_tool_calls"),
        "response_format": _response_format(object_of(fields, "text")),
    }


def _messages_of(items: object, may_see: bool) -> Iterator[Fields]:
    for item in objects_in(items):
        kind = item.get("type") or "message"
        if kind == "item_reference":
            refuse_state({kind: item}, (kind,))
        elif kind == "message":
            yield _message(item, may_see)
        elif kind in ("function_call", "custom_tool_call"):
            arguments = item.get("arguments") or json_text({"input": item.get("input")})
            calls = [call_of(item.get("call_id"), item.get("name"), arguments)]
            yield {"role": "assistant", "content": "", "tool_calls": calls}
        elif kind in ("function_call_output", "custom_tool_call_output"):
            text = text_of(item.get("output"))
            yield {"role": "tool", "tool_call_id": item.get("call_id"), "content": text}


def _append(messages: list[Fields], message: Fields) -> None:
    """Add a message; the calls of one answer, each an item here, stand in one message there."""
    last: Fields = messages[-1] if messages else {}
    if "tool_calls" in message and last.get("role") == "assistant":
        last["tool_calls"] = [*last.get("tool_calls", ()), *message["tool_calls"]]
    else:
        messages.append(message)


def _message(item: Fields, may_see: bool) -> Fields:
    role, content = item.get("role"), item.get("content")
    # Of servers of local models, few know the newer name.
    role = "system" if role == "developer" else role
    if isinstance(content, str):
        return {"role": role, "content": content}
    parts = [part for each in objects_in(content) if (part := _part(each, may_see))]
    return {"role": role, "content": content_of(parts)}


def _part(part: Fields, may_see: bool) -> Fields | None:
    """Return a part of a message; None for what a chat has no word for."""
    kind = part.get("type")
    if kind in _TEXT_PARTS:
        return text_part(part.get("text") or part.get("refusal"))
    if kind == "input_image":
        return image_part(part.get("image_url"), may_see)
    if kind in ("input_file", "input_audio"):
        raise InvalidMessages(NO_MEDIA, param="input")
    return None


def _tools(tools: object) -> list[Fields]:
    """Return the functions; other tools are OpenAI's own, or need more than a function can."""
    names = ("name", "description", "parameters", "strict")
    return [
        {"type": "function", "function": {name: tool[name] for name in names if name in tool}}
        for tool in objects_in(tools)
        if tool.get("type") == "function"
    ]


def _tool_choice(choice: object) -> object:
    if not isinstance(choice, dict):
        return choice
    is_function = choice.get("type") == "function"
    return {"type": "function", "function": {"name": choice.get("name")}} if is_function else "auto"


def _response_format(text: Fields) -> Fields | None:
    format = object_of(text, "format")
    if format.get("type") == "json_schema":
        return schema_format(format.get("name"), format.get("schema"))
    return {"type": "json_object"} if format.get("type") == "json_object" else None


class _Writer(AnswerWriter):
    def __init__(self, model: str) -> None:
        super().__init__(model)
        self._number = 0

    def _answer(self) -> Fields:
        return self._response(_status(self.finish)) | {
            "output": [self._item(place, "completed") for place in range(len(self.blocks))],
            "usage": self._usage(),
        }

    def _response(self, status: str) -> Fields:
        reason = _INCOMPLETE.get(self.finish)
        return {
            "id": f"resp_{self.id}",
            "object": "response",
            "created_at": self.created,
            "status": status,
            "error": None,
            "incomplete_details": {"reason": reason} if reason else None,
            "instructions": None,
            "metadata": {},
            "model": self.model,
            "output": [],
            "parallel_tool_calls": True,
            "temperature": None,
            "tool_choice": "auto",
            "tools": [],
            "top_p": None,
            "previous_response_id": None,
            "store": False,
            "usage": None,
        }

    def _usage(self) -> Fields:
        prompt = self.counts["prompt_tokens"] or 0
        answer = self.counts["completion_tokens"] or 0
        return {
            "input_tokens": prompt,
            "input_tokens_details": {"cached_tokens": self.counts["cached_tokens"] or 0},
            "output_tokens": answer,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": prompt + answer,
        }

    def _item(self, place: int, status: str) -> Fields:
        block, id = self.blocks[place], f"{self.id}_{place}"
        if block.kind == "reasoning":
            content = [self._content(block)] if block.text else []
            return {"id": f"rs_{id}", "type": "reasoning", "summary": [], "content": content}
        if block.kind == "text":
            return {
                "id": f"msg_{id}",
                "type": "message",
                "role": "assistant",
                "status": status,
                "content": [self._content(block)] if status == "completed" else [],
            }
        return {
            "id": f"fc_{id}",
            "type": "function_call",
            "status": status,
            "call_id": block.id,
            "name": block.name,
            "arguments": block.text,
        }

    @staticmethod
    def _content(block: Block) -> Fields:
        if block.kind == "reasoning":
            return {"type": "reasoning_text", "text": block.text}
        return {"type": "output_text", "text": block.text, "annotations": [], "logprobs": []}

    def _start(self) -> list[Fields]:
        response = self._response("in_progress")
        return [
            self._event("response.created", {"response": response}),
            self._event("response.in_progress", {"response": response}),
        ]

    def _open_block(self, block: Block) -> list[Fields]:
        place = len(self.blocks) - 1
        item = self._item(place, "in_progress")
        fields: Fields = {"output_index": place, "item": item}
        events = [self._event("response.output_item.added", fields)]
        if block.kind != "call":
            part = {"part": self._content(block)}
            events.append(self._of_part("response.content_part.added", part))
        return events

    def _add(self, block: Block, text: str) -> list[Fields]:
        if block.kind == "call":
            return [self._of_item("response.function_call_arguments.delta", {"delta": text})]
        if block.kind == "reasoning":
            return [self._of_part("response.reasoning_text.delta", {"delta": text})]
        return [self._of_part("response.output_text.delta", {"delta": text, "logprobs": []})]

    def _close_block(self, block: Block) -> list[Fields]:
        if block.kind == "call":
            events = [
                self._of_item(
                    "response.function_call_arguments.done",
                    {"name": block.name, "arguments": block.text},
                )
            ]
        else:
            is_text = block.kind == "text"
            kind = "output_text" if is_text else "reasoning_text"
            text: Fields = {"text": block.text} | ({"logprobs": []} if is_text else {})
            events = [
                self._of_part(f"response.{kind}.done", text),
                self._of_part("response.content_part.done", {"part": self._content(block)}),
            ]
        place = len(self.blocks) - 1
        done: Fields = {"output_index": place, "item": self._item(place, "completed")}
        return [*events, self._event("response.output_item.done", done)]

    def _finish(self) -> list[Fields]:
        return [self._event(f"response.{_status(self.finish)}", {"response": self._answer()})]

    def _of_part(self, name: str, fields: Fields) -> Fields:
        return self._of_item(name, {"content_index": 0, **fields})

    def _of_item(self, name: str, fields: Fields) -> Fields:
        place = len(self.blocks) - 1
        id = self._item(place, "in_progress")["id"]
        return self._event(name, {"item_id": id, "output_index": place, **fields})

    def _event(self, name: str, fields: Fields) -> Fields:
        number, self._number = self._number, self._number + 1
        return {"type": name, "sequence_number": number, **fields}


def _status(finish: str) -> str:
    return "incomplete" if finish in _INCOMPLETE else "completed"


TRANSLATION: Final = Translation(_to_chat, _Writer)
