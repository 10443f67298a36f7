"""Provider keys at rest: encrypted with secrets that the database does not hold.

`settings.VAULT_KEYS` are texts of at least 32 random characters, from ALCHEMYST_VAULT_KEY or from
the secrets file. From each of them HKDF-SHA256 makes a Fernet key. The first encrypts and all
decrypt, so a new one is put in front, `manage.py rotate_vault` run, and the old one taken away.
"""

from __future__ import annotations

import base64
import logging
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from proxy.common.errors import KeyUnreadable

logger = logging.getLogger("proxy.common.vault")

_PURPOSE = b"alchemyst vault: provider keys"


def sealed(text: str) -> str:
    """Return `text` encrypted with the first of the vault's keys."""
    return _vault().encrypt(text.encode()).decode()


def opened(seal: str) -> str:
    """Return the text that was sealed; raises KeyUnreadable if no key of the vault fits."""
    try:
        return _vault().decrypt(seal).decode()
    except InvalidToken:
        raise _unreadable() from None


def resealed(seal: str) -> str:
    """Return the same text, encrypted with the first key; raises KeyUnreadable."""
    try:
        return _vault().rotate(seal).decode()
    except InvalidToken:
        raise _unreadable() from None


def _unreadable() -> KeyUnreadable:
    logger.error("A stored provider key fits no key in ALCHEMYST_VAULT_KEY or the secrets file.")
    return KeyUnreadable()


def _vault() -> MultiFernet:
    return _made_of(tuple(settings.VAULT_KEYS))


@lru_cache(maxsize=1)
def _made_of(secrets: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(_derived(secret)) for secret in secrets])


def _derived(secret: str) -> bytes:
    """Return a Fernet key; the secret is random and long, so nothing slower is needed."""
    kdf = HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE)
    return base64.urlsafe_b64encode(kdf.derive(secret.encode()))
