"""Stored providers as the proxy's path finds them: by a name, without a database where it can."""

from __future__ import annotations

from proxy.common import vault
from proxy.common.runtime.threads import on_database_thread
from proxy.models import Provider
from proxy.models.provider import NAME
from proxy.options import options
from proxy.providers.cache import StoredProvider, memory

is_provider_name = NAME.fullmatch


async def get(user_id: int, name: str) -> StoredProvider | None:
    """Return the provider that the user means by `name`; raises KeyUnreadable."""
    return memory.get((user_id, name)) or await _read(user_id, name)


def _read_row(user_id: int, name: str) -> StoredProvider | None:
    generation = memory.generation
    provider = Provider.objects.resolve(user_id, name)
    if provider is None:
        return None
    key = vault.opened(provider.sealed_key)
    stored = StoredProvider(provider.base, provider.dialect, key, provider.cost)
    seconds = options().memory_seconds
    memory.put((user_id, name), stored, seconds=seconds, generation=generation)
    return stored


_read = on_database_thread(_read_row, at_most=2)
