"""Code in an answer: coloured by Pygments where it knows the language, plain otherwise."""

from __future__ import annotations

from functools import lru_cache

from django.utils.html import escape
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

# Longer code is shown without colours: lexers are regular expressions, some of them slow.
LONGEST = 30_000
LONGEST_NAME = 30
_formatter = HtmlFormatter(nowrap=True)


def block(text: str, language: str) -> str:
    """Return a block of code as HTML, its language named for the reader."""
    lexer = _lexer(language.lower()) if len(language) <= LONGEST_NAME else None
    inner = (
        highlight(text, lexer, _formatter).removesuffix("\n")
        if lexer and len(text) <= LONGEST
        else escape(text.removesuffix("\n"))
    )
    name = escape(language[:LONGEST_NAME])
    pre = f'<pre tabindex="0" data-language="{name}"><code>{inner}</code></pre>'
    return f'<div class="code">{pre}</div>\n'


@lru_cache(maxsize=256)
def _lexer(language: str) -> Lexer | None:
    if not language:
        return None
    try:
        return get_lexer_by_name(language, stripnl=False)
    except ClassNotFound:
        return None
