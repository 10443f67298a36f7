"""Token counts in the end of an answer, whatever else stands there."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.wire import anthropic, gemini, openai
from proxy.wire.dialect import Counts

bounded = settings(max_examples=300, deadline=None, derandomize=True)
counts = st.integers(0, 2**31 - 1)
fragments = st.sampled_from(
    [
        *(
            b'"usage":',
            b'"usageMetadata" : ',
            b"{",
            b"}",
            b"[" * 200,
            b'"',
            b"\\",
            b"null",
            b"\xff",
        ),
        *(
            b'{"prompt_tokens":',
            b'{"input_tokens":',
            b'"iterations":[',
            b'"message_delta"',
            b"1e999",
            b"9" * 5000,
            b"-1",
            b"NaN",
            b"true",
            b"\n\n",
            b"data: ",
        ),
    ]
)
junk = st.lists(fragments | st.binary(max_size=8), max_size=20).map(b"".join)
FIELDS = ("prompt_tokens", "completion_tokens", "cached_tokens", "written_tokens")


def are_counts(reported: Counts) -> bool:
    values = [reported[name] for name in FIELDS]
    return all(v is None or (type(v) is int and 0 <= v < 2**31) for v in values)


@pytest.mark.parametrize("dialect", [openai, anthropic, gemini])
@bounded
@given(tail=junk)
def test_any_bytes_have_counts_or_none(dialect, tail: bytes):
    assert are_counts(dialect.reported(tail))


@bounded
@given(before=st.binary(max_size=200), prompt=counts, completion=counts, is_spaced=st.booleans())
def test_usage_is_found_after_any_bytes(
    before: bytes, prompt: int, completion: int, is_spaced: bool
):
    separators = None if is_spaced else (",", ":")
    openai_end = {"usage": {"prompt_tokens": prompt, "completion_tokens": completion}}
    gemini_end = {"usageMetadata": {"promptTokenCount": prompt, "candidatesTokenCount": completion}}

    for dialect, end in ((openai, openai_end), (gemini, gemini_end)):
        tail = before + json.dumps(end, separators=separators).encode() + b"\n\ndata: [DONE]\n\n"
        reported = dialect.reported(tail)

        assert (reported["prompt_tokens"], reported["completion_tokens"]) == (prompt, completion)
