"""Encrypt every stored provider key with the first of the vault's keys."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from proxy.common import vault
from proxy.common.errors import KeyUnreadable
from proxy.models import Provider


class Command(BaseCommand):
    help = (
        "Encrypt every stored provider key with the first key in ALCHEMYST_VAULT_KEY. "
        "Afterwards the others can be taken away."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        done, unreadable = 0, []
        for provider in Provider.objects.select_related("owner").iterator():
            try:
                fresh = vault.resealed(provider.sealed_key)
            except KeyUnreadable:
                unreadable.append(f"{provider.owner.get_username()}/{provider.name}")
                continue
            done += Provider.objects.filter(pk=provider.pk).update(sealed_key=fresh)
        self.stdout.write(f"Encrypted with the first key: {done}.")
        if unreadable:
            raise CommandError(
                f"No key fits: {', '.join(unreadable)}. Add the key that is missing to "
                "ALCHEMYST_VAULT_KEY, or have these providers stored again."
            )
