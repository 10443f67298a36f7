"""Research before an answer: searches are planned and done step by step, and become its sources.

The model plans a few searches; each looks through the texts that the caller gave and through the
caller's own earlier chats. What fits best becomes the numbered sources of the prompt.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from uuid import UUID

from chats.answers import context_texts
from chats.answers.context_texts import ContextText, SelectedText
from chats.answers.prompt import Prompt
from chats.eventlog.log import EventLog
from chats.models import Chat, Message
from chats.search.query import Query
from proxy.common.runtime.threads import on_database_thread
from proxy.completions.completion import Completion
from proxy.errors import ApiError
from proxy.relevance.text.stopwords import WORDS as STOPWORDS
from proxy.relevance.text.words import folded
from proxy.wire.dialect import StreamEvent

MOST_SEARCHES = 3
# Of each search, so many messages are read, found by so many words, and so much of each.
MESSAGES_A_SEARCH = 40
WORDS_A_SEARCH = 5
MESSAGES_A_WORD = 15
READ_CHARACTERS = 4000

PLANNING = (
    "Plan the research for the question below. Write at most three short search phrases, one a "
    "line, with no numbers and nothing else.\n\nQuestion: "
)


async def sources(prompt: Prompt, log: EventLog) -> list[SelectedText]:
    """Return the sources of the answer; each step is logged as it is done."""
    searches = await _planned(prompt)
    log.thinking("research", f"Plan: look for {_listed(searches)}.")
    texts = list(prompt.context_texts)
    if texts:
        log.thinking("research", f"Reading {_counted(len(texts), 'given text')}.")
    known_ids: set[str] = set()
    for search in searches:
        matches = await _search_messages(prompt.user_id, prompt.chat_id, search)
        new = [text for text in matches if text.message_id not in known_ids]
        known_ids |= {text.message_id for text in new}
        texts += new
        chats = len({text.chat_id for text in new})
        where = f"{_counted(len(new), 'message')} in {_counted(chats, 'earlier chat')}"
        log.thinking("research", f"Searched the earlier chats for “{search}”: {where}.")
    selected = await context_texts.select_passages(
        texts, prompt.question, prompt.token_budget, owner_id=prompt.user_id
    )
    log.thinking("research", selection_summary(selected))
    return selected


def selection_summary(texts: Iterable[SelectedText]) -> str:
    """Return what was selected, as a sentence."""
    all_texts = list(texts)
    used = [text for text in all_texts if text.is_used]
    if not used:
        return "Found nothing to rest the answer on."
    names = [f"[{each.number}] {each.text.title}".strip() for each in used]
    return f"Resting on {len(used)} of {_counted(len(all_texts), 'text')}: {', '.join(names)}."


async def _planned(prompt: Prompt) -> list[str]:
    """Return what to search for: the model's plan, and the question itself."""
    parts: list[str] = []

    def on_event(event: StreamEvent) -> None:
        parts.append(event.text)

    request = prompt.helper_request(PLANNING + prompt.question[:2000], max_tokens=60, step="plan")
    completion = Completion(request)
    try:
        await completion.prepare()
        await completion.stream(on_event)
    except ApiError:
        # Without a plan the question says what to look for.
        parts = []
    return _searches(prompt.question, "".join(parts))


def _searches(question: str, plan: str) -> list[str]:
    own = " ".join(question.split())[:100]
    lines = (re.sub(r"^[\s\d.)*•–-]+", "", line).strip(" \"'“”") for line in plan.splitlines())
    planned = [line for line in lines if 2 < len(line) <= 80]
    return list(dict.fromkeys([own, *planned]))[:MOST_SEARCHES]


@on_database_thread
def _search_messages(user_id: int, chat_id: UUID, search: str) -> list[ContextText]:
    """Return the messages of the user's other chats that a search finds, the best first.

    Those with all its words come first, then those with any of its telling ones.
    """
    mine = Message.objects.filter(chat__in=Chat.objects.of(user_id)).exclude(chat=chat_id)
    candidates = mine.exclude(role=Message.Role.SYSTEM).select_related("chat").order_by("-pk")
    matches: dict[UUID, Message] = {}
    for words in (search, *_subject_words(search)):
        if query := Query.of(words):
            for message in candidates.filter(content__words=query)[:MESSAGES_A_WORD]:
                matches.setdefault(message.pk, message)
    return [
        ContextText(
            content=message.content[:READ_CHARACTERS],
            title=message.chat.title,
            kind="chat",
            chat_id=str(message.chat_id),
            message_id=str(message.pk),
        )
        for message in list(matches.values())[:MESSAGES_A_SEARCH]
    ]


def _subject_words(search: str) -> list[str]:
    """Return the words of a search that say something of its subject, the longest first."""
    words = {word for word in re.findall(r"\w{4,}", search) if folded(word) not in STOPWORDS}
    return sorted(words, key=lambda word: (-len(word), word))[:WORDS_A_SEARCH]


def _listed(searches: list[str]) -> str:
    return ", ".join(f"“{search}”" for search in searches)


def _counted(count: int, noun: str) -> str:
    return f"{count or 'no'} {noun}{'' if count == 1 else 's'}"
