"""The blocks of a message: their text, and which of them may be left out with their exchange."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

Block = dict[str, Any]

THINKING: Final = ("thinking", "redacted_thinking")
COMPACTION: Final = "compaction"
_CALLS: Final = ("tool_use", "server_tool_use", "mcp_tool_use")
# What these bring stands in the message itself; other servers' tools keep a state, or define what
# later calls may use.
_SERVER_TOOLS: Final = ("web_search", "web_fetch")
_SERVER_RESULTS: Final = ("web_search_tool_result", "web_fetch_tool_result")
# Fields that hold words, wherever they stand in a result or a document.
_WORDS: Final = ("title", "context", "text", "url", "data")
_NESTED: Final = ("content", "source")


def text_of(block: Block) -> str:
    """Return the text of a block: of calls their names and input, of media nothing."""
    kind = block["type"]
    if kind == "text":
        return _string(block.get("text"))
    if kind in THINKING:
        return ""
    if kind in _CALLS:
        value = block.get("input")
        arguments = msgspec.json.encode(value).decode() if value else ""
        return f"{_string(block.get('name'))} {arguments}".strip()
    return "\n".join(_words_in(block))


def _words_in(value: object) -> Iterator[str]:
    """Yield the words of a result or a document, whichever way they are nested."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from _words_in(each)
    elif isinstance(value, dict):
        for name in _WORDS:
            # The data of pictures and files is no text.
            if isinstance(value.get(name), str) and (name != "data" or value.get("type") == "text"):
                yield value[name]
        for name in _NESTED:
            if name in value:
                yield from _words_in(value[name])


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


def call_of(block: Block) -> str:
    """Return the id of the call that a block makes; empty where it makes none."""
    return _string(block.get("id")) if block["type"] in _CALLS else ""


def is_clients_call(block: Block) -> bool:
    """Whether the client runs the tool, so that the next message has its result."""
    return bool(block["type"] == "tool_use")


def is_opaque(block: Block) -> bool:
    """Whether more hangs on a block than its exchange: media, a server's state, a new kind."""
    kind = block["type"]
    caller = block.get("caller")
    if isinstance(caller, dict) and caller.get("type") != "direct":
        return True
    if kind == "tool_result":
        content = block.get("content") or ()
        return not isinstance(content, str) and not all(map(_is_text, content))
    if kind == "server_tool_use":
        return block.get("name") not in _SERVER_TOOLS
    return kind not in ("text", "tool_use", *THINKING, *_SERVER_RESULTS)


def _is_text(block: object) -> bool:
    return isinstance(block, dict) and block.get("type") == "text"


def is_plain_text(block: Block) -> bool:
    """Whether a block is text and nothing else: no citation, no field that is new."""
    names = {name for name, value in block.items() if value is not None}
    return names == {"type", "text"} and block["type"] == "text"


def is_marked(block: Block) -> bool:
    """Whether a client marked a block, or one within it, for the provider's cache."""
    return block.get("cache_control") is not None or any(map(is_marked, _inner(block)))


def unmarked(block: Block) -> Block:
    """Return a block without marks, which move from turn to turn."""
    rest = {name: value for name, value in block.items() if name != "cache_control"}
    if _inner(block):
        rest["content"] = [
            unmarked(each) if isinstance(each, dict) else each for each in block["content"]
        ]
    return rest


def _inner(block: Block) -> list[Block]:
    content = block.get("content")
    return [each for each in content if isinstance(each, dict)] if isinstance(content, list) else []
