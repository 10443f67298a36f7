"""Stored providers as the proxy's path finds them: by a name, without a database where it can."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from channels.db import database_sync_to_async

from proxy import vault
from proxy.models import Provider
from proxy.models.provider import NAME
from proxy.remembered import Stored, memory

is_name = NAME.fullmatch


async def find(user_id: int, name: str) -> Stored | None:
    """Return the provider that the user means by `name`; raises KeyUnreadable."""
    return memory.recall(user_id, name) or await _read(user_id, name)


def _looked_up(user_id: int, name: str) -> Stored | None:
    age = memory.age
    provider = Provider.objects.meant(user_id, name)
    if provider is None:
        return None
    key = vault.opened(provider.sealed_key)
    found = Stored(provider.base, provider.dialect, key, provider.cost)
    memory.remember(user_id, name, found, age=age)
    return found


# Names that are not remembered wait for these threads, not for the ones that serve pages.
_read = database_sync_to_async(
    _looked_up,
    thread_sensitive=False,
    executor=ThreadPoolExecutor(2, thread_name_prefix="providers"),
)
