"""The body of a request that is read here, as its client wrote it before compressing it."""

from __future__ import annotations

from proxy.common.errors import InvalidRequest, RequestTooLarge
from proxy.common.web import content_encoding
from proxy.common.web.asgi import Receive, Scope, header, read_body
from proxy.errors import UnsupportedEncoding
from proxy.filtering.cpu_threads import run_in_thread
from proxy.options import options


async def read_decoded(scope: Scope, receive: Receive) -> bytes:
    """Return the request's body, decoded where it came compressed; the limit holds for both forms.

    Raises UnsupportedEncoding before the body is read, RequestTooLarge, InvalidRequest for what is
    not what its encoding says, and ClientDisconnected.
    """
    named = header(scope, b"content-encoding")
    try:
        encoding = content_encoding.encoding_in([named]) if named else ""
    except content_encoding.UnknownEncoding:
        raise UnsupportedEncoding from None
    body = await read_body(scope, receive, options().max_body)
    # However small, it may become as large as is allowed.
    return await run_in_thread(_decoded, body, encoding) if encoding else body


def _decoded(body: bytes, encoding: str) -> bytes:
    most = options().max_body
    try:
        return content_encoding.decoded(body, encoding, most)
    except content_encoding.DecodedTooLarge:
        raise RequestTooLarge(f"The body, decoded, is larger than {most // 1024} KiB.") from None
    except content_encoding.BrokenEncoding:
        raise InvalidRequest(
            f"The body is not what its header Content-Encoding says: {encoding}, whole and alone."
        ) from None
