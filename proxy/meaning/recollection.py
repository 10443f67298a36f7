"""The vectors of an owner's texts, as far as they are known: in memory, then kept, then made now.

A text is encoded once: what a request can't wait for is learned in the background, and known the
next time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Final

from proxy.common.runtime import threads
from proxy.meaning import encoder, learner, store, weights
from proxy.meaning.encoder import Encoder
from proxy.meaning.store import KnownVector
from proxy.models.text_vector import digest_of
from proxy.relevance.text import embeddings
from proxy.relevance.text.embeddings import READ

logger = logging.getLogger("proxy.meaning.recollection")


class Recollection:
    """What is known of some texts of one owner; the last of them matters most.

    Made on any thread: it reads and hashes all texts.
    """

    nothing: Final = embeddings.nothing(weights.WIDTH)
    """The vector of a text that says nothing."""

    def __init__(self, owner_id: int, texts: Sequence[str]) -> None:
        self._owner_id = owner_id
        self._texts: dict[bytes, str] = {}
        self._digests = [self._read(text) for text in texts]
        self._vectors: dict[bytes, bytes] = {}
        self._look()

    def vector(self, place: int) -> bytes:
        """Return the vector of the text at `place`; empty if it is not known."""
        digest = self._digests[place]
        return self._vectors.get(digest, b"") if digest else self.nothing

    @property
    def missing(self) -> dict[bytes, str]:
        """The texts whose vectors are not known, by their digests, the last first."""
        return {d: t for d, t in reversed(self._texts.items()) if d not in self._vectors}

    async def complete(self, seconds: float) -> None:
        """Fetch what is kept, make what can be made in so many seconds, and learn the rest after.

        What takes longer goes on, and is known the next time. Whatever fails, words alone are
        enough to go on with.
        """
        deadline = time.monotonic() + seconds
        try:
            async with asyncio.timeout(seconds):
                await self._complete(deadline)
        except TimeoutError:
            self._look()
        except Exception as error:
            logger.error("What texts mean could not be found out", exc_info=error)
        learner.learn(self._owner_id, self.missing)

    def make(self, deadline: float) -> None:
        """Make what is missing on this very thread, as far as `deadline` allows; keep nothing."""
        if model := encoder.load():
            self._make(model, deadline)

    async def _complete(self, deadline: float) -> None:
        await self._fetch()
        loop = asyncio.get_running_loop()
        model = encoder.loaded() or await loop.run_in_executor(threads.LEARNER, encoder.load)
        if model:
            vectors = await loop.run_in_executor(threads.ENCODER, self._make, model, deadline)
            for known in vectors:
                store.keep(known)

    async def _fetch(self) -> None:
        # A question is new nearly always, and encoded nearly as fast as it is looked for.
        if len(self.missing) > 1:
            self._vectors |= await store.fetch(dict.fromkeys(self.missing, self._owner_id))

    def _make(self, model: Encoder, deadline: float) -> list[KnownVector]:
        vectors: list[KnownVector] = []
        for digest, text in self.missing.items():
            if time.monotonic() >= deadline:
                break
            vectors.append(KnownVector(digest, self._owner_id, model.vector(text)))
            store.remember(vectors[-1])
            self._vectors[digest] = vectors[-1].vector
        return vectors

    def _look(self) -> None:
        known = zip(self._texts, store.recall(self._texts), strict=True)
        self._vectors |= {digest: vector for digest, vector in known if vector is not None}

    def _read(self, text: str) -> bytes:
        """Return the digest of a text; empty for one that says nothing."""
        text = text[:READ]
        if not text.strip():
            return b""
        digest = digest_of(self._owner_id, text)
        # The latest of equal texts tells how soon it is needed.
        self._texts.pop(digest, None)
        self._texts[digest] = text
        return digest
