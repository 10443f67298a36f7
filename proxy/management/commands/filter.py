"""Show what the filter does with conversations, in a terminal or for programs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from proxy.common.errors import ApiError
from proxy.filtering import decisions, pins, result
from proxy.filtering.cli import conversation_files
from proxy.filtering.cli.conversation_files import Conversation
from proxy.filtering.cli.terminal import bar, table, truncate
from proxy.filtering.result import FilterOptions, FilterResult
from proxy.meaning.conversation import with_meanings
from proxy.relevance import modes

# Nobody waits for an answer; an encoder takes about ten a second of long messages.
ENCODER_SECONDS = 600.0
_COLOURS = {"dropped": "2", "joined": "36", "protected": "32"}


class Command(BaseCommand):
    help = (
        "Show what the filter would do with conversations: one line for each message, with its "
        "fate, score, tokens and reason. Nothing is sent anywhere."
    )
    # It needs no database and no server.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "files",
            nargs="+",
            help="JSON ({'messages': [...]}, {'contents': [...]}, {'input': [...]} or a bare "
            "list), or JSON lines; - for standard input.",
        )
        parser.add_argument("--mode", choices=modes.NAMES, default=settings.PROXY_RELEVANCE)
        parser.add_argument("--pin", default="", help="Places that stay: first,3,-1 or 4-9.")
        parser.add_argument("--exclude", default="", help="Places to leave out.")
        parser.add_argument(
            "--json", action="store_true", help="One JSON object for each conversation."
        )

    def handle(self, *args: Any, files: list[str], **options: Any) -> None:
        for number, name in enumerate(files, 1):
            if len(files) > 1:
                self._progress(f"{bar(number, len(files))} {truncate(name, 40)}")
            done = [(each, self._filtered(read, options)) for each, read in self._read(name)]
            if len(files) > 1:
                self._progress("")
            for label, account in done:
                if options["json"]:
                    fields = {"file": label} | decisions.to_json(account)
                    self.stdout.write(msgspec.json.encode(fields).decode())
                    continue
                if len(files) + len(done) > 2:
                    self.stdout.write(label)
                self._show(account, options)

    def _progress(self, text: str) -> None:
        """Show `text` in place of what was shown before, where somebody watches."""
        if self.stderr.isatty():
            self.stderr.write(f"\r\x1b[K{text}", style_func=str, ending="")
            self.stderr.flush()

    def _read(self, name: str) -> Iterator[tuple[str, Conversation]]:
        try:
            text = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        except OSError as error:
            raise CommandError(f"{name} can't be read: {error.strerror}.") from None
        try:
            conversations = conversation_files.read(text)
        except ApiError as error:
            raise CommandError(f"{name} is no conversation: {error.message}") from None
        for place, conversation in enumerate(conversations, 1):
            yield (f"{name}:{place}" if len(conversations) > 1 else name), conversation

    def _filtered(self, read: Conversation, options: dict[str, Any]) -> FilterResult:
        count = len(read.request.messages)
        try:
            filter_options = FilterOptions(
                options["mode"],
                pins.places(options["pin"], count, header="--pin"),
                pins.places(options["exclude"], count, header="--exclude"),
                settings.PROXY_FILTER_SECONDS,
            )
        except ApiError as error:
            raise CommandError(error.message) from None
        messages = with_meanings(read.request.messages, seconds=ENCODER_SECONDS)
        return result.filtered(
            replace(read.request, messages=messages), read.dialect, filter_options
        )

    def _show(self, done: FilterResult, options: dict[str, Any]) -> None:
        coloured = options["force_color"] or (
            self.stdout.isatty() and not options["no_color"] and not os.environ.get("NO_COLOR")
        )
        decided = decisions.decisions_of(done)
        for decision, line in zip(decided, table(done, decided), strict=True):
            colour = _COLOURS.get(decision.fate)
            self.stdout.write(
                f"\x1b[{colour}m{line}\x1b[0m" if coloured and colour else line,
            )
        self.stdout.write(_summary(done))


def _summary(done: FilterResult) -> str:
    saved = 100 * (1 - done.tokens_after / done.tokens_before)
    short = (
        "; so short, a request goes whole"
        if done.tokens_after < done.tokens_before < settings.PROXY_SHORT_TOKENS
        else ""
    )
    return (
        f"{done.mode}, {done.filtering}: {done.messages_after} of {done.messages_before} messages, "
        f"{done.tokens_after} of {done.tokens_before} tokens ({saved:.0f} % saved), "
        f"{done.milliseconds:.1f} ms{short}"
    )
