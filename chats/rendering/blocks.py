"""A text that is still being written, as blocks: all but the last are final.

What was once shown as final is never drawn anew, so that nothing already read moves.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from django.utils.safestring import SafeString

from chats.rendering.markdown import is_plain, parser, rendered

_LINE_END = re.compile(r"\r\n|\n|\r")
_parser = parser()


@dataclass(frozen=True)
class Block:
    """A piece of the text that stands alone: its source, and where it ends in the text."""

    source: str
    end: int

    @property
    def html(self) -> SafeString:
        return rendered(self.source)


def blocks_of(text: str, start: int = 0) -> tuple[list[Block], str]:
    """Return the final blocks of `text` from `start` on, and the tail that may still change.

    `start` is 0 or the end of a block that was returned for a beginning of the same text.
    """
    rest = text[start:]
    if is_plain(rest):
        return [], rest
    firsts = [
        token.map[0]
        for token in _parser.parse(rest)
        if token.map and token.level == 0 and token.nesting >= 0
    ]
    # Where each line begins, as the parser counts lines.
    starts = [0, *(match.end() for match in _LINE_END.finditer(rest))]
    cuts = [starts[first] for first in firsts[1:]]
    final = [
        Block(rest[before:cut], start + cut) for before, cut in zip([0, *cuts], cuts, strict=False)
    ]
    return final, rest[cuts[-1] if cuts else 0 :]
