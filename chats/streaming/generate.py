"""Ask for an answer, read it whole or as a stream, replay it, stop it.

These endpoints wait for a model, so they are served beside Django's request handler, like the
proxy's path: no thread and no database connection is held while an answer flows.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import aclosing, suppress
from typing import Any
from uuid import UUID, uuid4

from chats.answers import context_texts, finish, run, runner
from chats.answers.admission import Lease, admit
from chats.answers.prompt import Part, Prompt, mode_of, model_of, turns_of
from chats.answers.request import AnswerOptions, HistoryMessage, StartedAnswer
from chats.answers.start import check_scope, continue_answer, regenerate, start_answer
from chats.answers.start import persona_version as version_of
from chats.errors import ChatError, NoSuchAnswer, NoSuchChat
from chats.eventlog import log, sse
from chats.eventlog.event import LogEvent, Type
from chats.models import Generation
from chats.serializers.questions import (
    AgainSerializer,
    AnswerSerializer,
    ContinueSerializer,
    GenerateQuery,
    GenerateSerializer,
    id_in,
    options_of,
)
from chats.streaming.call import Call
from proxy.common.access import User
from proxy.common.runtime.threads import on_database_thread
from proxy.common.web.asgi import ClientDisconnected
from proxy.completions.completion import Completion
from proxy.completions.request import provider_from
from proxy.errors import ApiError
from proxy.filtering.cpu_threads import run_in_thread_if_large
from proxy.options import options
from proxy.upstream.deadline import CallDeadline
from proxy.wire.stream_events import StreamEvent

LOST = "The answer can't be read on just now. Replay it in a moment."


# ---- an answer that nothing is kept of


async def answered(call: Call) -> None:
    """POST /api/v1/chat: an answer, whole; nothing is saved, and who leaves ends it."""
    began = time.perf_counter()
    asked = await call.asked(AnswerSerializer)
    manner = asked.options(call.access)
    slug, prompt, place = await _unsaved(call.user, manner, asked.validated_data["chat_history"])
    said = []

    def take(piece: StreamEvent) -> None:
        said.append(piece.text)

    try:
        if prompt.context_texts:
            size = sum(len(text.content) for text in prompt.context_texts)
            work = (prompt.context_texts, prompt.question, prompt.token_budget)
            prompt.selected_texts = await run_in_thread_if_large(
                size, context_texts.select_passages, *work
            )
        completion = Completion(prompt.completion_request())
        await completion.prepare()
        await completion.stream(take, call.receive)
    finally:
        await place.arelease()
    counts = completion.counts
    context = prompt.context_summary(completion.filter_result, completion.offset)
    del context["messages"], context["instructions"]
    metadata = {
        "timeTaken": round((time.perf_counter() - began) * 1000),
        "model": prompt.model,
        "finishReason": completion.finish,
        "usage": run.usage_of(counts),
        "context": context,
        "sources": context["sources"],
    }
    result = {"message": "".join(said), "persona": slug}
    await call.answer(200, {"result": result, "metadata": metadata})


@on_database_thread
def _unsaved(
    user: User, manner: AnswerOptions, history: list[HistoryMessage]
) -> tuple[str, Prompt, Lease]:
    version = version_of(user, manner.persona)
    check_scope(version, manner.scope or "internal", manner.scopes)
    instructions, turns = turns_of((said.role, Part(said.content)) for said in history)
    prompt = Prompt(
        generation_id=uuid4(),
        chat_id=uuid4(),
        user_id=user.pk,
        persona=version.name,
        instructions="\n\n".join(filter(None, [version.system_prompt, *instructions])),
        source=provider_from(version.provider),
        model=model_of(version),
        temperature=version.temperature,
        max_tokens=version.max_tokens,
        mode=mode_of(None, version, manner.relevance),
        cost=manner.cost,
        turns=turns,
        context_texts=[context_texts.ContextText(**text) for text in manner.context_texts],
        is_voice=manner.voice,
        is_research=False,
        kept="",
        key_id=manner.key_id,
    )
    return version.persona.slug, prompt, admit(user.pk, manner.key_id)


# ---- answers in chats


async def generated(call: Call) -> None:
    """POST /api/v1/chat/generate: an answer in a chat, whole unless a stream is asked for."""
    await _generate(call, is_stream=False)


async def streamed(call: Call) -> None:
    """POST /api/v1/chat/generate/stream: the same, as it is made."""
    await _generate(call, is_stream=True)


async def _generate(call: Call, *, is_stream: bool) -> None:
    runner.refuse_if_draining()
    query, key, after = call.query(GenerateQuery), call.key(), call.after()
    chat_id_text = query.pop("chatId")
    chat_id = _chat_id(chat_id_text) if chat_id_text else None
    asked = await call.asked(GenerateSerializer)
    question = asked.question(call.access, chat_id=chat_id, idempotency_key=key, **query)
    begun = await on_database_thread(start_answer)(call.user, question)
    await _begun(call, begun, is_stream or asked.validated_data["stream"], after)


async def regenerated(call: Call, chat_id: str) -> None:
    """POST /api/v1/chat/{chatId}/regenerate: another answer, or an edited question's."""
    runner.refuse_if_draining()
    asked = (await call.asked(AgainSerializer)).validated_data
    begun = await on_database_thread(regenerate)(
        call.user,
        _chat_id(chat_id),
        options_of(asked, call.access),
        asked["messageId"],
        asked["content"],
    )
    await _begun(call, begun, asked["stream"])


async def continued(call: Call, chat_id: str) -> None:
    """POST /api/v1/chat/{chatId}/continue: the rest of an answer that broke off."""
    runner.refuse_if_draining()
    asked = (await call.asked(ContinueSerializer)).validated_data
    manner = options_of({}, call.access)
    begun = await on_database_thread(continue_answer)(
        call.user, _chat_id(chat_id), manner, asked["messageId"]
    )
    await _begun(call, begun, asked["stream"])


async def replayed(call: Call, generation_id: str) -> None:
    """GET /api/v1/chat/replay/{id}: an answer's events, live or ended, from any point."""
    after = call.after()
    generation = await _generation(call.user, generation_id)
    await _stream(call, generation, after)


async def stopped(call: Call, generation_id: str) -> None:
    """POST /api/v1/chat/replay/{id}/stop: end an answer, keep what there is."""
    generation = await _generation(call.user, generation_id)
    await on_database_thread(run.stop)(generation)
    entries = await _to_its_end(generation.pk)
    told = next(entry.data for entry in entries if entry.type == Type.METADATA)
    await call.answer(200, told)


def _chat_id(text: str) -> UUID:
    if (found := id_in(text)) is None:
        raise NoSuchChat
    return found


async def _generation(user: User, text: str) -> Generation:
    generation_id = id_in(text)
    found = await _found(user, generation_id) if generation_id else None
    if found is None:
        raise NoSuchAnswer
    return found


@on_database_thread
def _found(user: User, generation_id: UUID) -> Generation | None:
    return Generation.objects.of(user).filter(pk=generation_id).first()


async def _begun(call: Call, begun: StartedAnswer, is_stream: bool, after: int = 0) -> None:
    await runner.start(begun)
    if is_stream:
        await _stream(call, begun.generation, after)
    else:
        await _whole(call, begun.generation)


async def _stream(call: Call, generation: Generation, after: int) -> None:
    named = [
        (b"x-alchemyst-chat-id", str(generation.chat_id).encode()),
        (b"x-alchemyst-replay-session-id", str(generation.pk).encode()),
    ]
    start = {"type": "http.response.start", "status": 200, "headers": sse.HEADERS + named}
    with suppress(ClientDisconnected), CallDeadline(call.receive, options().bounds):
        await call.send(start)
        try:
            async with aclosing(
                log.follow(generation.pk, after, on_abandoned=finish.expire)
            ) as followed:
                async for entries in followed:
                    await call.send(_more(sse.format_event(entries)))
        except log.LogUnavailable:
            await call.send(_more(sse.format_unavailable(LOST)))
        await call.send({"type": "http.response.body", "body": b""})


def _more(body: bytes) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": True}


async def _whole(call: Call, generation: Generation) -> None:
    """Answer once the answer has ended; who leaves meanwhile changes nothing."""
    with suppress(ClientDisconnected):
        with CallDeadline(call.receive, options().bounds):
            entries = await _to_its_end(generation.pk)
        await call.answer(201, _result(entries, generation))


async def _to_its_end(generation_id: UUID) -> list[LogEvent]:
    found: list[LogEvent] = []
    try:
        async with aclosing(log.follow(generation_id, on_abandoned=finish.expire)) as followed:
            async for entries in followed:
                found += entries
    except log.LogUnavailable:
        raise ChatUnavailable from None
    if not found:
        raise ChatUnavailable
    return found


class ChatUnavailable(ChatError):
    status, code, message = 503, "unavailable", LOST
    headers = (("retry-after", "2"),)


def _result(entries: list[LogEvent], generation: Generation) -> dict[str, Any]:
    """Return the body of a whole answer; raises what its last events tell went wrong."""
    last = {entry.type: entry for entry in entries}
    metadata = last[Type.METADATA].data or {}
    if Type.ERROR in last:
        raise _failed(last[Type.ERROR].data or {}, metadata)
    return {
        "result": {"message": last[Type.FINAL].content, "persona": metadata["persona"]},
        **{name: metadata[name] for name in ("chatId", "title", "messageId", "questionId")},
        "replaySessionID": metadata["replaySessionID"],
        "researchMode": bool(generation.parameters.get("research")),
        "stream": False,
        "metadata": metadata,
    }


def _failed(error: dict[str, Any], metadata: dict[str, Any]) -> ApiError:
    names = ("chatId", "replaySessionID", "messageId", "questionId", "state")
    details = {name: metadata[name] for name in names} | {"code": error["code"]}
    made = ChatError(error["message"], details=details)
    made.status, made.type, made.code = error["status"], error["type"], error["code"]
    if made.status in (429, 503):
        made.headers = (("retry-after", "5"),)
    return made


Endpoint = Callable[..., Any]
