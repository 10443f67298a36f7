"""What our own tokens look like, wherever they stand, sound or not."""

from __future__ import annotations

import re
from functools import lru_cache

import jwt
from django.conf import settings

from alchemyst.accounts.models import KEY_PREFIX

_TOKEN = re.compile(
    rf"(?<![A-Za-z0-9])(?:{KEY_PREFIX}[\w-]{{8,}}|(?P<jwt>eyJ[\w-]+\.[\w-]+\.[\w-]+))"
)


@lru_cache(maxsize=512)
def contains_own_token(text: str) -> bool:
    """Whether a text holds an API key of ours, or a JWT of this issuer; others have JWTs too."""
    return any(not match["jwt"] or _is_ours(match["jwt"]) for match in _TOKEN.finditer(text))


def _is_ours(token: str) -> bool:
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
    except (jwt.InvalidTokenError, RecursionError):
        return False
    return claims.get("iss") == settings.SIMPLE_JWT["ISSUER"]
