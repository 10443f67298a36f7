"""The model that a body names, where a caller may not use every one: in JSON, or in a form's field.

Only for such callers is a body looked into that otherwise passes unread. What has been read of it
is put back. A form may name its model after its files, and a second time behind it: it is read on
as it passes, and ends where it names another model.
"""

from __future__ import annotations

import re
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
_BOUNDARY = re.compile(r"boundary=(?:\"([^\"]{1,100})\"|([^\s;,\"]{1,100}))", re.IGNORECASE)
# Named in whatever spelling some parser takes: unquoted, or as name*=utf-8''model.
_MODEL_FIELD = re.compile(
    rb"[;\s]name\*?\s*=\s*(?:[\w-]*'[^']*')?[\"']?\s*model\s*[\"']?\s*(?:[;\r\n]|$)", re.IGNORECASE
)


class _Named(msgspec.Struct):
    model: str = ""


_json = msgspec.json.Decoder(_Named)


async def read(body: Body, scope: Scope, *, most: int) -> tuple[str, Body]:
    """Return the model that a body names, empty if none can be read; and the body, to be sent.

    Of a stream `most` bytes are read at most. Raises InvalidRequest for JSON that is none, and
    RequestTooLarge for JSON that is longer than that.
    """
    kind = header(scope, b"content-type") or ""
    if kind.lower().startswith("multipart/"):
        boundary = _BOUNDARY.search(kind)
        if not boundary or body is None:
            return "", body
        return await _read_form(body, (boundary[1] or boundary[2]).encode("latin-1"), most)
    if (kind and "json" not in kind.lower()) or header(scope, b"content-encoding"):
        return "", body
    if isinstance(body, BodyStream):
        body = await body.read(most)
    return (_read_json(body), body) if body else ("", body)


def _read_json(body: bytes) -> str:
    named = decoded(_json.decode, body, messages="")
    check_names(body)
    return named.model


async def _read_form(body: bytes | BodyStream, boundary: bytes, most: int) -> tuple[str, Body]:
    form = _Form(boundary)
    if isinstance(body, bytes):
        form.feed(body)
        form.end()
        return form.model, body
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
    return form.model, body


class _Form:
    """Finds the fields `model` of a form, piece by piece; raises where they name two models."""

    def __init__(self, boundary: bytes) -> None:
        self._delimiter = b"--" + boundary
        self._held = b""
        self.model = ""

    def feed(self, piece: bytes) -> None:
        """Read a piece on; raises ModelNotAllowed."""
        self._held += piece
        while (start := self._held.find(self._delimiter)) >= 0:
            part = self._held[start + len(self._delimiter) :]
            head, value = _split_head(part)
            if head is None and len(part) < MOST_HEAD:
                self._held = self._held[start:]
                return
            is_model = head is not None and _MODEL_FIELD.search(unquote_to_bytes(head))
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
        self.feed(b"\r\n" + self._delimiter + b"--" + b"\r\n" * MOST_HEAD)

    def _take(self, value: bytes) -> None:
        model = value.decode("utf-8", "replace").strip()[:MOST_NAME]
        if self.model and model != self.model:
            raise ModelNotAllowed("This form names two models.", param="model")
        self.model = model


def _split_head(part: bytes) -> tuple[bytes | None, bytes]:
    """Return the head of a form's part and what follows it; no head while it is not whole."""
    ends = [(part.find(end), end) for end in (b"\r\n\r\n", b"\n\n")]
    whole = [(place, end) for place, end in ends if place >= 0]
    if not whole:
        return None, part
    place, end = min(whole)
    return part[:place], part[place + len(end) :]
