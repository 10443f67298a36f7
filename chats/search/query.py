"""Search for words in titles and messages: the database's own index, one way to ask.

`filter(content__words=Query.of("hot tea"))` works on PostgreSQL (a tsvector that the database keeps
up to date, with a GIN index) and on SQLite (FTS5, kept up to date by triggers). Both split texts
at white space and punctuation, fold case and know no language, so every language is searched
alike.

What a person may write: words, which match words that begin with them; "phrases", which match as
they are; -words, which must not be there. Anything else is punctuation: there is no wrong query.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from django.db.models import Lookup

INDEXED_CHARACTERS = 100_000
"""Of a longer text the beginning is searched: PostgreSQL's vectors are bounded."""

MOST_TERMS = 16
# Shorter words match as they are: too many words begin with them.
LEAST_PREFIX = 3
BESIDE = 80
"""Characters shown on each side of a match."""

PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
_BLANKED = str.maketrans(dict.fromkeys(PUNCTUATION, " "))
_TERMS = re.compile(r'(-?)(?:"([^"]*)"?|([^\s"]+))')


@dataclass(frozen=True, slots=True)
class Term:
    """Words that must follow each other, or must not be there."""

    words: str
    is_prefix: bool = False
    is_excluded: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """What a person searches for."""

    terms: tuple[Term, ...]

    @classmethod
    def of(cls, text: str) -> Query:
        return cls(tuple(_terms(text))[:MOST_TERMS])

    def __bool__(self) -> bool:
        """Whether there is anything to search for."""
        return any(not term.is_excluded for term in self.terms)

    @property
    def wanted(self) -> list[Term]:
        return [term for term in self.terms if not term.is_excluded]

    def for_postgresql(self) -> str:
        """The query for to_tsquery. No quote or backslash can be in a term."""
        return " & ".join(
            f"{'!' * term.is_excluded}({_following(term)}{':*' * term.is_prefix})"
            for term in self.terms
        )

    def for_sqlite(self) -> str:
        """The query for FTS5's MATCH. No quote can be in a term."""
        wanted = " AND ".join(f'"{term.words}"{"*" * term.is_prefix}' for term in self.wanted)
        excluded = " OR ".join(f'"{term.words}"' for term in self.terms if term.is_excluded)
        return f"({wanted}) NOT ({excluded})" if excluded else wanted


def _following(term: Term) -> str:
    return " <-> ".join(f"'{word}'" for word in term.words.split())


def _terms(text: str) -> Iterable[Term]:
    for minus, phrase, word in _TERMS.findall(_writable(text)):
        words = " ".join((phrase or word).translate(_BLANKED).split())
        if words:
            is_prefix = bool(word) and not minus and _is_beginning(words.split()[-1])
            yield Term(words, is_prefix, bool(minus))


def _is_beginning(word: str) -> bool:
    """Whether a word may find longer ones; in some scripts two characters say much."""
    return len(word) >= LEAST_PREFIX or not word.isascii()


def _writable(text: str) -> str:
    """Return the text without what a database can't take."""
    return text.replace("\0", " ").encode("utf-8", "ignore").decode()


class Words(Lookup):
    """`column__words=Query`: the rows whose column answers to the query."""

    lookup_name = "words"
    prepare_rhs = False

    def as_postgresql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        quote = compiler.quote_name_unless_alias
        vector = f"{quote(self.lhs.alias)}.{quote(self.lhs.target.column + '_words')}"
        return f"{vector} @@ to_tsquery('simple', %s)", [self.rhs.for_postgresql()]

    def as_sqlite(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        quote = compiler.quote_name_unless_alias
        model = self.lhs.target.model._meta
        row = f"{quote(self.lhs.alias)}.{quote(model.pk.column)}"
        words, rows = quote(f"{model.db_table}_words"), quote(f"{model.db_table}_rows")
        subquery = (
            f"SELECT r.row FROM {words} w JOIN {rows} r ON r.number = w.rowid "  # noqa: S608
            f"WHERE {words} MATCH %s"
        )
        return f"{row} IN ({subquery})", [self.rhs.for_sqlite()]


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a text, and whether it is what was searched for."""

    text: str
    match: bool


def highlighted(text: str, query: Query) -> list[Part]:
    """Return all of a text in parts."""
    spans = [match.span() for match in _pattern(query).finditer(text)]
    edges = [0, *(edge for span in spans for edge in span), len(text)]
    parts = [
        Part(text[begin:end], bool(index % 2)) for index, (begin, end) in enumerate(pairwise(edges))
    ]
    return [part for part in parts if part.text]


def snippet(text: str, query: Query) -> list[Part]:
    """Return the surroundings of the first match in a text, in parts."""
    first = _pattern(query).search(text)
    begin, end = first.span() if first else (0, 0)
    low, high = max(0, begin - BESIDE), min(len(text), end + BESIDE)
    # Not in the middle of a word, unless it is a long one.
    if low and (blank := text.find(" ", low, begin)) > 0:
        low = blank + 1
    if high < len(text) and (blank := text.rfind(" ", end, high)) > 0:
        high = blank
    excerpt = " ".join(text[low:high].split())
    return highlighted(f"{'…' * (low > 0)}{excerpt}{'…' * (high < len(text))}", query)


def _pattern(query: Query) -> re.Pattern[str]:
    """The wanted terms as they may stand in a text."""
    gap = r"[\s\W_]+"
    terms = (
        gap.join(map(re.escape, term.words.split())) + (r"[^\W_]*" if term.is_prefix else r"(?!\w)")
        for term in query.wanted
    )
    return re.compile(rf"(?<![^\W_])(?:{'|'.join(terms) or '(?!)'})", re.IGNORECASE)
