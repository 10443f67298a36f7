"""Text to be spoken: markdown and links are left out, chunk by chunk."""

from __future__ import annotations

import re

_MARKS = re.compile(r"[*`~|_]+")
_LINE_START = re.compile(r"^[ \t]*(?:#{1,6}[ \t]+|>[ \t]?|[-+•][ \t]+)")
_LINK = re.compile(r"\[([^\]\n]*)\]\([^)\s]*\)|https?://\S+")
# A word, or a link, that is not whole yet waits for its end no longer than this.
LONGEST_WAIT = 200


class SpeechFilter:
    """Takes the markdown out of a text that comes in pieces, wherever these are cut."""

    def __init__(self) -> None:
        self._held = ""
        self._is_line_start = True

    def plain(self, chunk: str) -> str:
        """Return what of the text so far can be said."""
        text = self._held + chunk
        cut = self._safe_end(text)
        self._held, text = text[cut:], text[:cut]
        return self._cleaned(text)

    def flush(self) -> str:
        """Return what the end of the text leaves."""
        text, self._held = self._held, ""
        return self._cleaned(text)

    def _safe_end(self, text: str) -> int:
        """Return up to where nothing that follows changes what is left out: the last whole word."""
        cut = max(text.rfind(" "), text.rfind("\n")) + 1
        bracket = text.rfind("[")
        if bracket >= 0 and ")" not in text[bracket:]:
            cut = min(cut, bracket)
        return cut if len(text) - cut <= LONGEST_WAIT else len(text)

    def _cleaned(self, text: str) -> str:
        if not text:
            return ""
        lines = text.split("\n")
        first = 0 if self._is_line_start else 1
        lines[first:] = [_LINE_START.sub("", line) for line in lines[first:]]
        self._is_line_start = not lines[-1].strip() and (len(lines) > 1 or self._is_line_start)
        plain = _LINK.sub(lambda link: link[1] or "a link", "\n".join(lines))
        return _MARKS.sub("", plain)
