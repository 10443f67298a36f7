"""Event streams as they are read, in whatever pieces they come."""

from __future__ import annotations

import pytest

from proxy.errors import UpstreamBroken
from proxy.wire.sse import LONGEST_EVENT, EventReader

STREAM = b"data: one\r\n\r\n: a remark\n\ndata: two\ndata: lines\n\ndata:three\n\n"


@pytest.mark.parametrize("size", [1, 2, 7, len(STREAM)])
def test_events_are_the_same_in_pieces_of_any_size(size: int):
    reader = EventReader()
    pieces = [STREAM[place : place + size] for place in range(0, len(STREAM), size)]

    assert [event for piece in pieces for event in reader.read(piece)] == [
        b"one",
        b"two\nlines",
        b"three",
    ]


def test_what_came_before_a_giant_is_given_before_that_is_told():
    events = EventReader().read(b"data: one\n\ndata: " + b"x" * (LONGEST_EVENT + 1))

    assert next(events) == b"one"
    with pytest.raises(UpstreamBroken):
        next(events)


def test_an_end_without_its_blank_line_is_an_end():
    reader = EventReader()

    assert list(reader.read(b"data: one")) == []
    assert list(reader.end()) == [b"one"]
