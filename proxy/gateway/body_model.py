"""The models that a body names, where a caller may not use every one: in JSON, or a form's field.

Only for such callers is a body looked into that otherwise passes unread. What has been read of it
is put back. A form may name its model after its files, and a second time behind it: it is read on
as it passes, and ends where it names another model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

import msgspec

from proxy.common.web.asgi import BodyStream, Scope, header
from proxy.errors import ModelNotAllowed
from proxy.wire.validation import check_names, decoded

Body = bytes | BodyStream | None

UNNAMED = (
    "This API key may only use the models that its list names, and none can be read in this "
    "request. Use a key without such a list."
)
# Of a part of a form: its head, and what is read of a model's name.
MOST_HEAD = 16 * 1024
MOST_NAME = 1024
_BOUNDARY = re.compile(
    r"[;\s]boundary=(?:\"([^\"\\]{1,100})\"|([^\s;,\"\\]{1,100}))\s*(?:;|$)", re.IGNORECASE
)
_HEAD_END = re.compile(rb"\r?\n\r?\n")
# Named in whatever spelling some parser takes: unquoted, as name*=utf-8''model, as a list, or in
# pieces, whatever they come to.
_MODEL_FIELD = re.compile(
    rb"[;\s]name\*?\s*=\s*(?:[\w-]*'[^']*')?[\"']?\s*model\s*(?:\[[^]]*\])?\s*[\"']?\s*(?:[;\r\n]|$)"
    rb"|[;\s]name\*[0-9]",
    re.IGNORECASE,
)


class _Named(msgspec.Struct):
    model: str = ""
    models: object = None
    fallbacks: object = None


_json = msgspec.json.Decoder(_Named)


async def read(body: Body, scope: Scope, *, most: int) -> tuple[list[str], Body]:
    """Return the models that a body names, none if none can be read; and the body, to be sent.

    Of a stream `most` bytes are read at most. Raises InvalidRequest for JSON that is none, and
    RequestTooLarge for JSON that is longer than that.
    """
    kind = header(scope, b"content-type") or ""
    if kind.lower().startswith("multipart/"):
        # Of several boundaries one parser takes the first, another the last.
        boundary = _BOUNDARY.search(kind) if kind.lower().count("boundary") == 1 else None
        if not boundary or body is None:
            return [], body
        return await _read_form(body, (boundary[1] or boundary[2]).encode("latin-1"), most)
    if (kind and "json" not in kind.lower()) or header(scope, b"content-encoding"):
        return [], body
    if isinstance(body, BodyStream):
        body = await body.read(most)
    return (names_in(body) if body else []), body


def names_in(body: bytes) -> list[str]:
    """Return the model that JSON names, and those that it lets a provider take in its place.

    These are OpenRouter's `models` and Anthropic's `fallbacks`. Raises InvalidRequest.
    """
    named = decoded(_json.decode, body, messages="")
    check_names(body)
    others = [*_listed(named.models), *_listed(named.fallbacks)]
    return [named.model, *others] if named.model else []


def _listed(value: object) -> Iterator[str]:
    for each in value if isinstance(value, list) else ():
        name = each.get("model") if isinstance(each, dict) else each
        if isinstance(name, str):
            yield name


async def _read_form(
    body: bytes | BodyStream, boundary: bytes, most: int
) -> tuple[list[str], Body]:
    form = _Form(boundary)
    if isinstance(body, bytes):
        form.feed(body)
        form.end()
        return form.names, body
    taken = bytearray()
    async for piece in body:
        form.feed(piece)
        taken += piece
        if form.model or len(taken) > most:
            break
    else:
        form.end()
    body.put_back(bytes(taken))
    body.inspect = form.feed
    return form.names, body


class _Form:
    """Finds the fields `model` of a form, piece by piece; raises where they name two models."""

    def __init__(self, boundary: bytes) -> None:
        self._delimiter = b"--" + boundary
        self._held = b""
        self.model = ""

    @property
    def names(self) -> list[str]:
        return [self.model] if self.model else []

    def feed(self, piece: bytes) -> None:
        """Read a piece on; raises ModelNotAllowed."""
        self._held += piece
        while (start := self._held.find(self._delimiter)) >= 0:
            part = self._held[start + len(self._delimiter) :]
            head, value = _split_head(part)
            if len(part if head is None else head) > MOST_HEAD:
                raise ModelNotAllowed("A part of this form has too long a head.")
            if head is None:
                self._held = self._held[start:]
                return
            is_model = _MODEL_FIELD.search(unquote_to_bytes(head).replace(b"\\", b""))
            end = value.find(self._delimiter)
            if is_model and end < 0 and len(value) < MOST_NAME:
                self._held = self._held[start:]
                return
            if is_model:
                self._take(value[:end] if end >= 0 else value)
            self._held = value
        self._held = self._held[-len(self._delimiter) :]

    def end(self) -> None:
        """Read what is held, where no more comes."""
        self.feed(b"\r\n" + self._delimiter + b"--" + b"\r\n" * 2)

    def _take(self, value: bytes) -> None:
        model = value.decode("utf-8", "replace").strip()[:MOST_NAME]
        if self.model and model != self.model:
            raise ModelNotAllowed("This form names two models.", param="model")
        self.model = model


def _split_head(part: bytes) -> tuple[bytes | None, bytes]:
    """Return the head of a form's part and what follows it; no head while it is not whole."""
    end = _HEAD_END.search(part)
    return (part[: end.start()], part[end.end() :]) if end else (None, part)
