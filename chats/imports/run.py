"""An import from beginning to end: each conversation becomes a chat, or a line in the report."""

from __future__ import annotations

import hashlib
import logging
from types import ModuleType
from typing import Any
from uuid import UUID

import msgspec
from django.db import DataError, IntegrityError, transaction
from django.utils import timezone

from chats.imports import chatgpt, files, librechat, openwebui, own, trees
from chats.imports.conversation import Conversation, Unreadable, as_dict
from chats.models import Branch, Chat, ImportJob, Message
from chats.models.chat import AT_ONCE
from chats.models.importing import Stopped
from chats.retention import purge
from personas.models import DEFAULT, Persona, PersonaVersion
from proxy.common.runtime import threads
from proxy.relevance import modes

READERS: tuple[ModuleType, ...] = (chatgpt, openwebui, librechat, own)
MOST_BYTES = 16 * 1024 * 1024
"""Of one conversation."""

MOST_MESSAGES = 20_000
MOST_CONVERSATIONS = 200_000
MOST_ATTEMPTS = 3
# In one transaction, for which others wait on SQLite.
DELETED_AT_ONCE = 25
BEFORE = "It was imported before."

logger = logging.getLogger("chats.imports")


class ProcessEnds(Exception):
    """This process is about to end: another one goes on."""


def run(job_id: Any) -> None:
    """Do an import, or go on with one that was cut off; nothing if somebody else is at it.

    It ends early, between two conversations, when its owner stops it, and is left to another
    process when this one is about to end.
    """
    job = ImportJob.objects.claim(job_id)
    if job is None:
        return
    try:
        if job.stop:
            raise Stopped
        if job.attempts > MOST_ATTEMPTS:
            raise Unreadable(f"It was given up after {MOST_ATTEMPTS} attempts.")
        Import(job).run()
    except Unreadable as unreadable:
        job.finish(error=str(unreadable))
    except Stopped:
        end_early(job)
    except ProcessEnds:
        job.release()
    else:
        job.finish()


def end_early(stopped: ImportJob) -> None:
    """End an import as its owner wants: with what was imported, or without.

    A chat that went on after it was imported is more than a copy of the file, and stays.
    """
    job = ImportJob.objects.filter(pk=stopped.pk).first()
    if job is None:
        # Its owner's account is gone.
        return
    if job.stop == ImportJob.Stop.DELETE:
        while chats := list(job.chats.filter(generations=None)[:DELETED_AT_ONCE]):
            with transaction.atomic():
                for chat in chats:
                    purge(chat)
            job.renew_lease()
        job.imported = job.chats.count()
        job.messages = Message.objects.filter(chat__import_job=job).count()
    job.finish()


class Import:
    """The state of an import that is going on."""

    def __init__(self, job: ImportJob) -> None:
        self.job = job
        self.personas: dict[str, PersonaVersion | None] = {}
        for persona in Persona.objects.visible_to(job.owner):
            if persona.slug not in self.personas or persona.owner_id == job.owner_id:
                self.personas[persona.slug] = persona.current

    def run(self) -> None:
        """Import what is in the file, from where it stopped. Raises Unreadable for no export."""
        job, index = self.job, 0
        count = 0
        for raw_conversations in files.conversations(bytes(job.file())):
            count += len(raw_conversations)
            job.total = max(job.total, min(count, MOST_CONVERSATIONS))
            for raw in raw_conversations:
                if threads.ENDING.is_set():
                    raise ProcessEnds
                index += 1
                if index > MOST_CONVERSATIONS:
                    raise Unreadable(f"It has more than {MOST_CONVERSATIONS} conversations.")
                if index > job.processed:
                    self.take(raw)
        if not count:
            raise Unreadable("It has no conversations.")

    def take(self, raw: msgspec.Raw) -> None:
        """Import one conversation, or note why not; with that, how far the job is."""
        conversation = None
        self.job.processed += 1
        try:
            conversation = self.read(bytes(raw))
            with transaction.atomic():
                self.keep(conversation)
                self.job.keep_progress()
            return
        except Unreadable as unreadable:
            reason = str(unreadable)
        except IntegrityError:
            reason = BEFORE
        except RecursionError:
            reason = "It is nested too deeply."
        except (msgspec.DecodeError, DataError, ValueError, TypeError) as error:
            # Somebody's file, which may be anything: its text is not for the log.
            logger.warning("A conversation can't be imported: %s", type(error).__name__)
            reason = "It could not be understood."
        self.job.skip(conversation.title if conversation else "", reason)
        self.job.keep_progress()

    def read(self, raw: bytes) -> Conversation:
        if len(raw) > MOST_BYTES:
            raise Unreadable(f"It is larger than {MOST_BYTES // 1024 // 1024} MiB.")
        data = as_dict(msgspec.json.decode(raw))
        reader = next((each for each in READERS if each.recognises(data)), None)
        if reader is None:
            raise Unreadable("It is no conversation of a known kind.")
        conversation: Conversation = reader.read(data)
        if len(conversation.messages) > MOST_MESSAGES:
            raise Unreadable(f"It has more than {MOST_MESSAGES} messages.")
        self.job.format = reader.NAME
        if not conversation.origin:
            digest = hashlib.sha256(raw).hexdigest()
            conversation.origin = f"{reader.NAME.lower()}:{digest}"
        conversation.fields.setdefault("source", reader.NAME)
        return conversation

    def keep(self, conversation: Conversation) -> None:
        """Write the chat; raises Unreadable if it is there, IntegrityError if it just came."""
        self.refuse_known(conversation)
        chat = self.chat(conversation)
        rows = trees.rows(chat, conversation, self.personas)
        chat.updated = conversation.updated or max(each.created for each in rows.messages)
        chat.save(force_insert=True)
        Branch.objects.bulk_create(rows.branches)
        Message.objects.bulk_create(rows.messages, batch_size=AT_ONCE)
        chat.show(rows.shown_branch)
        self.job.imported += 1
        self.job.messages += len(rows.messages)
        for note in conversation.notes:
            self.job.note(chat.title, f"Left out of it: {note}.")

    def refuse_known(self, conversation: Conversation) -> None:
        chats = Chat.objects.filter(owner=self.job.owner_id)
        imported = chats.filter(origin=conversation.origin)
        if own_id := _uuid(conversation.own_id):
            imported |= chats.filter(pk=own_id)
        chat = imported.first()
        if chat and chat.deleted_at:
            raise Unreadable("It was imported before, and is in the trash: restore it there.")
        if chat:
            raise Unreadable(BEFORE)

    def chat(self, conversation: Conversation) -> Chat:
        title = " ".join(conversation.title.split())[:200]
        fields = dict(conversation.fields)
        if fields.get("relevance") not in modes.NAMES:
            fields["relevance"] = ""
        version = self.personas.get(conversation.persona) or self.personas.get(DEFAULT)
        return Chat(
            owner_id=self.job.owner_id,
            import_job=self.job,
            origin=conversation.origin[:200],
            title=title,
            has_own_title=bool(title),
            persona_version=version,
            is_pinned=conversation.pinned,
            is_archived=conversation.archived,
            created=conversation.created or conversation.updated or timezone.now(),
            **fields,
        )


def _uuid(value: str) -> UUID | None:
    try:
        return UUID(value)
    except ValueError:
        return None
