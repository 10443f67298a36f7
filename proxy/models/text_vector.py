"""What an encoder made of texts, kept so that no process has to make it again.

Rows hold no word: a text stands here as a digest that only this installation can make, of the text
and its owner together, and its vector is sealed by the same secret.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from django.conf import settings
from django.db import models

from proxy.models.expiry import deleted_in_steps
from proxy.relevance.text.embeddings import READ


def digest_of(owner_id: int, text: str) -> bytes:
    """Return by what the text of an owner is known here."""
    return hashlib.blake2b(
        text[:READ].encode("utf-8", "surrogatepass"),
        digest_size=16,
        key=_secret(settings.SECRET_KEY),
        salt=owner_id.to_bytes(8),
    ).digest()


def is_kept() -> bool:
    """Whether the operator lets vectors be kept at all."""
    return settings.PROXY_VECTOR_DAYS > 0


class TextVectorQuerySet(models.QuerySet["TextVector"]):
    def by_digest(self, digests: Collection[bytes]) -> dict[bytes, tuple[bytes, date]]:
        """Return the vector of each of these texts that is kept, and the day when it was used."""
        rows = self.filter(digest__in=digests).values_list("digest", "sealed", "used")
        opened = ((bytes(digest), _opened(digest, sealed), used) for digest, sealed, used in rows)
        return {digest: (vector, used) for digest, vector, used in opened if vector}

    def keep(self, vectors: Iterable[tuple[bytes, int, bytes]]) -> None:
        """Keep vectors, given as digest, owner and vector; those that are there are used today."""
        today = datetime.now(UTC).date()
        rows = {
            digest: self.model(
                digest=digest, owner_id=owner_id, sealed=_sealed(digest, vector), used=today
            )
            for digest, owner_id, vector in vectors
        }
        self.bulk_create(
            list(rows.values()),
            update_conflicts=True,
            unique_fields=["digest"],
            update_fields=["used"],
        )

    def forget(self, owner_id: int, texts: Iterable[str]) -> None:
        """Delete what is kept of these texts of an owner."""
        self.filter(digest__in={digest_of(owner_id, text) for text in texts}).delete()

    def expire(self, *, at_once: int = 1000, most: int | None = None) -> int:
        """Delete what nobody used for as long as vectors are kept; return how many it was."""
        oldest = datetime.now(UTC).date() - timedelta(days=settings.PROXY_VECTOR_DAYS)
        return deleted_in_steps(self.filter(used__lt=oldest), at_once, most)


class TextVector(models.Model):
    """The vector of a text that an owner's requests or chats hold."""

    digest = models.BinaryField(primary_key=True, max_length=16)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="text_vectors", editable=False
    )
    sealed = models.BinaryField(help_text="The vector, encrypted.")
    used = models.DateField(db_index=True)

    objects = TextVectorQuerySet.as_manager()

    def __str__(self) -> str:
        return bytes(self.digest).hex()


@lru_cache(maxsize=1)
def _secret(installation: str) -> bytes:
    return hashlib.blake2b(installation.encode(), digest_size=64, person=b"text vectors").digest()


@lru_cache(maxsize=1)
def _seal(installation: str) -> AESSIV:
    return AESSIV(
        hashlib.blake2b(installation.encode(), digest_size=64, person=b"vector seal").digest()
    )


def _sealed(digest: bytes, vector: bytes) -> bytes:
    return _seal(settings.SECRET_KEY).encrypt(vector, [digest])


def _opened(digest: bytes, sealed: bytes) -> bytes:
    """Return a vector; empty if the secret is another one since."""
    try:
        return _seal(settings.SECRET_KEY).decrypt(bytes(sealed), [bytes(digest)])
    except InvalidTag:
        return b""
