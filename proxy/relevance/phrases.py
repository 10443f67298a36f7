"""What a message does, told by its turns of phrase: points back, sets a rule, asks for more."""

from __future__ import annotations

import re
from typing import Final

SPAN: Final = 600
"""Characters at the beginning and at the end of a message in which we look for such phrases."""

_POINTING = re.compile(
    r"\b(?:it|its|itself|they|them|their|theirs|this|that|these|those|he|she|him|his|her|hers|"
    r"ones?|there|such|same|others?|another|else|instead|then|former|latter|above|previous(?:ly)?|"
    r"earlier|mentioned|both|either|neither|again)\b|"
    r"[它他她这那此]|[それこのそあ]の|それ|これ|그것|이것|그거|\b(?:dies\w*|davon|dazu|dafür|damit|darüber|"
    r"er|sie|es|ihn|ihm|celui|celle|cela|ça|eso|esto|ese|esa|это[мгй]?\w*|он[аои]?|его|её|их)\b",
    re.IGNORECASE,
)
_GOING_ON = re.compile(
    r"^\W*(?:and|but|or|so|also|then|ok(?:ay)?|yes|yeah|no|nope|sure|really|right|wow|oh|hmm|thanks|"
    r"thank you|great|nice|cool|interesting|what about|how about|why|what else|anything|any other|"
    r"continue|go on|more|next|und|aber|et|mais|y|pero|а|и|но)\b",
    re.IGNORECASE,
)
_RULE = re.compile(
    r"\b(?:from now on|from here on|henceforth|for the rest of (?:this|our)|"
    r"in (?:all|every|each) (?:of )?(?:your|future|following)|throughout (?:this|our)|"
    r"(?:until|unless) i (?:say|tell|ask)|(?:always|only|never) (?:answer|respond|reply|use|write|"
    r"include|end|start|begin|give|speak|mention|say|call|add|format|refer|keep|put|sign|return)|"
    r"(?:answer|respond|reply|write|speak)(?: to me)? (?:only )?(?:in|with|as) (?:english|french|german|"
    r"spanish|rhyme|json|bullet|markdown|one|two|short|haiku|verse|the style)|"
    r"do not (?:ever|use|mention|include)|don'?t (?:ever|use|mention|include)|every time (?:i|you)|"
    r"whenever (?:i|you)|(?:please )?(?:act|behave) (?:as|like)|pretend (?:to be|you)|role-?play|"
    r"you (?:are|will be) (?:now |my |an? )|your (?:name|role|task|job) (?:is|will)|"
    r"(?:my name is|call me|i(?:'m| am) (?:allergic|vegetarian|vegan|diabetic)|remember that|"
    r"keep in mind|make sure (?:to|that|you)))\b|"
    r"\bab (?:jetzt|sofort)\b|\bvon nun an\b|\bimmer auf\b|\bà partir de maintenant\b|\bdésormais\b|"
    r"\ba partir de ahora\b|\bde ahora en adelante\b|\bsiempre (?:responde|usa|escribe)|"
    r"\bс этого момента\b|\bотныне\b|\bвсегда (?:отвечай|пиши)|从现在(?:开始|起)|以后(?:都|请)|"
    r"今後は|これからは|앞으로|지금부터|من الآن|अब से",
    re.IGNORECASE,
)
_ASKING_BACK = re.compile(
    r"\b(?:could|can|would|will|may|do) (?:you|i)\b[^?.!]{0,120}\b(?:specify|provide|tell|share|clarify|"
    r"give|let me know|know|elaborate|have|like|prefer|ask|more)\b|"
    r"\b(?:please|kindly) (?:provide|specify|share|tell|clarify|give|enter|let me know|go ahead)\b|"
    r"\b(?:which|what)\b[^?.!]{0,120}\b(?:you|your)\b|\bare you (?:looking|interested|asking|referring|"
    r"inquiring)\b|\bdo you (?:have|want|need|prefer|mean)\b|\bi(?:'m| am) (?:ready|happy|here) to\b",
    re.IGNORECASE,
)
_CORRECTING = re.compile(
    r"^\W*(?:no\b|nope\b|not (?:that|quite|what)|sorry,|wrong\b|i (?:meant|mean|said)|actually\b|wait\b|"
    r"correction\b|that'?s (?:not|wrong)|nein\b|non\b|нет\b|不[是对])|\bi meant\b|\binstead of\b",
    re.IGNORECASE,
)


def points_back(text: str) -> bool:
    """Tell whether a word such as "it" or "those" stands for something said before."""
    return bool(_POINTING.search(text[:SPAN]))


def goes_on(text: str) -> bool:
    """Tell whether the text begins as one that continues: "And ...", "What about ..."."""
    return bool(_GOING_ON.search(text[:SPAN]))


def sets_a_rule(text: str) -> bool:
    """Tell whether the text asks for something that holds for all answers to come."""
    return bool(_RULE.search(text[:SPAN]) or _RULE.search(text[SPAN:][-SPAN:]))


def asks_back(text: str) -> bool:
    """Tell whether an answer ends by asking the user for what is missing."""
    end = text[-240:]
    return bool(_ASKING_BACK.search(end)) and ("?" in end or len(text) <= 240)


def corrects(text: str) -> bool:
    """Tell whether the text sets right what was said just before."""
    return bool(_CORRECTING.search(text[:SPAN]))
