"""What a message does, by its turns of phrase: points back, sets a rule, asks for more."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Final

SPAN: Final = 600
"""Characters at the beginning and at the end of a message in which we look for such phrases."""

END: Final = 240
"""Characters at the end of an answer that tell whether it asks for more."""

_WORD = re.compile(r"[^\W\d_]+")

_POINTING_WORDS = """
it its itself they them their theirs this that these those he she him his her hers one ones
there such same other others another else instead then former latter above previous
previously earlier mentioned both either neither again dies diese dieser dieses diesen
diesem davon dazu dafür damit darüber er sie es ihn ihm celui celle cela ça eso esto ese esa
esos esas это этот эта эти этого этой он она оно они его её их هذا هذه ذلك यह ये वह वे इस उस
"""
_POINTING: Final = frozenset(_POINTING_WORDS.split())
_POINTING_UNSPACED: Final = (
    "它",
    "他",
    "她",
    "这",
    "這",
    "那",
    "此",
    "それ",
    "これ",
    "その",
    "この",
    "그것",
)

_CONTINUING_WORDS = """
and but or so also then ok okay yes yeah no nope sure really right wow oh hmm thanks great
nice cool interesting why anything continue more next und aber et mais y pero а и но
"""
_CONTINUING: Final = frozenset(_CONTINUING_WORDS.split())
_CONTINUING_PAIRS: Final = frozenset(
    ("what about", "how about", "what else", "any other", "thank you", "go on")
)

# By the words of which one must occur, so that most texts are never searched.
_RULES: Final = {
    word: re.compile(pattern)
    for needed, pattern in (
        (
            "now here henceforth rest throughout until unless",
            r"\bfrom (?:now|here) on\b|\bhenceforth\b|\bfor the rest of (?:this|our)\b"
            r"|\bthroughout (?:this|our)\b|\b(?:until|unless) i (?:say|tell|ask)\b",
        ),
        (
            "every each all whenever",
            r"\bin (?:all|every|each) (?:of )?(?:your|future|following)\b"
            r"|\b(?:every time|whenever) (?:i|you)\b"
            r"|\b(?:all|every|each) (?:of your )?(?:answers?|repl(?:y|ies)|responses?) "
            r"(?:must|should|needs?|has|have|to)\b",
        ),
        (
            "always only never",
            r"(?<!\bi )(?<!\bit )(?<!\bwe )(?<!\bthey )(?<!\bhe )(?<!\bshe )(?<!\bwho )(?<!\bthat )"
            r"\b(?:always|only|never) (?:answer|respond|reply|use|write|include|end|start|begin"
            r"|give|speak|mention|say|call|add|format|refer|keep|put|sign|return)\b",
        ),
        (
            "answer answers respond reply write speak",
            r"\b(?:answers?|respond|reply|write|speak)(?: to me| me| back)? (?:only )?"
            r"(?:in|with|as) (?:english|french|german|spanish|rhymes?|json|bullet|markdown|one|two"
            r"|short|haikus?|verses?|the style|plain)\b",
        ),
        ("don not", r"\b(?:do not|don['’]t) (?:ever|use|mention|include)\b"),
        (
            "act behave pretend role roleplay",
            r"\b(?:act|behave) (?:as|like)\b|\bpretend (?:to be|you)\b|\brole-?play\b"
            r"|\byour (?:name|role) (?:is|will)\b",
        ),
        ("you", r"\byou (?:are|will be) (?:now |my |an? )"),
        (
            "name call remember mind",
            r"\bmy name is\b|\bcall me\b|\bremember that\b|\bkeep in mind\b",
        ),
        ("sure", r"\bmake sure (?:to|that|you)\b"),
        (
            "allergic vegetarian vegan diabetic",
            r"(?<!\bif )\bi(?: a|['’])m (?:allergic|vegetarian|vegan|diabetic)",
        ),
        ("ab an immer", r"\bab (?:jetzt|sofort)\b|\bvon nun an\b|\bimmer auf\b|\bimmer als\b"),
        (
            "partir désormais siempre adelante",
            r"\bà partir de maintenant\b|\bdésormais\b|\ba partir de ahora\b"
            r"|\bde ahora en adelante\b|\bsiempre (?:responde|usa|escribe)",
        ),
        ("момента отныне всегда", r"\bс этого момента\b|\bотныне\b|\bвсегда (?:отвечай|пиши)"),
    )
    for word in needed.split()
}
_RULES_UNSPACED: Final = (
    "从现在开始",
    "从现在起",
    "以后都",
    "以后请",
    "今後は",
    "これからは",
    "앞으로",
    "지금부터",
    "من الآن",
    "अब से",
)
_ASKING_BACK: Final = re.compile(
    r"\b(?:could|can|would|will|may|do) (?:you|i)\b[^?.!]{0,120}\b(?:specify|provide|tell|share"
    r"|clarify|give|let me know|know|elaborate|have|like|prefer|ask|more)\b"
    r"|\b(?:please|kindly) (?:provide|specify|share|tell|clarify|give|enter|let me know|go ahead)\b"
    r"|\b(?:which|what)\b[^?.!]{0,120}\byour?\b"
    r"|\bare you (?:looking|interested|asking|referring|inquiring)\b"
    r"|\bdo you (?:have|want|need|prefer|mean)\b|\bi['’ a]+m (?:ready|happy|here) to\b"
)
_CORRECTING: Final = re.compile(
    r"\W*(?:no\b|nope\b|not (?:that|quite|what)|sorry,|wrong\b|i (?:meant|mean|said)|actually\b"
    r"|wait\b|correction\b|that['’]?s (?:not|wrong)|nein\b|non\b|нет\b|不[是对])"
)


class Phrases:
    """What is to be read at the two ends of one text."""

    def __init__(self, text: str) -> None:
        self._begin = text[:SPAN].lower()
        self._end = text[SPAN:][-SPAN:].lower()

    @cached_property
    def _words(self) -> list[str]:
        return _WORD.findall(self._begin)

    def is_anaphoric(self) -> bool:
        """Tell whether a word such as "it" or "those" stands for something said before."""
        if not _POINTING.isdisjoint(self._words):
            return True
        return not self._begin.isascii() and any(mark in self._begin for mark in _POINTING_UNSPACED)

    def is_continuation(self) -> bool:
        """Tell whether the text begins as one that continues: "And ...", "What about ..."."""
        first = self._words[:2]
        return bool(first) and (first[0] in _CONTINUING or " ".join(first) in _CONTINUING_PAIRS)

    def sets_a_rule(self) -> bool:
        """Tell whether the text asks for something that holds for all answers to come."""
        return _has_rule(self._begin, self._words) or (
            bool(self._end) and _has_rule(self._end, _WORD.findall(self._end))
        )

    def asks_back(self) -> bool:
        """Tell whether an answer ends by asking the user for what is missing."""
        end = (self._begin + self._end)[-END:]
        is_short = len(self._begin) <= END
        return (is_short or "?" in end) and bool(_ASKING_BACK.search(end))

    def corrects(self) -> bool:
        """Tell whether the text sets right what was said just before."""
        return "i meant" in self._begin or bool(_CORRECTING.match(self._begin))


def _has_rule(text: str, words: list[str]) -> bool:
    if any(_RULES[word].search(text) for word in _RULES.keys() & words):
        return True
    return not text.isascii() and any(rule in text for rule in _RULES_UNSPACED)
