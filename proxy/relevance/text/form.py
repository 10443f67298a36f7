"""The form of one text, in numbers that hold for any language and any topic."""

from __future__ import annotations

import math
import re
import zlib
from typing import Final

import numpy as np
from numpy.typing import NDArray

from . import small_words

READ: Final = 1200
"""Characters at the beginning of a text that are looked at closely."""

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_WIDE = re.compile("[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_NUMBER = re.compile(r"\d+(?:[.,:/]\d+)*")
_CODE_WORD = re.compile(r"\w*(?:[a-z][A-Z]|[A-Za-z]\d|\d[A-Za-z]|_\w|\w[./\\]\w)\w*")
_QUOTED = re.compile(r"[\"“„«「『‘`]")
_ITEM = re.compile(r"^\s*(?:[-*•–]|\d+[.)]|[a-zA-Z][.)])\s", re.M)
_MARKUP = re.compile(r"</?[A-Za-z][^>\n]{0,60}>")
_SYMBOL = re.compile(r"[{}\[\]<>=|;()$#\\_/+*~^&@]")
_STOP = re.compile(r"[.!?。！？।؟](?:\s|$)")
_LABEL = re.compile(r"^\s*[\[<(*#]*\w[\w .-]{0,24}\w?[\])*]*\s?:")
_CAPITALS = re.compile(r"(?<![.!?…]\s)(?<!^)\b[A-ZÀ-ÞА-Я][^\W\d_]+")
_SHOUTED = re.compile(r"\b[A-ZÀ-Þ]{2,}\b")
_OPENING = re.compile(r"\s*[^\w\s]{0,2}[\w.-]+")
_CHANGING = re.compile(
    "writ|edit|creat|updat|delet|remov|commit|move|renam|send|set|add|put|patch|apply|book|post"
    "|save|insert|cancel|change|replace|run|train|exec"
)
_SCRIPTS: Final = tuple(
    re.compile(f"[{span}]")
    for span in (
        "A-Za-z\u00c0-\u024f",
        "\u0400-\u04ff",
        "\u0600-\u06ff",
        "\u0900-\u097f",
        "\u3040-\u30ff",
        "\u3400-\u9fff",
        "\uac00-\ud7af",
    )
)

NAMES: Final = (
    "length",
    "words",
    "lines",
    "questions",
    "ends in a question",
    "ends in a stop",
    "exclamations",
    "numbers",
    "has a number",
    "code words",
    "quotes",
    "items",
    "markup",
    "symbols",
    "fenced",
    "label",
    "names",
    "shouted",
    "begins small",
    "begins with no letter",
    "colons",
    "commas",
    "sentences",
    *small_words.NAMES,
)
WIDTH: Final = len(NAMES)
OUTLINE: Final = WIDTH - len(small_words.NAMES)
"""How many of them, the first, tell of no words at all."""

PLACE: Final = {name: place for place, name in enumerate(NAMES)}


def form(text: str) -> NDArray[np.float32]:
    """Return `WIDTH` numbers, most between 0 and 1, in the order of `NAMES`."""
    begin = text[:READ].strip()
    wide = len(_WIDE.findall(begin)) if not begin.isascii() else 0
    words = _WORD.findall(begin.lower())
    count = len(words) + wide / 2
    small = small_words.counts(words, begin)
    size = max(len(begin), 1)
    lines = begin.count("\n") + 1
    scale = text.count("\n") + 1
    head, last = begin[:1], begin[-1:]
    numbers = len(_NUMBER.findall(begin))
    values = (
        math.log1p(len(text) + 1.5 * wide) / 8,
        math.log1p(count) / 5,
        math.log1p(scale) / 4,
        min(begin.count("?") + begin.count("？") + begin.count("؟"), 3) / 3,
        last in ("?", "？", "؟"),
        last in (".", "。", "!", "！", "।"),
        min(begin.count("!") + begin.count("！"), 2) / 2,
        min(numbers / (count + 1), 1),
        numbers > 0,
        min(len(_CODE_WORD.findall(begin)) / (count + 1), 1),
        min(len(_QUOTED.findall(begin)), 4) / 4,
        min(len(_ITEM.findall(begin)) / lines, 1),
        min(len(_MARKUP.findall(begin)), 4) / 4,
        min(4 * len(_SYMBOL.findall(begin)) / size, 1),
        "```" in text,
        bool(_LABEL.match(begin)),
        min(len(_CAPITALS.findall(begin)) / (count + 1), 1),
        min(len(_SHOUTED.findall(begin)) / (count + 1), 1),
        head.islower(),
        bool(head) and not head.isalpha(),
        min(begin.count(":") + begin.count("："), 4) / 4,
        min((begin.count(",") + begin.count("，") + begin.count("、")) / (count + 1) * 4, 1),
        math.log1p(len(_STOP.findall(begin))) / 3,
        *(min(3 * n / (count + 1), 1) for n in small),
    )
    return np.array(values, np.float32)


def script(text: str) -> int:
    """Return a number for the script that most of a text's beginning is written in."""
    begin = text[:200]
    if begin.isascii():
        return 0
    return int(np.argmax([len(pattern.findall(begin)) for pattern in _SCRIPTS]))


def opening(text: str) -> int:
    """Return a number for the first word of a text; 0 where it has none."""
    match = _OPENING.match(text[:80])
    return zlib.crc32(match[0].strip().lower().encode("utf-8", "surrogatepass")) if match else 0


def changes_something(call: str) -> bool:
    """Tell whether the text of a tool call begins with the name of one that does more than look."""
    return bool(_CHANGING.search(call[:60].lower()))
