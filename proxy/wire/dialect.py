"""What a wire format offers, so that one way leads through the proxy for all of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple, NotRequired, Protocol, TypedDict

from proxy.common.errors import ApiError
from proxy.common.web.asgi import Scope
from proxy.relevance.messages import Message

# Why a request goes out whole, or more of it than usual, as its answer's header says.
STATEFUL: Final = "stateful"
"""The provider holds what came before."""

CONTEXT_MANAGEMENT: Final = "context-management"
"""The provider leaves out by itself."""

CLIENT_MARKS: Final = "client-marks"
"""The client has paid for what stands before its marks to be cached."""

BOUND_REASONING: Final = "bound-reasoning"
"""The provider has bound reasoning to all that stands before it."""


class Route(NamedTuple):
    """What a path asks for: where it goes, and what becomes of its body."""

    target: str
    """The provider as the path names it, percent-encoded as it came."""

    endpoint: str
    """The path at the provider, after its base URL; with the query, where that goes along."""

    name: str
    """The endpoint as usage rows name it."""

    method: str = "POST"
    is_filtered: bool = False
    """Whether the body holds a conversation; any other body passes as it came."""

    model: str = ""
    """The model, where the path names it."""

    is_known: bool = True
    """False where no dialect knows the endpoint: it is asked and answers as it likes."""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    """What a request of our own making carries besides."""


@dataclass(frozen=True, slots=True)
class Request:
    """A sound request: its own bytes, and what the proxy needs to know of it."""

    body: bytes
    model: str
    raw_messages: list[bytes]
    messages: list[Message]
    front: bytes = b""
    """What else of it stands in the prompt, before the messages: tools, instructions."""

    has_tools: bool = False
    """Whether the model may call tools."""

    may_be_filtered: bool = True
    """False where leaving anything out would hurt, as `kept_for` says."""

    kept_for: str = ""
    """Why more than usual stays: STATEFUL, CONTEXT_MANAGEMENT, CLIENT_MARKS, BOUND_REASONING; or
    nothing. It is told where nothing was left out."""

    identities: list[bytes] = field(default_factory=list)
    """What each message is known again by at the next turn; empty where its bytes are that."""


class Counts(TypedDict):
    """A provider's own count of tokens, as far as it gave one.

    The prompt's hold those that were read from its cache and those that were written to it.
    """

    prompt_tokens: int | None
    completion_tokens: int | None
    cached_tokens: int | None
    written_tokens: int | None
    written_for_long_tokens: NotRequired[int | None]
    """Of those written, the ones that are kept for an hour and cost more."""

    reasoning_tokens: NotRequired[int | None]
    """Of the completion's, those that nobody reads."""


def latest(known: Counts | None, new: Counts) -> Counts:
    """Return `known` with each count that `new` tells; a stream may tell them in parts."""
    if known is None:
        return new

    def newest(new_count: int | None, count: int | None) -> int | None:
        return count if new_count is None else new_count

    return {
        "prompt_tokens": newest(new["prompt_tokens"], known["prompt_tokens"]),
        "completion_tokens": newest(new["completion_tokens"], known["completion_tokens"]),
        "cached_tokens": newest(new["cached_tokens"], known["cached_tokens"]),
        "written_tokens": newest(new["written_tokens"], known["written_tokens"]),
        "written_for_long_tokens": newest(
            new.get("written_for_long_tokens"), known.get("written_for_long_tokens")
        ),
        "reasoning_tokens": newest(new.get("reasoning_tokens"), known.get("reasoning_tokens")),
    }


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is to answer, in no dialect yet."""

    model: str
    system: str
    messages: list[tuple[str, str]]
    """Role (`user` or `assistant`) and text of each message; the last is the user's."""

    host: str = ""
    """Of the provider that is asked."""

    temperature: float | None = None
    max_tokens: int | None = None


class StreamEvent(NamedTuple):
    """One event of an answer: a bit of text, of reasoning, the finish, the provider's counts."""

    text: str = ""
    reasoning: str = ""
    finish: str = ""
    """Why the answer ends, in OpenAI's words: stop, length, content_filter, tool_calls."""

    counts: Counts | None = None
    is_last: bool = False
    """Whether the answer is over with it, and whole."""


NOTHING: Final = StreamEvent()


class Mark:
    """A field by its name and what follows it, found without parsing.

    In a text of JSON's the name has its quotes escaped, so it is found as a field's alone.
    """

    LONGEST: Final = 64

    def __init__(self, name: bytes, follows: bytes) -> None:
        self._name = b'"%b"' % name
        self._pattern = re.compile(rb'"%b"\s*:\s*%b' % (name, follows))

    def spans(self, text: bytes, until: int) -> Iterator[tuple[int, int]]:
        """Yield start and end of each one that begins before `until`."""
        # Most of a large text has none, and bytes are searched for faster than patterns.
        first = text.find(self._name)
        if 0 <= first < until:
            for match in self._pattern.finditer(text, first, until + self.LONGEST):
                if match.start() < until:
                    yield match.span()


class Step(NamedTuple):
    """What an event says of the end of its stream."""

    begun: tuple[int, ...] = ()
    """The choices that it is of, by their indices."""

    finished: tuple[int, ...] = ()
    """Those of them that end with it."""

    is_last: bool = False
    """Whether nothing has to follow it, whatever was begun."""

    is_error: bool = False


NO_STEP: Final = Step()


class Dialect(Protocol):
    """One wire format; each module of this package that stands in the table is one."""

    NAME: str
    """What stored providers call it."""

    OWN_HOST: str
    """Whose dialect it is: the provider that a preview is priced by."""

    SUPPORTED: str
    """What a 404 tells: how to write a path."""

    STREAMS: frozenset[str]
    """The endpoints, as usage rows name them, whose streams have an end of their own."""

    FINISH: Mark
    """Stands in each event that finishes a choice."""

    USAGE: Mark
    """Stands before the object with the provider's usage."""

    CALL_MARKS: tuple[bytes, ...]
    """What stands in events that call tools, and in no others."""

    SYSTEM_IS_A_MESSAGE: bool
    """Whether instructions stand among the messages, as the first."""

    def claims(self, path: str, scope: Scope) -> bool:
        """Whether the callers of `path` (without the proxy's prefix) speak this dialect."""

    def route(self, path: str, scope: Scope) -> Route | None:
        """Return what `path` asks for, percent-encoded as it came; None for no known endpoint.

        What is none goes up as it came, by whatever method.
        """

    def key(self, scope: Scope) -> str | None:
        """Return the provider's key where no header has it, but the query; None: in the path.

        Raises InvalidRequest where it is not there and the path cannot hold it.
        """

    def credential(self, key: str) -> tuple[str, str]:
        """Return the header by which the dialect's providers are shown a key.

        Where a host wants another, `Provider.key_header` says so.
        """

    def read(self, body: bytes, route: Route, *, most_messages: int) -> Request:
        """Check a body and read its messages; raises InvalidRequest or InvalidMessages."""

    def prompted(self, prompt: Prompt) -> tuple[bytes, Route]:
        """Return the body that asks for a streamed answer, and where it goes."""

    def written(self, request: Request, runs: list[list[int]]) -> bytes | None:
        """Return the body with only the messages in `runs`, each run joined to one.

        All other fields keep their bytes. None where the rest would break a rule of the provider's
        that held before.
        """

    def listed(self, body: bytes, *, may_use: Callable[[str], bool]) -> bytes | None:
        """Return a list of models without those that may not be used; None where it is no list."""

    def reported(self, texts: bytes) -> Counts:
        """Return the provider's own token counts from what may hold them of its answer."""

    def parse_event(self, data: bytes) -> StreamEvent:
        """Return what an event, or a whole answer, says.

        Raises ReportedError for an error, and ValueError for what is no such event.
        """

    def step(self, data: bytes) -> Step:
        """Return what an event says of its stream's end; raises msgspec.DecodeError."""

    def is_closed(self, start: bytes, tail: bytes) -> bool | None:
        """Whether an answer of STREAMS that is no event stream came to its own end.

        None where only HTTP tells. `start` are its first bytes, `tail` its last.
        """

    def has_failed(self, start: bytes) -> bool:
        """Whether an answer of STREAMS that came under a good status tells that it failed.

        `start` are the first bytes of a whole answer, or of a stream's event too large to be held.
        """

    def error(self, fault: ApiError) -> bytes:
        """Return an error's body."""

    def broken(self, fault: ApiError, start: bytes, end: bytes) -> bytes | None:
        """Return the event that ends an event stream which broke after it began.

        `start` are the first bytes that went out, `end` the last. None where only a cut tells the
        client.
        """

    def closing(self, tail: bytes, fault: ApiError) -> bytes | None:
        """Return what ends a broken answer that is no event stream so that it can be read.

        None where only a cut tells the client.
        """
