"""Builds the prompt: who the model is, how to speak, its sources, and the conversation so far.

What seldom changes stands first, so that a provider's prompt cache keeps its prefix.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.conf import settings

from chats.answers.context_texts import ContextText, SelectedText, quoted
from chats.models import Chat, Generation, Message
from personas.models import PersonaVersion
from proxy.completions.request import CompletionRequest, provider_from
from proxy.filtering import decisions
from proxy.filtering.result import FilterOptions, FilterResult
from proxy.options import options
from proxy.providers.cache import StoredProvider
from proxy.upstream import builtin
from proxy.wire.token_count import count

Role = Message.Role
Fate = Message.Fate

VOICE = (
    "Your answer will be read aloud. Answer in at most three short sentences of plain speech: "
    "no lists, no headings, no markdown, no code, no links, no abbreviations."
)
VOICE_TOKENS = 160
CITE_SOURCES = (
    "Rest your answer on the numbered sources below, and name the ones that you use by their "
    "number, such as [1]. If they do not answer the question, say so."
)
CONTINUE_PROMPT = (
    "Your answer above broke off. Go on exactly where it stops, from its last word, and repeat "
    "nothing of it."
)
# How many tokens sources may take: of the built-in model's small window, and of others'.
SOURCE_TOKENS_BUILTIN, SOURCE_TOKENS = 1000, 6000


@dataclass(frozen=True, slots=True)
class Part:
    """A message of a turn: its text, and where it is stored its id and the fate it was given."""

    text: str
    id: UUID | None = None
    fate: str = ""


@dataclass(slots=True)
class Turn:
    """A message as the model gets it, of one or more in a row that one side said."""

    role: str
    parts: list[Part]

    @property
    def text(self) -> str:
        return "\n\n".join(part.text for part in self.parts)

    def has(self, fate: str) -> bool:
        return any(part.fate == fate for part in self.parts)

    def shares(self, tokens: int) -> list[int]:
        """Return the turn's tokens part by part; those of joining count to the first."""
        others = [count(part.text) for part in self.parts[1:]]
        return [tokens - sum(others), *others]


@dataclass(slots=True)
class Prompt:
    """Everything that is known of an answer before a model is asked."""

    generation_id: UUID
    chat_id: UUID
    user_id: int
    persona: str
    """Its name, for people."""
    instructions: str
    provider: StoredProvider | None
    model: str
    temperature: float | None
    max_tokens: int | None
    mode: str
    cost: str
    """The cost preset of the caller's key or account; empty where neither has one."""
    turns: list[Turn]
    context_texts: list[ContextText]
    is_voice: bool
    is_research: bool
    answer_so_far: str
    """What there is already of an answer that is continued."""
    key_id: str
    selected_texts: list[SelectedText] = field(default_factory=list)

    @property
    def question(self) -> str:
        return self.turns[-1].text

    @property
    def token_budget(self) -> int:
        """How many tokens of sources fit."""
        return SOURCE_TOKENS if self.provider or options().c1_base_url else SOURCE_TOKENS_BUILTIN

    @property
    def system(self) -> str:
        parts = [self.instructions]
        if self.is_voice:
            parts.append(VOICE)
        if sources := quoted(self.selected_texts):
            parts.append(f"{CITE_SOURCES}\n\n{sources}")
        return "\n\n".join(part for part in parts if part)

    def completion_request(self) -> CompletionRequest:
        """Return the request for the answer."""
        messages = [(turn.role, turn.text) for turn in self.turns]
        if self.answer_so_far:
            messages += [(Role.ASSISTANT, self.answer_so_far), (Role.USER, CONTINUE_PROMPT)]
        most = self.max_tokens
        if self.is_voice:
            most = min(most or VOICE_TOKENS, VOICE_TOKENS)
        return CompletionRequest(
            provider=self.provider,
            model=self.model,
            system=self.system,
            messages=[(str(role), text) for role, text in messages],
            user_id=self.user_id,
            request_id=f"gen_{self.generation_id.hex}",
            key_id=self.key_id,
            persona=self.persona,
            temperature=self.temperature,
            max_tokens=most,
            filter_options=FilterOptions(
                self.mode,
                pinned=self._indices(Fate.PINNED),
                excluded=self._indices(Fate.EXCLUDED),
                seconds=options().filter_seconds,
                short_tokens=options().short_tokens,
            ),
            cost=self.cost,
            seconds=settings.CHAT_ANSWER_SECONDS,
        )

    def helper_request(self, words: str, *, max_tokens: int, step: str) -> CompletionRequest:
        """Return a small request to the same model, for a step on the way."""
        return CompletionRequest(
            provider=self.provider,
            model=self.model,
            system="",
            messages=[("user", words)],
            user_id=self.user_id,
            request_id=f"{step}_{self.generation_id.hex}",
            endpoint=step,
            key_id=self.key_id,
            temperature=0.2,
            max_tokens=max_tokens,
            seconds=60,
        )

    def context_summary(self, result: FilterResult, offset: int) -> dict[str, Any]:
        """Return the account of what the model is given, for the answer's row and its reader."""
        return {
            "mode": result.mode,
            "result": result.filtering,
            "messagesKept": result.messages_after - offset,
            "messagesDropped": result.messages_before - result.messages_after,
            "tokensBefore": result.tokens_before,
            "tokensAfter": result.tokens_after,
            "milliseconds": round(result.milliseconds, 2),
            "instructions": sum(message.tokens for message in result.request.messages[:offset]),
            "messages": self._fates(result, offset),
            "given": [text.to_json() for text in self.selected_texts],
            "sources": [text.to_json() for text in self.selected_texts if text.is_used],
        }

    def _indices(self, fate: str) -> frozenset[int]:
        return frozenset(index for index, turn in enumerate(self.turns) if turn.has(fate))

    def _fates(self, result: FilterResult, offset: int) -> list[dict[str, Any]]:
        verdicts = {verdict.index: verdict for verdict in result.verdicts or ()}
        fates: list[dict[str, Any]] = []
        for index, turn in enumerate(self.turns):
            verdict = verdicts.get(index + offset)
            fate = "sent" if verdict is None or verdict.fate == "kept" else verdict.fate
            if fate == "dropped" and turn.has(Fate.EXCLUDED):
                fate = "excluded"
            elif fate != "dropped" and turn.has(Fate.PINNED):
                fate = "pinned"
            decision = {
                "role": str(turn.role),
                "fate": fate,
                "reason": verdict.reason if verdict else decisions.unfiltered_reason(result),
                "score": verdict.score if verdict else None,
            }
            shares = turn.shares(result.request.messages[index + offset].tokens)
            fates.extend(
                {"id": str(part.id), "tokens": tokens} | decision
                for part, tokens in zip(turn.parts, shares, strict=True)
            )
        return fates


def prompt_of(generation_id: UUID) -> Prompt:
    """Return the prompt of an answer that is queued; raises KeyUnreadable."""
    generation = Generation.objects.select_related(
        "chat", "message__branch", "message__persona_version__provider"
    ).get(pk=generation_id)
    chat, version = generation.chat, generation.message.persona_version
    parameters = generation.parameters
    instructions, turns = _history(chat, generation.message)
    return Prompt(
        generation_id=generation_id,
        chat_id=chat.pk,
        user_id=generation.owner_id,
        persona=version.name if version else "",
        instructions="\n\n".join(
            part for part in (version.system_prompt if version else "", *instructions) if part
        ),
        provider=provider_from(version.provider if version else None),
        model=model_of(version),
        temperature=version.temperature if version else None,
        max_tokens=version.max_tokens if version else None,
        mode=mode_of(chat, version, parameters.get("relevance", "")),
        cost=parameters.get("cost", ""),
        turns=turns,
        context_texts=[ContextText(**text) for text in parameters.get("given", ())],
        is_voice=bool(parameters.get("voice")),
        is_research=bool(parameters.get("research")),
        answer_so_far=parameters.get("kept", ""),
        key_id=parameters.get("key_id", ""),
    )


def model_of(version: PersonaVersion | None) -> str:
    """Return the model that answers for a persona."""
    is_own = version is not None and version.provider is not None
    return version.model if version is not None and is_own else builtin.MODEL


def mode_of(chat: Chat | None, version: PersonaVersion | None, callers: str) -> str:
    """Return how strictly history is filtered: the chat says, else persona, caller, operator."""
    own = chat.relevance if chat else ""
    personas = version.relevance if version else ""
    return own or personas or callers or options().relevance


def turns_of(messages: Iterable[tuple[str, Part]]) -> tuple[list[str], list[Turn]]:
    """Return the instructions, and the other messages as turns.

    What two messages of one role say in a row is one turn: some models refuse anything else.
    """
    instructions: list[str] = []
    turns: list[Turn] = []
    for role, part in messages:
        if not part.text.strip():
            continue
        if role == Role.SYSTEM:
            instructions.append(part.text)
        elif turns and turns[-1].role == role:
            turns[-1].parts.append(part)
        else:
            turns.append(Turn(role, [part]))
    return instructions, turns


def _history(chat: Chat, answer: Message) -> tuple[list[str], list[Turn]]:
    """Return the chat's own instructions, and what was said before `answer`."""
    before = chat.messages_on(answer.branch).filter(position__lt=answer.position)
    newest = before.reverse()[: options().max_messages]
    rows = reversed(newest.values_list("role", "content", "pk", "fate"))
    return turns_of((role, Part(content, pk, fate)) for role, content, pk, fate in rows)
