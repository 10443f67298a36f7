"""What every translation shares: the fields of chat completions, read and written.

An answer is a list of blocks, each a stretch of text, of reasoning, or a call of a tool; a stream
begins one, adds to it, and ends it before the next.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, NamedTuple

import msgspec

from proxy.errors import InvalidMessages, InvalidRequest
from proxy.wire import openai
from proxy.wire.dialect import Counts
from proxy.wire.reported_errors import read_error

# JSON objects of a caller's, whose fields may be of any type.
Fields = dict[str, Any]
Kind = Literal["text", "reasoning", "call"]
NO_MEDIA: Final = "The built-in model reads text only."
_NO_COUNTS: Final = openai.counts_in({})


@dataclass(slots=True)
class Block:
    """A stretch of an answer."""

    kind: Kind
    text: str = ""
    """Of a call, its arguments."""
    place: int = 0
    """Among the calls."""
    id: str = ""
    name: str = ""


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Message(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(msgspec.Struct):
    delta: _Message | None = None
    message: _Message | None = None
    finish_reason: str | None = None


class _Completion(msgspec.Struct):
    id: str | None = None
    created: float | None = None
    choices: list[_Choice] | None = None
    usage: Fields | None = None
    error: object = None


_decoder = msgspec.json.Decoder(_Completion)
_fields_decoder = msgspec.json.Decoder(Fields)


class Chunk(NamedTuple):
    """What a chunk of a stream, or a whole completion, says."""

    blocks: list[Block]
    finish: str
    counts: Counts | None
    id: str
    created: int


def read_fields(body: bytes) -> Fields:
    """Return the fields of a request that its dialect has found sound."""
    return _fields_decoder.decode(body)


def read_chunk(data: bytes) -> Chunk:
    """Return what a chunk, or a whole completion, says.

    Raises ReportedError for an error, and ValueError for what is no such thing.
    """
    completion = _decoder.decode(data)
    if completion.error:
        raise read_error(data)
    counts = openai.counts_in(completion.usage) if completion.usage else None
    choice = (completion.choices or [_Choice()])[0]
    blocks = list(_blocks_of(choice.delta or choice.message or _Message()))
    id = (completion.id or "").rpartition("-")[2]
    return Chunk(blocks, choice.finish_reason or "", counts, id, int(completion.created or 0))


def _blocks_of(message: _Message) -> Iterator[Block]:
    if reasoning := message.reasoning_content or message.reasoning:
        yield Block("reasoning", reasoning)
    if text := message.content or message.refusal:
        yield Block("text", text)
    for place, call in enumerate(message.tool_calls or ()):
        function = call.function or _Function()
        index = place if call.index is None else call.index
        yield Block("call", function.arguments or "", index, call.id or "", function.name or "")


class AnswerWriter(ABC):
    """Writes a completion in another dialect: whole, or event by event."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.id = ""
        self.created = 0
        self.blocks: list[Block] = []
        self.finish = ""
        self.counts: Counts = _NO_COUNTS
        self._later: dict[int, Block] = {}
        """Calls beside the first, whose pieces may come in turns: each is written as a whole."""
        self._is_ended = False

    def whole(self, data: bytes) -> bytes:
        """Return an answer in one piece."""
        chunk = read_chunk(data)
        self._take(chunk)
        self.blocks = chunk.blocks
        return msgspec.json.encode(self._answer())

    def events(self, data: bytes) -> bytes:
        """Return the events for one of chat completions; none for what can't be read."""
        if data == openai.DONE:
            return self.end()
        try:
            chunk = read_chunk(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return b""
        events = [] if self.id else self._begin(chunk)
        self._take(chunk)
        for block in chunk.blocks:
            events += [] if self._holds_back(block) else self._write(block)
        return _written(events)

    def end(self) -> bytes:
        """Return the last events, once; none where the answer has broken off."""
        if self._is_ended or not self.finish:
            return b""
        self._is_ended = True
        events = [event for block in self._later.values() for event in self._write(block)]
        return _written([*events, *self._close_last(), *self._finish()])

    def _begin(self, chunk: Chunk) -> list[Fields]:
        self.id, self.created = chunk.id or "0", chunk.created
        return self._start()

    def _take(self, chunk: Chunk) -> None:
        self.id, self.created = self.id or chunk.id, self.created or chunk.created
        self.finish = chunk.finish or self.finish
        self.counts = chunk.counts or self.counts

    def _holds_back(self, block: Block) -> bool:
        first = next((each for each in self.blocks if each.kind == "call"), block)
        if block.kind != "call" or first.place == block.place:
            return False
        held = self._later.setdefault(block.place, replace(block, text=""))
        held.text += block.text
        return True

    def _write(self, block: Block) -> list[Fields]:
        events: list[Fields] = []
        if not self.blocks or not _continues(self.blocks[-1], block):
            events += self._close_last()
            self.blocks.append(replace(block, text=""))
            events += self._open_block(self.blocks[-1])
        if block.text:
            self.blocks[-1].text += block.text
            events += self._add(self.blocks[-1], block.text)
        return events

    def _close_last(self) -> list[Fields]:
        return self._close_block(self.blocks[-1]) if self.blocks else []

    @abstractmethod
    def _answer(self) -> Fields:
        """Return the whole answer."""

    @abstractmethod
    def _start(self) -> list[Fields]:
        """Return the first events."""

    @abstractmethod
    def _open_block(self, block: Block) -> list[Fields]:
        """Return the events that begin the last of the blocks."""

    @abstractmethod
    def _add(self, block: Block, text: str) -> list[Fields]:
        """Return the events that add to the last of the blocks."""

    @abstractmethod
    def _close_block(self, block: Block) -> list[Fields]:
        """Return the events that end the last of the blocks."""

    @abstractmethod
    def _finish(self) -> list[Fields]:
        """Return the last events."""


@dataclass(frozen=True, slots=True)
class Translation:
    """From a dialect to chat completions, and back."""

    to_chat: Callable[[Fields, bool], Fields]
    """A request's fields, and whether the server may read more than text; raises InvalidRequest."""

    writer: Callable[[str], AnswerWriter]
    """Makes what writes an answer, by the name of the model that the caller asked."""

    def request(self, body: bytes, *, may_see: bool) -> bytes:
        """Return a request of the dialect as one for chat completions.

        Raises InvalidRequest for what such a server can't do.
        """
        fields = self.to_chat(read_fields(body), may_see)
        if fields.get("stream"):
            fields["stream_options"] = {"include_usage": True}
        return msgspec.json.encode(
            {name: each for name, each in fields.items() if each is not None}
        )


def text_of(content: object) -> str:
    """Return the texts of a content: a string, or an array of parts of which some have a text."""
    if isinstance(content, str):
        return content
    texts = (part.get("text") for part in objects_in(content))
    return "\n".join(text for text in texts if isinstance(text, str))


def objects_in(value: object) -> Iterable[Fields]:
    """Return the objects of an array; none of what is no array."""
    items = value if isinstance(value, list) else ()
    return (item for item in items if isinstance(item, dict))


def object_of(fields: Fields, name: str) -> Fields:
    """Return the object in a field, an empty one where there is none.

    Raises InvalidRequest for anything else.
    """
    value = fields.get(name)
    if value is not None and not isinstance(value, dict):
        raise InvalidRequest(f"'{name}' must be an object.", param=name)
    return value or {}


def image_part(url: object, may_see: bool) -> Fields:
    """Return an image's part of a message; raises InvalidMessages where nothing sees it."""
    if not may_see or not isinstance(url, str):
        raise InvalidMessages(NO_MEDIA, param="messages")
    return {"type": "image_url", "image_url": {"url": url}}


def text_part(text: object) -> Fields:
    return {"type": "text", "text": text if isinstance(text, str) else ""}


def content_of(parts: list[Fields]) -> object:
    """Return parts as the content of a message: a string, where all are texts."""
    if all(part["type"] == "text" for part in parts):
        return text_of(parts)
    return parts


def call_of(id: object, name: object, arguments: str) -> Fields:
    """Return a call of a tool, as an assistant's message holds it."""
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def schema_format(name: object, schema: object) -> Fields:
    """Return the format of an answer that follows a schema."""
    return {
        "type": "json_schema",
        "json_schema": {"name": name if isinstance(name, str) else "answer", "schema": schema},
    }


def json_text(value: object) -> str:
    """Return a value as arguments of a call are written."""
    return msgspec.json.encode(value).decode()


def refuse_state(fields: Fields, names: Iterable[str]) -> None:
    """Raise InvalidRequest where a request goes on from what a server would have kept."""
    for name in names:
        if fields.get(name):
            raise InvalidRequest(
                f"The built-in model keeps nothing between requests, so it takes no '{name}'. "
                "Send the whole conversation each time.",
                param=name,
            )


def _continues(last: Block, block: Block) -> bool:
    return last.kind == block.kind and last.place == block.place


def _written(events: list[Fields]) -> bytes:
    return b"".join(
        b"event: %b\ndata: %b\n\n" % (event["type"].encode(), msgspec.json.encode(event))
        for event in events
    )
