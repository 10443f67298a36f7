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
from proxy.options import options
from proxy.upstream.deadline import CallDeadline
from proxy.wire.dialect import StreamEvent

LOST = "The answer can't be read on just now. Replay it in a moment."


# ---- an answer that nothing is kept of


async def answered(call: Call) -> None:
    """POST /api/v1/chat: an answer, whole; nothing is saved, and who leaves ends it."""
    began = time.perf_counter()
    body = await call.body(AnswerSerializer)
    answer_options = body.options(call.access)
    persona, prompt, lease = await _unsaved(
        call.user, answer_options, body.validated_data["chat_history"]
    )
    parts = []

    def on_event(event: StreamEvent) -> None:
        parts.append(event.text)

    try:
        if prompt.context_texts:
            prompt.selected_texts = await context_texts.select_passages(
                prompt.context_texts,
                prompt.question,
                prompt.token_budget,
                owner_id=prompt.user_id,
            )
        completion = Completion(prompt.completion_request())
        await completion.prepare()
        await completion.stream(on_event, call.receive)
    finally:
        await lease.arelease()
    counts = completion.counts
    summary = prompt.context_summary(completion.filter_result, completion.offset)
    del summary["messages"], summary["instructions"]
    metadata = {
        "timeTaken": round((time.perf_counter() - began) * 1000),
        "model": prompt.model,
        "finishReason": completion.finish,
        "usage": run.usage_of(counts),
        "context": summary,
        "sources": summary["sources"],
    }
    result = {"message": "".join(parts), "persona": persona}
    await call.answer(200, {"result": result, "metadata": metadata})


@on_database_thread
def _unsaved(
    user: User, answer_options: AnswerOptions, history: list[HistoryMessage]
) -> tuple[str, Prompt, Lease]:
    version = version_of(user, answer_options.persona)
    check_scope(version, answer_options.scope or "internal", answer_options.scopes)
    instructions, turns = turns_of((message.role, Part(message.content)) for message in history)
    prompt = Prompt(
        generation_id=uuid4(),
        chat_id=uuid4(),
        user_id=user.pk,
        persona=version.name,
        instructions="\n\n".join(filter(None, [version.system_prompt, *instructions])),
        provider=provider_from(version.provider),
        model=model_of(version),
        temperature=version.temperature,
        max_tokens=version.max_tokens,
        mode=mode_of(None, version, answer_options.relevance),
        cost=answer_options.cost,
        turns=turns,
        context_texts=[context_texts.ContextText(**text) for text in answer_options.context_texts],
        is_voice=answer_options.voice,
        is_research=False,
        answer_so_far="",
        key_id=answer_options.key_id,
    )
    return version.persona.slug, prompt, admit(user.pk, answer_options.key_id)


# ---- answers in chats


async def generated(call: Call) -> None:
    """POST /api/v1/chat/generate: an answer in a chat, whole unless a stream is requested."""
    await _generate(call, is_stream=False)


async def streamed(call: Call) -> None:
    """POST /api/v1/chat/generate/stream: the same, as it is made."""
    await _generate(call, is_stream=True)


async def _generate(call: Call, *, is_stream: bool) -> None:
    runner.refuse_if_draining()
    query, key, after = call.query(GenerateQuery), call.key(), call.after()
    chat_id_text = query.pop("chatId")
    chat_id = _chat_id(chat_id_text) if chat_id_text else None
    body = await call.body(GenerateSerializer)
    question = body.question(call.access, chat_id=chat_id, idempotency_key=key, **query)
    answer = await on_database_thread(start_answer, writes=True)(call.user, question)
    await _respond(call, answer, is_stream or body.validated_data["stream"], after)


async def regenerated(call: Call, chat_id: str) -> None:
    """POST /api/v1/chat/{chatId}/regenerate: another answer, or an edited question's."""
    runner.refuse_if_draining()
    fields = (await call.body(AgainSerializer)).validated_data
    answer = await on_database_thread(regenerate, writes=True)(
        call.user,
        _chat_id(chat_id),
        options_of(fields, call.access),
        fields["messageId"],
        fields["content"],
    )
    await _respond(call, answer, fields["stream"])


async def continued(call: Call, chat_id: str) -> None:
    """POST /api/v1/chat/{chatId}/continue: the rest of an answer that broke off."""
    runner.refuse_if_draining()
    fields = (await call.body(ContinueSerializer)).validated_data
    answer_options = options_of({}, call.access)
    answer = await on_database_thread(continue_answer, writes=True)(
        call.user, _chat_id(chat_id), answer_options, fields["messageId"]
    )
    await _respond(call, answer, fields["stream"])


async def replayed(call: Call, generation_id: str) -> None:
    """GET /api/v1/chat/replay/{id}: an answer's events, live or ended, from any point."""
    after = call.after()
    generation = await _generation(call.user, generation_id)
    await _stream(call, generation, after)


async def stopped(call: Call, generation_id: str) -> None:
    """POST /api/v1/chat/replay/{id}/stop: end an answer, keep what there is."""
    generation = await _generation(call.user, generation_id)
    await on_database_thread(run.stop, writes=True)(generation)
    events = await _to_its_end(generation.pk)
    metadata = next(event.data for event in events if event.type == Type.METADATA)
    await call.answer(200, metadata)


def _chat_id(text: str) -> UUID:
    if (chat_id := id_in(text)) is None:
        raise NoSuchChat
    return chat_id


async def _generation(user: User, text: str) -> Generation:
    generation_id = id_in(text)
    generation = await _find_generation(user, generation_id) if generation_id else None
    if generation is None:
        raise NoSuchAnswer
    return generation


@on_database_thread
def _find_generation(user: User, generation_id: UUID) -> Generation | None:
    return Generation.objects.of(user).filter(pk=generation_id).first()


async def _respond(call: Call, answer: StartedAnswer, is_stream: bool, after: int = 0) -> None:
    await runner.start(answer)
    if is_stream:
        await _stream(call, answer.generation, after)
    else:
        await _whole(call, answer.generation)


async def _stream(call: Call, generation: Generation, after: int) -> None:
    ids = [
        (b"x-alchemyst-chat-id", str(generation.chat_id).encode()),
        (b"x-alchemyst-replay-session-id", str(generation.pk).encode()),
    ]
    start = {"type": "http.response.start", "status": 200, "headers": sse.HEADERS + ids}
    with suppress(ClientDisconnected), CallDeadline(call.receive, options().bounds):
        await call.send(start)
        try:
            async with aclosing(
                log.follow(generation.pk, after, on_abandoned=finish.expire)
            ) as batches:
                async for events in batches:
                    await call.send(_more(sse.format_event(events)))
        except log.LogUnavailable:
            await call.send(_more(sse.format_unavailable(LOST)))
        await call.send({"type": "http.response.body", "body": b""})


def _more(body: bytes) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": True}


async def _whole(call: Call, generation: Generation) -> None:
    """Answer once the answer has ended; who leaves meanwhile changes nothing."""
    with suppress(ClientDisconnected):
        with CallDeadline(call.receive, options().bounds):
            events = await _to_its_end(generation.pk)
        await call.answer(201, _result(events, generation))


async def _to_its_end(generation_id: UUID) -> list[LogEvent]:
    events: list[LogEvent] = []
    try:
        async with aclosing(log.follow(generation_id, on_abandoned=finish.expire)) as batches:
            async for batch in batches:
                events += batch
    except log.LogUnavailable:
        raise ChatUnavailable from None
    if not events:
        raise ChatUnavailable
    return events


class ChatUnavailable(ChatError):
    status, code, message = 503, "unavailable", LOST
    headers = (("retry-after", "2"),)


def _result(events: list[LogEvent], generation: Generation) -> dict[str, Any]:
    """Return the body of a whole answer; raises the error that its last events hold."""
    last = {event.type: event for event in events}
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
    api_error = ChatError(error["message"], details=details)
    api_error.status, api_error.type, api_error.code = error["status"], error["type"], error["code"]
    if api_error.status in (429, 503):
        api_error.headers = (("retry-after", "5"),)
    return api_error


Endpoint = Callable[..., Any]
