"""One answer from beginning to end.

`start_answer` (start.py) has stored the question and the answer's empty message; `Run` generates
the answer, even if the client disconnects; `stop` ends it from anywhere. The outcome is stored by
finish.py.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from functools import partial
from uuid import UUID

from django.db import DatabaseError, OperationalError

from chats.answers import context_texts, finish, research
from chats.answers.admission import Lease
from chats.answers.finish import Outcome
from chats.answers.prompt import Prompt, prompt_of
from chats.answers.speech import SpeechFilter
from chats.eventlog import log as eventlog_log
from chats.eventlog import notify
from chats.eventlog.log import EventLog, LogUnavailable
from chats.models import Generation
from chats.models.generation import GenerationQuerySet
from proxy.common.runtime.retry import with_retries
from proxy.common.runtime.threads import on_database_thread, on_writer_thread
from proxy.completions.completion import Completion
from proxy.errors import ApiError
from proxy.filtering.result import FilterResult
from proxy.wire.dialect import Counts, StreamEvent

State = Generation.State

STOPS = "stops"
"""The topic that is published to when an answer shall stop."""

RESTARTING = "The server is restarting. Continue the answer, or ask again."

logger = logging.getLogger(__name__)

_prompt_of = on_database_thread(prompt_of)
_finalize = on_writer_thread(finish.finalize)


def stop(generation: Generation) -> None:
    """Have an answer stopped, wherever it is written; what there is of it stays."""
    if not finish.expire(generation.pk):
        Generation.objects.running().filter(pk=generation.pk).update(stop_requested=True)
        notify.publish(STOPS)


def stop_all(generations: GenerationQuerySet) -> None:
    """Have those of some answers stopped that are being written."""
    for generation in generations.running():
        stop(generation)


class Run:
    """An answer that is being written in this process."""

    def __init__(self, generation_id: UUID, lease: Lease) -> None:
        self.generation_id = generation_id
        self.lease = lease
        self.log = eventlog_log.logs[generation_id] = EventLog(generation_id)
        self.interruption = ""
        """Why it shall end before its end: a state, set before the task is cancelled."""
        self.is_persisting = False
        self._prompt: Prompt | None = None
        self._completion: Completion | None = None
        self._filter_result: FilterResult | None = None

    async def run(self) -> bool:
        """Write the answer to its end, and its outcome into its rows; say whether it is complete.

        Whatever happens, the answer ends with what there is of it.
        """
        try:
            outcome = await self._generate_or_fail()
            self.is_persisting = True
            # Before the end is published: a client that learns of it may ask again at once.
            await self.lease.arelease()
            await self._persist(outcome)
        finally:
            eventlog_log.logs.pop(self.generation_id, None)
            notify.publish(str(self.generation_id))
        return outcome.state == State.COMPLETE

    async def _generate_or_fail(self) -> Outcome:
        """Write the answer, and return what became of it."""
        try:
            return await self._generate()
        except asyncio.CancelledError:
            if not self.interruption:
                raise
            task = asyncio.current_task()
            assert task is not None
            task.uncancel()
            return self._interrupted()
        except (LogUnavailable, OperationalError) as error:
            logger.warning("An answer was given up, the database is away: %s", type(error).__name__)
            return self._failed(finish.BROKE_OFF, "broken_off", 503)
        except ApiError as error:
            failed = self._failed(error.message, error.code, error.status)
            return replace(failed, error_type=error.type)
        except Exception:
            logger.exception("An answer failed")
            return self._failed(ApiError.message, ApiError.code, ApiError.status)

    async def _generate(self) -> Outcome:
        """Go the whole way: the prompt, its sources, the filter, the model."""
        prompt = self._prompt = await _prompt_of(self.generation_id)
        log = self.log
        if prompt.answer_so_far:
            log.delta(prompt.answer_so_far)
        model = prompt.model
        log.thinking("model", f"{prompt.persona or 'The model'} answers with {model}.")
        await self._choose_sources(prompt)
        completion = self._completion = Completion(prompt.completion_request())
        self._filter_result = await completion.prepare()
        if summary := _filtering(self._filter_result, completion.offset):
            log.thinking("filter", summary)
        speech = SpeechFilter() if prompt.is_voice else None

        def on_event(event: StreamEvent) -> None:
            if event.reasoning:
                log.reasoning(event.reasoning)
            text = speech.plain(event.text) if speech else event.text
            if text:
                log.delta(text)

        try:
            await completion.stream(on_event)
        finally:
            self._filter_result = completion.filter_result
            if speech and (rest := speech.flush()):
                log.delta(rest)
        return self._outcome(State.COMPLETE)

    async def _choose_sources(self, prompt: Prompt) -> None:
        """Find what the answer can rest on, among what was given and, for research, beyond."""
        if prompt.is_research:
            prompt.selected_texts = await research.sources(prompt, self.log)
        elif prompt.context_texts:
            prompt.selected_texts = await context_texts.select_passages(
                prompt.context_texts,
                prompt.question,
                prompt.token_budget,
                owner_id=prompt.user_id,
            )
            self.log.thinking("context", research.selection_summary(prompt.selected_texts))

    def _interrupted(self) -> Outcome:
        if self.interruption == State.STOPPED:
            return replace(self._outcome(State.STOPPED), finish="stopped")
        failed = self._outcome(State.INCOMPLETE)
        return replace(failed, error=RESTARTING, code="restarting", status=503)

    def _failed(self, message: str, code: str, status: int) -> Outcome:
        state = State.INCOMPLETE if self.log.text else State.FAILED
        return replace(self._outcome(state), error=message, code=code, status=status)

    def _outcome(self, state: str) -> Outcome:
        completion, prompt, result = self._completion, self._prompt, self._filter_result
        counts = completion.counts if completion else None
        return Outcome(
            state=state,
            text="".join(self.log.text).replace("\0", ""),
            finish=completion.finish if completion else "",
            model=prompt.model if prompt else "",
            target=completion.target if completion else "",
            usage=usage_of(counts),
            context=prompt.context_summary(result, completion.offset)
            if prompt and completion and result
            else {},
        )

    async def _persist(self, outcome: Outcome) -> None:
        """Write the end down; what the database does not take now is swept up later."""
        log = self.log
        await log.is_idle.wait()
        unsaved = [] if log.is_unavailable else log.drain()
        try:
            events = await with_retries(
                partial(_finalize, self.generation_id, outcome, unsaved),
                on=DatabaseError,
                tries=eventlog_log.TRIES,
                pause=eventlog_log.RETRY_SECONDS,
                failed=_warn,
            )
        except DatabaseError:
            log.is_unavailable = True
        else:
            log.written += events or []


def _warn(error: Exception) -> None:
    logger.warning("An answer's end could not be written: %s", type(error).__name__)


def usage_of(counts: Counts | None) -> dict[str, int | None]:
    """Return a provider's counts as clients read them; nothing where it gave none."""
    if counts is None:
        return {}
    return {
        "promptTokens": counts["prompt_tokens"],
        "completionTokens": counts["completion_tokens"],
        "cachedTokens": counts["cached_tokens"],
    }


def _filtering(result: FilterResult, offset: int) -> str:
    """Return what the filter did, as a sentence; nothing where there was nothing to do."""
    before = result.messages_before - offset - 1
    dropped = result.messages_before - result.messages_after
    if before <= 0:
        return ""
    if not dropped:
        return f"Kept all {before} earlier messages." if before > 1 else ""
    return (
        f"Left out {dropped} of {before} earlier messages that have nothing to do with the "
        f"question: {result.tokens_after} tokens in place of {result.tokens_before}."
    )
