"""Markdown to HTML that is safe on a page, in a bounded time, remembered by its text.

The parser knows no HTML, so tags in a message are text; what it makes is cleaned once more by an
allow-list. Pictures become links: nothing in an answer is ever loaded from elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import nh3
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

from chats.rendering import code, math
from proxy.common.lru import LRUCache, digest_of

# Above these a text is shown as it is: the parser needs quadratic time for some that no one writes,
# and a second and a half for the worst of this length.
LONGEST = 120_000
MOST_OPENERS = 4_000
DEEPEST = 20
# Rendered texts are remembered up to so many characters of text and HTML together.
REMEMBERED = 16_000_000

TAGS = {
    *("p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "ul", "ol", "li"),
    *("strong", "em", "s", "code", "pre", "a", "span", "div"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}
ATTRIBUTES = {
    "a": {"href", "title"},
    "ol": {"start"},
    "code": {"class"},
    "span": {"class"},
    "pre": {"tabindex", "data-language"},
    "div": {"class"},
    "th": {"class"},
    "td": {"class"},
}
_SCHEMES = {"http", "https", "mailto"}
_LINK = re.compile(r"(?:https?://|mailto:)", re.IGNORECASE)


def rendered(text: str) -> SafeString:
    """Return `text` as HTML for a page."""
    digest = digest_of(text.encode("utf-8", "surrogatepass"))
    html = _cache.get(digest)
    if html is None:
        html = _rendered(text)
        _cache.put(digest, html, cost=len(text) + len(html))
    return mark_safe(html)  # noqa: S308


def sketched(text: str) -> SafeString:
    """Return the HTML of a text that is still growing, which is not worth remembering."""
    return mark_safe(_rendered(text))  # noqa: S308


def is_plain(text: str) -> bool:
    """Whether a text is too long, or too strange, to be read as markdown."""
    return len(text) > LONGEST or any(text.count(opener) > MOST_OPENERS for opener in "[<")


def parser() -> MarkdownIt:
    """Return the parser of messages."""
    markdown = MarkdownIt(
        "commonmark",
        {"html": False, "linkify": False, "maxNesting": DEEPEST},
        renderer_cls=_Renderer,
    )
    markdown.enable(["table", "strikethrough"])
    markdown.use(math.plugin)
    markdown.validateLink = _may_link  # type: ignore[method-assign]
    return markdown


def _may_link(url: str) -> bool:
    return _LINK.match(url.strip()) is not None


def _rendered(text: str) -> str:
    env: dict[str, Any] = {}
    tokens = [] if is_plain(text) else _parser.parse(text, env)
    # The parser leaves out what is nested deeper than it goes.
    if not tokens or any(token.level >= DEEPEST - 1 for token in tokens):
        return f'<p class="plain">{escape(text)}</p>' if text.strip() else ""
    html = cleaned(_parser.renderer.render(tokens, _parser.options, env))
    return math.filled_in(html, env)


def cleaned(html: str) -> str:
    """Return `html` with nothing in it but the elements that a message may have."""
    return nh3.clean(
        html,
        tags=TAGS,
        attributes=ATTRIBUTES,
        url_schemes=_SCHEMES,
        link_rel="noopener noreferrer nofollow",
    )


class _Renderer(RendererHTML):
    """The parser's own HTML, but for code, pictures and the alignment of columns."""

    def fence(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        language = tokens[index].info.strip().split(" ", 1)[0]
        return code.block(tokens[index].content, language)

    def code_block(
        self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType
    ) -> str:
        return code.block(tokens[index].content, "")

    def image(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        token = tokens[index]
        url = str(token.attrs.get("src", ""))
        text = self.renderInlineAsText(token.children, options, env) or url
        return f'<a href="{escape(url)}">{escape(text)}</a>'

    def table_open(
        self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType
    ) -> str:
        return '<div class="table-scroll"><table>\n'

    def table_close(
        self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType
    ) -> str:
        return "</table></div>\n"

    def th_open(
        self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType
    ) -> str:
        return _cell(tokens[index])

    td_open = th_open


def _cell(token: Token) -> str:
    """Return the opening of a cell; its alignment is a class, since styles are not allowed."""
    side = str(token.attrs.get("style", "")).removeprefix("text-align:")
    name = f' class="align-{side}"' if side in ("left", "right", "center") else ""
    return f"<{token.tag}{name}>"


_cache: LRUCache[str] = LRUCache(REMEMBERED, largest=REMEMBERED)
_parser = parser()
