"""What is learned off the path: texts that no request waits for, one after the other.

They are encoded on a thread that gives way to everything else on the machine.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final

from proxy.common.runtime import threads
from proxy.common.runtime.per_loop import PerLoop
from proxy.meaning import encoder, store
from proxy.meaning.store import KnownVector
from proxy.models.text_vector import digest_of
from proxy.relevance.text.embeddings import READ

logger = logging.getLogger("proxy.meaning.learner")

MOST_WAITING: Final = 4000
"""Texts; where more wait, the first of who has most are not learned until they come again."""

MOST_ANSWERS: Final = 64
AT_ONCE: Final = 8
"""Texts of one owner before another's, and before answers, which are needed soonest."""


class _Learner:
    """The texts that wait on one event loop, and the task that learns them."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[int, OrderedDict[bytes, str]] = OrderedDict()
        """By owner, who take turns: nobody's long history keeps the others' waiting."""

        self._answers: deque[tuple[int, Callable[[], str]]] = deque(maxlen=MOST_ANSWERS)
        self._task: asyncio.Task[None] | None = None

    def add(self, owner_id: int, texts: Mapping[bytes, str]) -> None:
        self._waiting.setdefault(owner_id, OrderedDict()).update(texts)
        while sum(map(len, self._waiting.values())) > MOST_WAITING:
            max(self._waiting.values(), key=len).popitem(last=False)
        self._begin()

    def add_answer(self, owner_id: int, read: Callable[[], str]) -> None:
        self._answers.append((owner_id, read))
        self._begin()

    async def close(self) -> None:
        """Stop: what waits is learned when it comes again."""
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _begin(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._learn())

    async def _learn(self) -> None:
        run = partial(asyncio.get_running_loop().run_in_executor, threads.LEARNER)
        try:
            model = await run(encoder.load)
            while model and (self._answers or self._waiting):
                if self._answers:
                    owner_id, read = self._answers.popleft()
                    self._add_first(owner_id, await run(read))
                else:
                    await self._learn_some(partial(run, model.vector))
        except Exception as error:
            logger.error("Texts were not learned", exc_info=error)
        # Without an encoder nothing is kept waiting; after a fault all is asked for again.
        self._waiting.clear()
        self._answers.clear()

    def _add_first(self, owner_id: int, answer: str) -> None:
        """Let an answer be learned next: the next turn needs it."""
        text = answer[:READ]
        if text.strip():
            digest = digest_of(owner_id, text)
            texts = self._waiting.setdefault(owner_id, OrderedDict())
            texts[digest] = text
            texts.move_to_end(digest, last=False)
            self._waiting.move_to_end(owner_id, last=False)

    async def _learn_some(self, vector_of: Callable[[str], Awaitable[bytes]]) -> None:
        """Learn some texts of the next owner, but for those that another process has learned."""
        owner_id, texts = self._waiting.popitem(last=False)
        some = dict(texts.popitem(last=False) for _ in range(min(AT_ONCE, len(texts))))
        if texts:
            self._waiting[owner_id] = texts
        known = await store.fetch(dict.fromkeys(some, owner_id))
        for digest, text in some.items():
            if digest in known:
                continue
            (vector,) = store.recall([digest])
            store.keep(KnownVector(digest, owner_id, vector or await vector_of(text)))


_learners = PerLoop(_Learner)


def learn(owner_id: int, texts: Mapping[bytes, str]) -> None:
    """Have texts, by their digests, learned soon; on an event loop, which never waits for it."""
    if texts and encoder.is_wanted():
        _learners.get().add(owner_id, texts)


def learn_answer(owner_id: int, read: Callable[[], str]) -> None:
    """Have an answer learned soon; `read` returns its text, and is called off the event loop."""
    if encoder.is_wanted():
        _learners.get().add_answer(owner_id, read)


async def close() -> None:
    """Stop learning on this loop, and write what was learned."""
    if learner := _learners.pop():
        await learner.close()
    await store.queue.close()
