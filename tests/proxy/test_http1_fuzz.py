"""The HTTP/1.1 client on arbitrary and mutated answers, in arbitrary pieces."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.upstream.http1 import (
    MAX_NON_BODY,
    READ_HIGH_WATER,
    Connection,
    ProtocolError,
    RawHeaders,
)
from tests.proxy.test_sse_fuzz import in_pieces, sizes

bounded = settings(max_examples=300, deadline=None, derandomize=True)
SECONDS = 10
Result = tuple[int, RawHeaders, bytes, bool]
"""Status, headers, what came of the body, and whether it came to its end."""

ANSWERS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nold",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nx: y\r\n\r\n",
    b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nabc",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
]
FRAGMENTS = [b"\r\n", b"\n", b"\0", b" ", b":", b"0", b"ffffffffffffffffff", b"HTTP/1.1 200 OK\r\n"]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """One or two answers, of which some stretches are cut out or replaced."""
    answer = b"".join(draw(st.lists(st.sampled_from(ANSWERS), min_size=1, max_size=2)))
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(answer)))
        end = draw(st.integers(start, min(start + 6, len(answer))))
        replacement = draw(st.sampled_from([b"", *FRAGMENTS]) | st.binary(max_size=4))
        answer = answer[:start] + replacement + answer[end:]
    return answer


class Socket(asyncio.Transport):
    """A transport without a network, that hangs up as asyncio's does: on the loop's next turn."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self.connection = connection
        self.is_aborted = self.is_paused = False
        connection.connection_made(self)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Nobody reads what is asked."""

    def abort(self) -> None:
        self.is_aborted = True
        asyncio.get_running_loop().call_soon(self.connection.connection_lost, None)

    def is_closing(self) -> bool:
        return self.is_aborted

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False


async def answered(pieces: list[bytes]) -> Result:
    """Feed an answer and the end of its connection; return what is read of it."""
    connection = Connection(asyncio.get_running_loop())
    socket = Socket(connection)
    asking = asyncio.ensure_future(connection.send_request(b"", None))
    await asyncio.sleep(0)
    for piece in pieces:
        if not socket.is_aborted:
            connection.data_received(piece)
    if not socket.is_aborted:
        connection.connection_lost(None)
    body = b""
    try:
        async with asyncio.timeout(SECONDS):
            await asking
            while piece := await connection.read():
                body += piece
    except ProtocolError:
        return connection.status, connection.headers if connection.status else [], body, False
    return connection.status, connection.headers, body, True


@bounded
@given(mutated() | st.binary(max_size=100), sizes)
def test_the_pieces_that_an_answer_comes_in_change_nothing(answer: bytes, sizes: list[int]):
    whole = asyncio.run(answered([answer]))

    assert asyncio.run(answered(in_pieces(answer, sizes))) == whole


async def test_an_answer_that_nobody_reads_is_held_within_a_bound():
    connection = Connection(asyncio.get_running_loop())
    socket = Socket(connection)
    asking = asyncio.ensure_future(connection.send_request(b"", None))
    await asyncio.sleep(0)

    connection.data_received(b"HTTP/1.1 200 OK\r\n\r\n")
    await asking
    fed = 0
    while not socket.is_paused:
        connection.data_received(b"x" * 1024)
        fed += 1024

    assert fed <= READ_HIGH_WATER + 1024
    assert len(await connection.read()) == fed
    assert not socket.is_paused


async def test_a_head_without_an_end_is_held_within_a_bound():
    connection = Connection(asyncio.get_running_loop())
    socket = Socket(connection)
    asking = asyncio.ensure_future(connection.send_request(b"", None))
    await asyncio.sleep(0)

    connection.data_received(b"HTTP/1.1 200 OK\r\n")
    fed = 0
    while not socket.is_aborted:
        connection.data_received(b"x: y\r\n" * 100)
        fed += 600

    assert fed <= MAX_NON_BODY + 600
    assert isinstance((await asyncio.gather(asking, return_exceptions=True))[0], ProtocolError)
