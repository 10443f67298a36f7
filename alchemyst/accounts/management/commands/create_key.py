from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from alchemyst.accounts.models import SCOPES, ApiKey, User


class Command(BaseCommand):
    help = "Make an API key for a user and print it, this once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--name", default="made on the command line")
        parser.add_argument("--scopes", nargs="+", choices=SCOPES, default=SCOPES)

    def handle(
        self, *args: Any, username: str, name: str, scopes: list[str], **options: Any
    ) -> None:
        try:
            owner = User.objects.get_by_natural_key(username)
        except User.DoesNotExist:
            raise CommandError(f"There is no user {username!r}.")
        _, text = ApiKey.make(owner, name=name, scopes=scopes)
        self.stdout.write(text)
