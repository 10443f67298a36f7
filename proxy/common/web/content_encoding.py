"""Compressed bodies, of requests and of answers: decoded piece by piece, never beyond a bound.

A few bytes may decode to gigabytes, so whoever decodes says how much they take at once.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterable

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SUPPORTED = ("gzip", "deflate", "zstd")
# How much is decoded before somebody else has their turn.
STEP = 64 * 1024
# What of a body is given to a decoder at once: it copies what it has not come to yet.
_SLICE = 64 * 1024
# RFC 9659 allows no larger window, and so no more memory: 8 MiB.
_ZSTD_OPTIONS: dict[int, int] = {zstd.DecompressionParameter.window_log_max: 23}
_GZIP_BITS = 16 + zlib.MAX_WBITS


class UnknownEncoding(Exception):
    """What nobody here can decode."""


class BrokenEncoding(Exception):
    """The bytes are not what their encoding says, or end too early."""


class DecodedTooLarge(Exception):
    """A body decodes to more than is taken."""


def encoding_in(values: Iterable[str]) -> str:
    """Return the encoding that the headers Content-Encoding name; empty where there is none.

    Raises UnknownEncoding, also for several on top of each other.
    """
    names = [name.strip().lower() for name in ",".join(values).split(",")]
    applied = [name.removeprefix("x-") for name in names if name not in ("", "identity")]
    if not applied:
        return ""
    if len(applied) > 1 or applied[0] not in SUPPORTED:
        raise UnknownEncoding
    return applied[0]


def decoded(body: bytes, encoding: str, most: int) -> bytes:
    """Return a body decoded; raises BrokenEncoding, or DecodedTooLarge beyond `most` bytes."""
    decoder, pieces, left = Decoder(encoding), [], most + 1
    for start in range(0, len(body), _SLICE):
        decoder.feed(body[start : start + _SLICE])
        while left and (piece := decoder.read(left)):
            pieces.append(piece)
            left -= len(piece)
        if not left:
            raise DecodedTooLarge
    if not decoder.is_complete:
        raise BrokenEncoding
    return b"".join(pieces)


class Decoder:
    """Decodes a body of one encoding: `feed` it what has come, then `read` until there is nothing.

    A body is one gzip member or one zstd frame; what follows it is an error.
    """

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._stream: _Inflater | zstd.ZstdDecompressor | None = None
        self._fed = b""
        self.has_more = False
        """Whether `read` may have something without being fed."""

    @property
    def has_begun(self) -> bool:
        return self._stream is not None

    @property
    def is_complete(self) -> bool:
        """Whether the body has come to its own end, and all of it was read."""
        return self._stream is not None and self._stream.eof

    def feed(self, data: bytes) -> None:
        """Take more of the encoded body, once `read` has returned nothing."""
        if data and self._stream is None:
            self._stream = _stream_of(self._encoding, data)
        self._fed, self.has_more = data, bool(data)

    def read(self, most: int = STEP) -> bytes:
        """Return what is decoded next, `most` bytes of it at most; raises BrokenEncoding."""
        stream = self._stream
        if stream is None or not self.has_more:
            return b""
        fed, self._fed = self._fed, b""
        try:
            data = stream.decompress(fed, most)
        except (zlib.error, zstd.ZstdError, EOFError):
            raise BrokenEncoding from None
        if stream.unused_data:
            raise BrokenEncoding
        self.has_more = len(data) == most and not stream.eof
        return data


class _Inflater:
    """A stream of zlib's that keeps what it has not come to, as the others do."""

    def __init__(self, bits: int) -> None:
        self._inflate = zlib.decompressobj(bits)

    @property
    def eof(self) -> bool:
        return self._inflate.eof

    @property
    def unused_data(self) -> bytes:
        return self._inflate.unused_data

    def decompress(self, data: bytes, most: int) -> bytes:
        if self.eof:
            raise EOFError
        return self._inflate.decompress(self._inflate.unconsumed_tail + data, most)


def _stream_of(encoding: str, start: bytes) -> _Inflater | zstd.ZstdDecompressor:
    """Return what decodes a body that begins with `start`."""
    if encoding == "zstd":
        return zstd.ZstdDecompressor(options=_ZSTD_OPTIONS)
    if encoding == "gzip":
        return _Inflater(_GZIP_BITS)
    # Half the world sends deflate without the frame of zlib that it should have.
    is_framed = start[0] & 0x0F == zlib.DEFLATED
    return _Inflater(zlib.MAX_WBITS if is_framed else -zlib.MAX_WBITS)
