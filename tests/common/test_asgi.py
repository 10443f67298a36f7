"""The ASGI that all endpoints outside Django share: headers, bodies, JSON."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.common.errors import InvalidRequest, RequestTooLarge
from proxy.common.web.asgi import (
    ClientDisconnected,
    Message,
    Receive,
    header,
    read_body,
    send_json,
    with_headers,
)


def request_of(*headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {"type": "http", "headers": list(headers)}


def receiving(*events: Message) -> Receive:
    waiting = list(events)

    async def receive() -> Message:
        return waiting.pop(0)

    return receive


def piece(body: bytes, *, more: bool = False) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


class TestAHeader:
    def test_is_given_as_text_without_the_space_around_it(self):
        assert header(request_of((b"x-name", b" caf\xe9 ")), b"x-name") == "café"

    def test_that_is_not_there_is_none(self):
        assert header(request_of(), b"x-name") is None

    def test_that_was_given_twice_is_refused(self):
        scope = request_of((b"x-name", b"one"), (b"x-name", b"one"), (b"host", b"here"))

        with pytest.raises(InvalidRequest):
            header(scope, b"x-name")
        assert header(scope, b"host") == "here"

    def test_is_looked_for_anew_in_a_scope_with_other_headers(self):
        scope = request_of((b"x-name", b"old"))
        header(scope, b"x-name")

        changed = with_headers(scope, [(b"x-name", b"new")])

        assert header(changed, b"x-name") == "new"
        assert header(scope, b"x-name") == "old"


class TestABody:
    async def test_in_pieces_is_joined(self):
        receive = receiving(piece(b"one ", more=True), piece(b"two", more=True), piece(b""))

        assert await read_body(request_of(), receive, 7) == b"one two"

    async def test_whose_length_says_that_it_is_too_large_is_refused_before_it_is_read(self):
        scope = request_of((b"content-length", b"8"))

        with pytest.raises(RequestTooLarge):
            await read_body(scope, receiving(), 7)

    async def test_that_turns_out_too_large_is_refused_and_its_connection_closed(self):
        receive = receiving(piece(b"1234", more=True), piece(b"5678", more=True))

        with pytest.raises(RequestTooLarge) as refused:
            await read_body(request_of(), receive, 7)
        assert ("connection", "close") in refused.value.headers

    async def test_whose_sender_leaves_is_none(self):
        receive = receiving(piece(b"1234", more=True), {"type": "http.disconnect"})

        with pytest.raises(ClientDisconnected):
            await read_body(request_of(), receive, 7)


async def test_json_is_sent_with_its_length_and_what_headers_are_given():
    sent: list[Message] = []

    async def send(event: Message) -> None:
        sent.append(event)

    await send_json(send, b"{}", status=404, headers=[(b"x-name", b"value")])

    start, body = sent
    assert start["status"] == 404
    assert start["headers"] == [
        (b"content-type", b"application/json"),
        (b"content-length", b"2"),
        (b"cache-control", b"private, no-store"),
        (b"x-name", b"value"),
    ]
    assert body == {"type": "http.response.body", "body": b"{}"}
