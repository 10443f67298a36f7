"""A text taken apart into terms: stems, identifiers and their parts, pairs of characters.

Where a script writes no spaces, two neighbouring characters are a term. Stems are Snowball's
(Porter 2001, https://snowballstem.org), chosen by script; accents are dropped before, so that
inflected German and French words meet.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

import Stemmer

from .stopwords import PAIRS, VAGUE, WORDS

LONGEST_WORD: Final = 64
"""Characters of a word that are looked at; what is longer is no word of a language."""

# Marks belong to the letters that they stand on, although `\w` leaves them out.
_MARKS = (
    "\u0300-\u036f\u064b-\u0652\u0900-\u0963\u0966-\u0dff\u0e31-\u0e4e\u0eb1-\u0ecd\u1000-\u109f"
)
CHUNK: Final = re.compile(rf"[\w{_MARKS}]+(?:[.'’\-][\w{_MARKS}]+)*")

_PART = re.compile(r"[^._'’\-]+")
_CAMEL = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\da-zA-Z]+")
_UNSPACED = re.compile(
    "([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
    "\U00020000-\U0003ffff]+)"
)
_STEMMERS: Final = {
    name: Stemmer.Stemmer(name, 0) for name in ("english", "russian", "arabic", "hindi", "greek")
}
_SCRIPTS: Final = (
    ("\u0370", "\u03ff", "greek"),
    ("\u0400", "\u04ff", "russian"),
    ("\u0600", "\u06ff", "arabic"),
    ("\u0900", "\u097f", "hindi"),
)


def terms(chunk: str) -> Iterator[str]:
    """Yield the terms of one match of `CHUNK`; none for a word that says nothing."""
    chunk = chunk[:LONGEST_WORD]
    if chunk.isascii() and chunk.isalpha():
        if chunk.islower() or chunk.istitle() or chunk.isupper():
            yield from _word(chunk.lower())
            return
    elif not chunk.isascii():
        chunk = folded(chunk)
        if _UNSPACED.search(chunk):
            yield from _unspaced(chunk)
            return
        if not any(c.isascii() for c in chunk):
            yield from _word(chunk.casefold())
            return
    yield from _identifier(_without_clitic(chunk))


def is_vague(term: str) -> bool:
    """Tell whether `term` is a word of asking, such as "example" or "explain"."""
    return term in _VAGUE_STEMS


def folded(text: str) -> str:
    """Return `text` in compatible forms and without the accents of European scripts."""
    return (
        "".join(c for c in unicodedata.normalize("NFKD", text) if not "\u0300" <= c <= "\u036f")
        if not _UNSPACED.search(text)
        else unicodedata.normalize("NFKC", text)
    )


def _without_clitic(chunk: str) -> str:
    """Cut "it's" and "don't" where the apostrophe stands."""
    for mark in "'’":
        head, separator, tail = chunk.partition(mark)
        if separator and len(tail) <= 2:
            return head
    return chunk


def _identifier(chunk: str) -> Iterator[str]:
    """Yield the whole of an identifier and its parts, or a plain word's stem."""
    parts = [p for piece in _PART.findall(chunk) for p in _CAMEL.findall(piece)]
    if len(parts) > 1:
        yield "".join(parts).casefold()
    for part in parts:
        yield from _word(part.casefold())


def _word(word: str) -> Iterator[str]:
    if word in WORDS or (len(word) == 1 and word.isascii() and not word.isdigit()):
        return
    if word.isascii():
        yield word if word.isdigit() else _STEMMERS["english"].stemWord(word)
        return
    for first, last, name in _SCRIPTS:
        if first <= word[0] <= last:
            yield _STEMMERS[name].stemWord(word)
            return
    yield _STEMMERS["english"].stemWord(word)


def _unspaced(chunk: str) -> Iterator[str]:
    for number, run in enumerate(_UNSPACED.split(chunk)):
        if number % 2 == 0:
            yield from _identifier(run)
        elif len(run) == 1:
            yield run
        else:
            yield from (pair for pair in map("".join, pairwise(run)) if pair not in PAIRS)


_VAGUE_STEMS: Final = frozenset(_STEMMERS["english"].stemWord(word) for word in VAGUE)
