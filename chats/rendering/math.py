r"""Math in an answer: `$$ ... $$`, `\( ... \)`, `\[ ... \]` and `$...$` as MathML.

A single dollar is money, unless it hugs a formula as pandoc has it: no space within, no letter
or digit without. MathML is made after the HTML was cleaned, and checked by a list of its
own; what can't be read as LaTeX is shown as it was written.
"""

from __future__ import annotations

import re
import secrets
from functools import lru_cache
from typing import Any
from xml.etree import ElementTree

from django.utils.html import escape
from latex2mathml.converter import convert
from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

LONGEST = 1_000
MOST = 200

INLINE = {r"\(": (r"\)", False), r"\[": (r"\]", True), "$$": ("$$", True)}
# Between single dollars, what prices on one line never have between them.
_HUGGED = re.compile(r"(?<!\w)\$(?![\s$])([^$\n]{1,1000})(?<![\s\\])\$(?!\w)")
_NAMESPACE = "{http://www.w3.org/1998/Math/MathML}"
_ELEMENTS = {
    *("math", "mrow", "mi", "mn", "mo", "ms", "mtext", "mspace", "mstyle", "mpadded", "mphantom"),
    *("mfrac", "msqrt", "mroot", "msub", "msup", "msubsup", "munder", "mover", "munderover"),
    *("mmultiscripts", "mprescripts", "none", "mtable", "mtr", "mtd", "menclose", "merror"),
}
_ATTRIBUTES = {
    *("display", "mathvariant", "stretchy", "fence", "form", "separator", "accent", "accentunder"),
    *("linethickness", "columnalign", "rowspacing", "columnspacing", "width", "height", "depth"),
    *("lspace", "rspace", "minsize", "maxsize", "movablelimits", "displaystyle", "scriptlevel"),
    *("notation", "largeop", "symmetric", "columnlines", "rowlines", "xmlns"),
}
_PLACE = re.compile(r'<span class="math-place">([0-9a-f]+)-(\d+)</span>')


def plugin(parser: MarkdownIt) -> None:
    """Teach the parser to find math: within a line, and as a block of its own."""
    parser.inline.ruler.before("escape", "math", _inline)
    parser.block.ruler.before(
        "fence", "math", _block, {"alt": ["paragraph", "reference", "blockquote", "list"]}
    )
    parser.add_render_rule("math", _place)


def filled_in(html: str, env: dict[str, Any]) -> str:
    """Return the cleaned HTML with MathML in the places that the parser left for it."""
    formulas: list[tuple[str, bool]] = env.get("math", [])
    if not formulas:
        return html

    def replace(match: re.Match[str]) -> str:
        if match[1] != env["math_mark"]:
            return match[0]
        return mathml(*formulas[int(match[2])])

    return _PLACE.sub(replace, html)


@lru_cache(maxsize=2048)
def mathml(source: str, is_display: bool) -> str:
    """Return LaTeX as MathML, or as it was written where it can't be read or is too long."""
    source_html = f'<code class="math">{escape(source)}</code>'
    if len(source) > LONGEST:
        return source_html
    try:
        converted = convert(source, display="block" if is_display else "inline")
        tree = ElementTree.fromstring(converted)  # noqa: S314  (made here, from no document of others)
    except Exception:
        return source_html
    return converted if _is_harmless(tree) else source_html


def _is_harmless(tree: ElementTree.Element) -> bool:
    return all(
        element.tag.removeprefix(_NAMESPACE) in _ELEMENTS and element.attrib.keys() <= _ATTRIBUTES
        for element in tree.iter()
    )


def _inline(state: StateInline, silent: bool) -> bool:
    opening = state.src[state.pos : state.pos + 2]
    if opening not in INLINE:
        return _hugged(state, silent)
    closing, is_display = INLINE[opening]
    # Looking no further than a formula may be long keeps a row of openers from costing its square.
    end = state.src.find(closing, state.pos + 2, state.pos + 2 + LONGEST)
    source = state.src[state.pos + 2 : max(end, 0)].strip()
    if end < 0 or not source:
        return False
    return _push_math(state, silent, source, is_display, end + 2)


def _hugged(state: StateInline, silent: bool) -> bool:
    match = _HUGGED.match(state.src, state.pos)
    return match is not None and _push_math(state, silent, match[1], False, match.end())


def _push_math(state: StateInline, silent: bool, source: str, is_display: bool, end: int) -> bool:
    if not silent:
        token = state.push("math", "", 0)
        token.content, token.meta = source, {"is_display": is_display}
    state.pos = end
    return True


def _block(state: StateBlock, first: int, last: int, silent: bool) -> bool:
    """Read a block that opens a line and closes one, whatever markdown stands between."""
    if state.is_code_block(first):
        return False
    text = state.src[state.bMarks[first] + state.tShift[first] : state.eMarks[first]]
    opening = text[:2]
    if opening not in (r"\[", "$$"):
        return False
    closing = INLINE[opening][0]
    lines = [text[2:]]
    line = first
    while not lines[-1].rstrip().endswith(closing):
        line += 1
        if line >= last or line - first > LONGEST // 10:
            return False
        lines.append(state.src[state.bMarks[line] : state.eMarks[line]])
    source = "\n".join(lines).rstrip().removesuffix(closing).strip()
    if not source or closing in source:
        return False
    if not silent:
        token = state.push("math", "", 0)
        token.block, token.map = True, [first, line + 1]
        token.content, token.meta = source, {"is_display": True}
    state.line = line + 1
    return True


def _place(self: Any, tokens: list[Token], index: int, options: Any, env: dict[str, Any]) -> str:
    """Leave a place that no text of the message can name, or show the source past the limit."""
    token = tokens[index]
    formulas: list[tuple[str, bool]] = env.setdefault("math", [])
    if len(formulas) >= MOST:
        return f'<code class="math">{escape(token.content)}</code>'
    mark = env.setdefault("math_mark", secrets.token_hex(8))
    formulas.append((token.content, token.meta["is_display"]))
    placeholder = f'<span class="math-place">{mark}-{len(formulas) - 1}</span>'
    return f"<p>{placeholder}</p>\n" if token.block else placeholder
