"""Questions are stored, with the empty message of their answer, before any model is asked.

Each way of asking is one transaction that ends with a `Generation`, whoever runs it then. The same
question sent twice is one: by its idempotency key, or by the client's own id of the message.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, IntegrityError, transaction
from django.utils import timezone

from chats.answers import finish, titles
from chats.answers.admission import admit
from chats.answers.request import AnswerOptions, HistoryMessage, Question, StartedAnswer
from chats.errors import (
    AnswerRunning,
    BadQuestion,
    Contradiction,
    NoSuchChat,
    NoSuchMessage,
    ScopeRefused,
    TooManyAnswers,
    UnknownPersona,
)
from chats.eventlog import notify
from chats.models import Chat, Generation, Message
from personas.models import DEFAULT, Persona, PersonaVersion
from proxy.common.access import User

LEASE = timedelta(seconds=20)
# After that a key may mean another question.
KEY_LIFE = timedelta(hours=24)
LONGEST_KEY = 200

State = Generation.State
BROKEN = (State.FAILED, State.INCOMPLETE)
Role = Message.Role


def start_answer(user: User, question: Question) -> StartedAnswer:
    """Store a question and the empty message of its answer, queued.

    The same question a second time is answered by the first one's answer, as far as it is; if that
    one failed or broke off, by another one beside it. Raises NoSuchChat, BadQuestion, ScopeRefused,
    Contradiction or TooManyAnswers.
    """
    key, digest = _key_of(question), question.digest()
    generation = _find_duplicate(user, key, digest)
    if generation and generation.state not in BROKEN:
        return StartedAnswer(generation)
    try:
        _refuse_while_answering(user, question.chat_id)
        with transaction.atomic():
            if generation:
                chat = _retry_branch(user, generation)
            else:
                chat = _chat(user, question)
                # Locked now: an equal question may have come, and been answered, before.
                if question.chat_id and (generation := _find_duplicate(user, key, digest)):
                    return StartedAnswer(generation)
                _append_new(chat, question)
            return _queued(user, chat, question.options, key=key, digest=digest)
    except (IntegrityError, AnswerRunning):
        # Of several at once one was first.
        if generation := _find_duplicate(user, key, digest):
            return StartedAnswer(generation)
        raise AnswerRunning from None


def _refuse_while_answering(user: User, chat_id: UUID | None) -> None:
    """Raise AnswerRunning without a lock, which those who ask again and again would fight for."""
    leased = Generation.objects.leased().filter(chat=chat_id, owner=user.pk)
    if chat_id and leased.exists():
        raise AnswerRunning


def _retry_branch(user: User, broken: Generation) -> Chat:
    """Return the chat of an answer that broke, ready for another one in its place."""
    chat = _locked(user, broken.chat_id)
    if (
        not Generation.objects.filter(pk=broken.pk)
        .exclude(idempotency_key="")
        .update(idempotency_key="")
    ):
        raise AnswerRunning
    chat.branch_at(broken.message)
    return chat


def regenerate(
    user: User, chat_id: UUID, options: AnswerOptions, message_id: UUID | None, content: str | None
) -> StartedAnswer:
    """Answer once more, beside the answer that there is, or beside the question if it is edited.

    Nothing that was said goes away: the new answer is a branch. Raises as `start_answer` does.
    """
    try:
        with transaction.atomic():
            chat = _locked(user, chat_id)
            target = _message(chat, message_id)
            if target.role == Role.USER and content is not None:
                chat.branch_at(target)
                chat.append(Role.USER, content)
            elif target.role == Role.ASSISTANT and content is None:
                if target.parent is None or target.parent.role != Role.USER:
                    raise BadQuestion("This message answers no question, so it can't be made anew.")
                chat.branch_at(target)
            else:
                raise BadQuestion("Name an answer, or a question together with its new content.")
            _assign_persona(user, chat, options)
            return _queued(user, chat, options)
    except IntegrityError:
        # The database refuses a second answer in a chat.
        raise AnswerRunning from None


def continue_answer(
    user: User, chat_id: UUID, options: AnswerOptions, message_id: UUID | None
) -> StartedAnswer:
    """Go on with an answer that broke off or was stopped; what there is of it is kept as it is."""
    try:
        with transaction.atomic():
            chat = _locked(user, chat_id)
            broken = _message(chat, message_id)
            state = getattr(getattr(broken, "generation", None), "state", "")
            if state not in (State.INCOMPLETE, State.STOPPED, State.FAILED):
                raise Contradiction(
                    "Only an answer that broke off or was stopped can be continued."
                )
            before = broken.generation
            parameters = {"continues": str(before.pk), "kept": broken.content}
            again = AnswerOptions(
                **{
                    name: before.parameters.get(name, getattr(options, name))
                    for name in ("voice", "research", "scope")
                },
                context_texts=tuple(before.parameters.get("given", ())),
                relevance=options.relevance,
                cost=options.cost,
                key_id=options.key_id,
                scopes=options.scopes,
            )
            _assign_persona(user, chat, again)
            chat.branch_at(broken)
            return _queued(user, chat, again, more=parameters)
    except IntegrityError:
        # The database refuses a second answer in a chat.
        raise AnswerRunning from None


def _key_of(question: Question) -> str:
    """Return what the question is known by, so that it comes once; empty if by nothing."""
    if question.idempotency_key:
        key = f"key:{question.idempotency_key}"
        # The longest ones have no room in the column beside their prefix.
        return key if len(key) <= LONGEST_KEY else f"key:{_hashed(question.idempotency_key)}"
    id = question.history[-1].id
    if not id:
        return ""
    # In a chat the client's ids are its own; without one, only the same words are the same.
    namespace = str(question.chat_id) if question.chat_id else question.digest()[:16]
    return f"message:{namespace}:{id}"


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _find_duplicate(user: User, key: str, digest: str) -> Generation | None:
    """Return the answer to the same question, if there is one; Contradiction to another one."""
    if not key:
        return None
    mine = Generation.objects.filter(owner=user.pk, idempotency_key=key).select_related(
        "chat", "message__branch"
    )
    generation = mine.first()
    if generation is None:
        return None
    if generation.created < timezone.now() - KEY_LIFE and not generation.is_running:
        mine.update(idempotency_key="")
        return None
    if generation.request_digest != digest or generation.chat.deleted_at:
        raise Contradiction(
            "This Idempotency-Key, or message id, belongs to another question. Use a new one."
        )
    return generation


def _chat(user: User, question: Question) -> Chat:
    """Return the chat that is meant, locked, or a new one."""
    if question.chat_id:
        chat = _locked(user, question.chat_id)
        _assign_persona(user, chat, question.options)
        return chat
    chat = Chat(
        owner_id=user.pk,
        title=question.title or titles.first_words(question.history[-1].content),
        has_own_title=bool(question.title),
        scope=question.options.scope or "internal",
        username=question.username,
        source=question.source,
    )
    _assign_persona(user, chat, question.options)
    chat.save(force_insert=True)
    return chat


def _locked(user: User, chat_id: UUID) -> Chat:
    mine = Chat.objects.of(user).select_related("branch", "persona_version__persona")
    chat = mine.select_for_update(of=("self",)).filter(pk=chat_id).first()
    if chat is None:
        raise NoSuchChat
    for running in chat.generations.running():
        if not finish.expire(running.pk):
            raise AnswerRunning
    return chat


def _assign_persona(user: User, chat: Chat, options: AnswerOptions) -> None:
    """Choose who answers: the chat's own persona in its version, unless another one is named."""
    own = chat.persona_version
    if own is None or (options.persona and options.persona != own.persona.slug):
        own = persona_version(user, options.persona)
        chat.persona_version = own
        if not chat._state.adding:
            chat.save(update_fields=["persona_version"])
    check_scope(own, options.scope or chat.scope, options.scopes)


def persona_version(user: User, slug: str) -> PersonaVersion:
    """Return the version that answers as `slug`, or as the default; raises UnknownPersona."""
    persona = Persona.objects.resolve(user, slug or DEFAULT)
    if persona is None or persona.current is None:
        known = sorted({each.slug for each in Persona.objects.visible_to(user)})
        raise UnknownPersona(
            f"There is no such persona. Known are: {', '.join(known)}.", details={"known": known}
        )
    return persona.current


def check_scope(version: PersonaVersion, scope: str, scopes: frozenset[str]) -> None:
    """Raise ScopeRefused unless both the caller's token and the persona have the scope."""
    if scope not in scopes:
        raise ScopeRefused(f"This key lacks the scope '{scope}'. Use one that has it.")
    if scope not in version.scopes:
        raise ScopeRefused(f"This persona does not answer in the scope '{scope}'.")


def _append_new(chat: Chat, question: Question) -> None:
    """Add what the chat does not have yet of the history.

    Clients send the whole conversation, its last messages, or the question alone: what repeats the
    chat's end, by id or word for word, is not added again, and changes nothing that is stored.
    """
    stored = [message for message in chat.messages_on() if message.content]
    new = question.history[_known_prefix(stored, question.history) :]
    ids = [message.id for message in new if message.id]
    if ids and chat.messages.filter(client_id__in=ids).exists():
        raise Contradiction("A message of this chat has this id already, with other content.")
    chat.extend(Message(role=each.role, content=each.content, client_id=each.id) for each in new)


def _known_prefix(stored: list[Message], history: Sequence[HistoryMessage]) -> int:
    """Return how many messages at the beginning of `history` are those that end the chat."""
    for count in range(min(len(stored), len(history)), 0, -1):
        end = stored[len(stored) - count :]
        has_new = count < len(history) or stored[-1].role == Role.USER
        if has_new and all(map(_is_same_message, end, history)):
            return count
    return 0


def _is_same_message(message: Message, sent: HistoryMessage) -> bool:
    if sent.id and sent.id in (str(message.pk), message.client_id):
        return True
    return message.role == sent.role and message.content.strip() == sent.content.strip()


def _message(chat: Chat, message_id: UUID | None) -> Message:
    """Return a message of the chat, or the last answer on the branch that is shown."""
    messages = chat.messages.select_related("parent", "branch", "generation")
    if message_id is None:
        last = chat.messages_on().filter(role=Role.ASSISTANT).last()
        message_id = last.pk if last else None
    message = messages.filter(pk=message_id).first() if message_id else None
    if message is None:
        raise NoSuchMessage
    return message


def _queued(
    user: User,
    chat: Chat,
    options: AnswerOptions,
    *,
    key: str = "",
    digest: str = "",
    more: dict[str, Any] | None = None,
) -> StartedAnswer:
    """Make the answer's message, empty, and its generation; publish that once it is committed."""
    if (
        count := Generation.objects.leased().filter(owner=user.pk).count()
    ) >= settings.CHAT_MAX_RUNNING:
        raise TooManyAnswers(count)
    lease = admit(user.pk, options.key_id)
    try:
        answer = chat.append(Role.ASSISTANT, "", persona_version=chat.persona_version)
        generation = Generation.objects.create(
            owner_id=user.pk,
            chat=chat,
            message=answer,
            lease_until=timezone.now() + LEASE,
            idempotency_key=key,
            request_digest=digest,
            parameters=options.parameters() | {"scope": options.scope or chat.scope} | (more or {}),
        )
    except DatabaseError:
        lease.release()
        raise
    transaction.on_commit(lambda: notify.publish(str(chat.pk)))
    return StartedAnswer(generation, lease)
