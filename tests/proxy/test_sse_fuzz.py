"""Event streams of any bytes in any pieces, against a parser written from the specification."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.errors import UpstreamBroken
from proxy.wire.sse import LONGEST_EVENT, EventReader

bounded = settings(max_examples=300, deadline=None, derandomize=True)
FRAGMENTS = [
    *(b"\r", b"\n", b"\r\n", b"\n\n", b"\xef\xbb\xbf", b":", b" ", b"data", b"data:", b"data: "),
    *(b"data: one\n\n", b"event: x\n", b"id: 1\r", b"x", b"\xff", b"\0", b"retry: 5\n"),
]
streams = st.lists(st.sampled_from(FRAGMENTS), max_size=30).map(b"".join)
sizes = st.lists(st.integers(1, 9), min_size=1, max_size=20)


def by_specification(stream: bytes) -> list[bytes]:
    """The data of each event by the HTML standard, 9.2.6, and of one that the end leaves open."""
    lines = re.split(rb"\r\n|\n|\r", stream.removeprefix(b"\xef\xbb\xbf"))
    events, data = [], b""
    for line in [*lines, b""]:
        field, _, value = line.partition(b":")
        if field == b"data":
            data += value.removeprefix(b" ") + b"\n"
        elif not line and data:
            events.append(data.removesuffix(b"\n"))
            data = b""
    return events


def in_pieces(stream: bytes, sizes: list[int]) -> list[bytes]:
    """Cut a stream into pieces of these sizes, again and again."""
    pieces, start, turn = [], 0, 0
    while start < len(stream):
        pieces.append(stream[start : start + sizes[turn % len(sizes)]])
        start, turn = start + len(pieces[-1]), turn + 1
    return pieces


def events_of(pieces: list[bytes]) -> list[bytes]:
    reader = EventReader()
    events = [event for piece in pieces for event in reader.read(piece)]
    return [*events, *reader.end()]


@bounded
@given(streams, sizes)
def test_any_pieces_give_the_events_of_the_specification(stream: bytes, sizes: list[int]):
    assert events_of(in_pieces(stream, sizes)) == by_specification(stream)


@bounded
@given(st.binary(max_size=200), sizes)
def test_arbitrary_bytes_give_the_events_of_the_specification(stream: bytes, sizes: list[int]):
    assert events_of(in_pieces(stream, sizes)) == by_specification(stream)


def test_an_event_that_ends_with_a_carriage_return_is_given_at_once():
    assert list(EventReader().read(b"data: one\r\r")) == [b"one"]


def test_lines_without_data_do_not_pass_the_bound():
    with pytest.raises(UpstreamBroken):
        list(EventReader().read(b"data:\n" * (LONGEST_EVENT + 1)))


def test_a_giant_of_one_piece_is_refused_like_one_of_many():
    with pytest.raises(UpstreamBroken):
        list(EventReader().read(b"data: " + b"x" * LONGEST_EVENT + b"\n\n"))
