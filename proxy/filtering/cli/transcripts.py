"""Conversations as people paste them: `User: ...`, then `Assistant: ...`, on lines of their own."""

from __future__ import annotations

import re

from proxy.errors import InvalidMessages

_ROLES = {
    "system": ("system", "developer"),
    "user": ("user", "human", "you", "me", "nutzer", "benutzer", "mensch", "du", "ich"),
    "assistant": ("assistant", "ai", "bot", "model", "chatgpt", "claude", "gemini", "assistent"),
}
_ROLE_OF = {name: role for role, names in _ROLES.items() for name in names}
_NAMES = "|".join(_ROLE_OF)
# As they are written in plain text, in Markdown (bold, or a heading), and in copies of web chats.
_SAID = re.compile(
    rf"[*_#> ]{{0,8}}({_NAMES})(?: said)?[*_ ]{{0,4}}:[*_]{{0,4}} ?(.*)", re.IGNORECASE
)
_HEADING = re.compile(rf"#{{1,6}} ({_NAMES})()", re.IGNORECASE)
_FENCE = "```"


def messages_in(text: str) -> list[dict[str, str]]:
    """Return the messages of a transcript, as OpenAI writes them.

    Lines inside a fenced block of code never begin a message. Raises InvalidMessages for text that
    does not begin with one.
    """
    messages: list[tuple[str, list[str]]] = []
    is_code = False
    for line in text.splitlines():
        speaker = None if is_code else _SAID.fullmatch(line) or _HEADING.fullmatch(line.rstrip())
        if line.lstrip().startswith(_FENCE):
            is_code = not is_code
        if speaker:
            messages.append((_ROLE_OF[speaker[1].lower()], [speaker[2]]))
        elif messages:
            messages[-1][1].append(line)
        elif line.strip():
            raise InvalidMessages(
                "It is neither JSON nor a transcript. Begin each message with 'User:' or "
                "'Assistant:' on a line of its own."
            )
    return [{"role": role, "content": "\n".join(lines).strip()} for role, lines in messages]
