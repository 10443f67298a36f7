"""What Anthropic says of an answer's tokens, in OpenAI's terms.

Its input leaves out what was read from the cache or written to it. In a stream the counts are
cumulative and come in parts: the last of each that is told holds.
"""

from __future__ import annotations

from typing import Any

from proxy.wire.dialect import Counts, Mark
from proxy.wire.usage_parser import counted, objects_after

Usage = dict[str, Any]

USAGE = Mark(b"usage", rb"(?=\{)")
_INPUT, _OUTPUT = "input_tokens", "output_tokens"
_READ, _WRITTEN = "cache_read_input_tokens", "cache_creation_input_tokens"
_SHORT, _LONG = "ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"
# Of an event with the part that ends a stream.
_DELTA = b'"message_delta"'


def reported(texts: bytes) -> Counts:
    """Return the provider's own token counts from what may hold them of its answer."""
    usages = list(objects_after(USAGE, texts))
    if _DELTA not in texts:
        # The input of a tool may have a field of this name, which stands before the answer's own.
        usages = usages[-1:]
    latest: Usage = {}
    for usage in usages:
        latest |= {name: value for name, value in usage.items() if value is not None}
    return counts_in(latest)


def counts_in(usage: Usage) -> Counts:
    """Return what a provider's `usage` says; a count that it does not tell is None."""
    rounds = _rounds(usage)
    cached, written = _sum(rounds, _READ), _sum(rounds, _WRITTEN)
    split = [
        each["cache_creation"] for each in rounds if isinstance(each.get("cache_creation"), dict)
    ]
    for_long = _sum(split, _LONG)
    if written is None:
        written = _total(_sum(split, _SHORT), for_long)
    details = usage.get("output_tokens_details")
    return {
        "prompt_tokens": _total(_sum(rounds, _INPUT), cached, written),
        "completion_tokens": _sum(rounds, _OUTPUT),
        "cached_tokens": cached,
        "written_tokens": written,
        "written_for_long_tokens": for_long,
        "reasoning_tokens": (
            counted(details.get("thinking_tokens")) if isinstance(details, dict) else None
        ),
    }


def _rounds(usage: Usage) -> list[Usage]:
    """Return what is to be added up: where the models were asked several times, each time.

    The provider's own sums hold the last one alone.
    """
    iterations = usage.get("iterations")
    if not isinstance(iterations, list):
        return [usage]
    parts = [each for each in iterations if isinstance(each, dict)]
    return parts if _sum(parts, _INPUT) is not None else [usage]


def tells_all_input(usage: Usage) -> bool:
    """Whether a usage tells every part of the input: some servers repeat but one at the end."""
    return all(usage.get(name) is not None for name in (_INPUT, _READ, _WRITTEN))


def _sum(rounds: list[Usage], name: str) -> int | None:
    return _total(*[counted(each.get(name)) for each in rounds])


def _total(*counts: int | None) -> int | None:
    # A plain loop: it is asked several times for each call, mostly for one count.
    total: int | None = None
    for count in counts:
        if count is not None:
            total = count + (total or 0)
    return counted(total)
