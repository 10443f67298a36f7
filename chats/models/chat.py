"""Chats and their branches: what is kept, and the questions one may ask of it.

A chat is a tree of messages, kept so that reading one way through it is cheap: a branch owns the
messages from its first position on, and what stands before belongs to the branch it left. An
edited question or a second answer opens a branch; nothing is ever overwritten.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from itertools import islice
from typing import Any

from django.conf import settings
from django.db import models, transaction
from django.db.models import Exists, F, OuterRef, Q
from django.dispatch import Signal
from django.utils import timezone
from uuid_utils.compat import uuid7

from chats.models.branch import Branch
from chats.models.generation import Generation
from chats.models.message import Message, MessageQuerySet
from chats.search.query import Query
from proxy.common.access import User, id_of
from proxy.relevance import modes

TRASH = timedelta(days=30)
LONGEST_TITLE = 200
MOST_COPIED_MESSAGES = 10_000
MOST_COPIED_CHARACTERS = 16_000_000
AT_ONCE = 500
"""How many messages are written by one statement."""


chat_changed = Signal()
"""Sent with `chat_id` when an owner has changed a chat: whoever shows it looks again."""


class BeingAnswered(Exception):
    """Not now: an answer is being written in this chat."""


class TooLong(Exception):
    """More than may be copied at once."""


class TitleTooLong(Exception):
    """A title of more than LONGEST_TITLE characters."""


class UnknownMode(Exception):
    """No relevance mode has this name."""


class ChatQuerySet(models.QuerySet["Chat"]):
    def of(self, user: User | int) -> ChatQuerySet:
        """The chats that `user` has, without the trash. Every view starts here."""
        return self.filter(owner=id_of(user), deleted_at=None)

    def trash_of(self, user: User | int) -> ChatQuerySet:
        """The chats that `user` deleted and can still restore."""
        return self.filter(owner=id_of(user), deleted_at__gte=timezone.now() - TRASH)

    def expired_trash(self) -> ChatQuerySet:
        """The chats that nobody can restore any more."""
        return self.filter(deleted_at__lt=timezone.now() - TRASH)

    def about(self, words: str) -> ChatQuerySet:
        """The chats whose title, or one of whose messages, answers to a search.

        No words find no chat.
        """
        query = Query.of(words)
        if not query:
            return self.none()
        matching = Message.objects.filter(chat__in=self.values("pk"), content__words=query)
        return self.filter(Q(title__words=query) | Q(pk__in=matching.values("chat")))

    def in_sidebar_order(self) -> ChatQuerySet:
        return self.order_by("-is_pinned", "-updated", "-pk")

    def with_state(self) -> ChatQuerySet:
        """Adds `is_answering`, and who answers."""
        running = Generation.objects.running().filter(chat=OuterRef("pk"))
        return (
            self.annotate(is_answering=Exists(running))
            .select_related("persona_version__persona")
            .defer("persona_version__system_prompt")
        )

    def move_to_trash(self) -> int:
        """Put the chats into the trash, and stop the answers being written in them."""
        thrown = list(self.filter(deleted_at=None).values_list("pk", flat=True))
        Generation.objects.running().filter(chat__in=thrown).update(stop_requested=True)
        return Chat.objects.filter(pk__in=thrown).update(deleted_at=timezone.now())

    def empty(self) -> int:
        """Take the chats out of the trash for good: they vanish soon."""
        return self.update(deleted_at=timezone.now() - TRASH - timedelta(seconds=1))


class Chat(models.Model):
    """A conversation of its owner with a persona."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="chats")
    title = models.CharField(max_length=LONGEST_TITLE, blank=True)
    has_own_title = models.BooleanField(
        default=False, help_text="A person chose the title: nothing else may replace it."
    )
    persona_version = models.ForeignKey(
        "personas.PersonaVersion",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="chats",
        help_text="Who answers. A persona that changes does not change under a running chat.",
    )
    relevance = models.CharField(
        "relevance mode", max_length=20, blank=True, help_text="Empty means the persona's mode."
    )
    scope = models.CharField(max_length=20, default="internal")
    username = models.CharField(
        max_length=150, blank=True, help_text="Who asked, in the words of an integration."
    )
    source = models.CharField(max_length=100, blank=True, help_text="Where the chat came from.")
    is_pinned = models.BooleanField("pinned", default=False)
    is_archived = models.BooleanField("archived", default=False)
    branch = models.ForeignKey(
        "Branch",
        models.SET_NULL,
        null=True,
        editable=False,
        related_name="+",
        help_text="The branch that is shown and continued.",
    )
    forked_from = models.ForeignKey(
        "Message", models.SET_NULL, null=True, blank=True, editable=False, related_name="forks"
    )
    origin = models.CharField(
        max_length=200,
        blank=True,
        editable=False,
        help_text="What an imported or a proxied conversation is known by, so that it comes once.",
    )
    import_job = models.ForeignKey(
        "ImportJob",
        models.SET_NULL,
        null=True,
        editable=False,
        db_index=False,
        related_name="chats",
        help_text="The import that brought it, while that is remembered.",
    )
    created = models.DateTimeField(default=timezone.now, editable=False)
    updated = models.DateTimeField(
        default=timezone.now, editable=False, help_text="When its last message came."
    )
    deleted_at = models.DateTimeField(null=True, blank=True, editable=False, db_index=True)

    objects = ChatQuerySet.as_manager()

    class Meta:
        permissions = [
            ("read_chat", "Can read the texts of chats"),
            ("transfer_chat", "Can give chats to other users"),
        ]
        indexes = [
            models.Index(
                fields=["owner", "-is_pinned", "-updated", "-id"],
                condition=Q(deleted_at=None),
                name="chat_sidebar",
            ),
            models.Index(
                fields=["import_job"],
                condition=Q(import_job__isnull=False),
                name="chat_of_import",
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["owner", "origin"], condition=~Q(origin=""), name="chat_origin_of_owner"
            )
        ]

    def __str__(self) -> str:
        return self.title or f"Chat {self.pk}"

    @property
    def audit_name(self) -> str:
        """What the audit log, which keeps everything, may call it: its title is its owner's."""
        return f"chat {self.pk}"

    def rename(self, title: str) -> None:
        """Give it a title of its owner's own; an empty one lets a title be made again.

        Raises TitleTooLong.
        """
        title = title.strip()
        if len(title) > LONGEST_TITLE:
            raise TitleTooLong
        self._change(title=title, has_own_title=bool(title))

    def pin(self, is_pinned: bool | None = None) -> None:
        """Pin it, or take the pin off; without a value, toggle it."""
        self._change(is_pinned=~F("is_pinned") if is_pinned is None else is_pinned)

    def archive(self, is_archived: bool | None = None) -> None:
        """Take it out of the list, or put it back; without a value, toggle it."""
        self._change(is_archived=~F("is_archived") if is_archived is None else is_archived)

    def set_mode(self, mode: str) -> None:
        """Choose how strictly it is filtered; empty leaves that to the persona.

        Raises UnknownMode.
        """
        if mode and mode not in modes.NAMES:
            raise UnknownMode
        self._change(relevance=mode)

    @transaction.atomic
    def show_message(self, message: Message) -> None:
        """Show, and continue on, the newest branch on which `message` stands.

        Raises BeingAnswered: an answer goes on where its question stands.
        """
        Chat.objects.select_for_update().get(pk=self.pk)
        if self.generations.running().exists():
            raise BeingAnswered
        self._change(branch=self.branch_through(message))

    def move_to_trash(self) -> None:
        """Delete it, so that it can be restored for a while; its answers are stopped."""
        Chat.objects.filter(pk=self.pk).move_to_trash()
        chat_changed.send(Chat, chat_id=self.pk)

    def restore(self) -> None:
        """Take it out of the trash."""
        self._change(deleted_at=None)

    def _change(self, **columns: Any) -> None:
        """Write these columns alone: an answer may be changing others meanwhile."""
        Chat.objects.filter(pk=self.pk).update(**columns)
        self.refresh_from_db(fields=list(columns))
        chat_changed.send(Chat, chat_id=self.pk)

    @transaction.atomic
    def transfer_to(self, user: User) -> None:
        """Let the chat, with its answers, be another user's; what is written in it is stopped."""
        self.generations.filter(state__in=("queued", "streaming")).update(stop_requested=True)
        # Keys and origins are unique for their owner, and name what only the old one knows.
        self.generations.update(owner_id=user.pk, idempotency_key="")
        self.owner_id, self.origin, self.is_pinned, self.import_job = user.pk, "", False, None
        self.save(update_fields=["owner", "origin", "is_pinned", "import_job"])

    def messages_on(
        self, branch: Branch | None = None, *, first: int = 0, end: int | None = None
    ) -> MessageQuerySet:
        """The messages of a branch (the shown one), in order, from `first` to before `end`."""
        branch = branch or self.branch
        if branch is None:
            return Message.objects.none()
        return Message.objects.filter(branch.path_filter(first, end)).order_by("position")

    def last_message(self, branch: Branch | None = None) -> Message | None:
        """The last message of a branch (the shown one), found without reading the others."""
        branch = branch or self.branch
        if branch is None or (last := branch.last_position()) < 0:
            return None
        return self.messages_on(branch, first=last, end=last + 1).first()

    def first_branch(self) -> Branch:
        """The branch that is shown; a chat without messages gets its first one."""
        if self.branch is None:
            self.branch = Branch.objects.create(chat=self)
            self.save(update_fields=["branch"])
        return self.branch

    @transaction.atomic
    def bulk_append(self, messages: Iterable[Message]) -> None:
        """Write unsaved messages as this empty chat's first branch, in the order they come in.

        They are read and written in batches, however many there are.
        """
        branch, last, incoming = self.first_branch(), None, iter(messages)
        position = 0
        while batch := list(islice(incoming, AT_ONCE)):
            for message in batch:
                message.chat, message.branch = self, branch
                message.parent, message.position = last, position
                last, position = message, position + 1
            Message.objects.bulk_create(batch)

    @transaction.atomic
    def fork(self, *, at: Message, title: str = "") -> Chat:
        """Return a new chat with the messages up to and including `at`.

        Raises BeingAnswered, or TooLong for more than may be copied.
        """
        Chat.objects.select_for_update().get(pk=self.pk)
        if self.generations.running().exists():
            raise BeingAnswered
        copied = self.messages_on(at.branch, end=at.position + 1)
        if at.position >= MOST_COPIED_MESSAGES or copied.characters() > MOST_COPIED_CHARACTERS:
            raise TooLong
        fork = Chat.objects.create(
            owner_id=self.owner_id,
            title=title or self.title,
            has_own_title=bool(title) or self.has_own_title,
            persona_version_id=self.persona_version_id,
            relevance=self.relevance,
            scope=self.scope,
            username=self.username,
            source=self.source,
            forked_from=at,
        )
        fork.bulk_append(message.copied() for message in copied.iterator(AT_ONCE))
        return fork

    def append(self, role: str, content: str, **fields: Any) -> Message:
        """Add a message at the end of the shown branch. Writers at once take turns."""
        (message,) = self.extend([Message(role=role, content=content, **fields)])
        return message

    @transaction.atomic
    def extend(self, messages: Iterable[Message]) -> list[Message]:
        """Add messages, not saved yet, at the end of the shown branch, in their order."""
        chat = Chat.objects.select_for_update().get(pk=self.pk)
        branch = chat.first_branch()
        last = chat.last_message(branch)
        added = []
        for message in messages:
            message.chat, message.branch, message.parent = chat, branch, last
            message.position = last.position + 1 if last else 0
            added.append(message)
            last = message
        branch.messages.bulk_create(added)
        self.branch = branch
        if added:
            chat.touch(added[-1].created)
        return added

    @transaction.atomic
    def branch_at(self, message: Message) -> Branch:
        """Open a branch beside `message`, which stays, and show it.

        The branch is empty: what is added next stands in `message`'s place.
        """
        Chat.objects.select_for_update().get(pk=self.pk)
        branch = Branch.objects.create(chat=self, parent=message.branch, position=message.position)
        self.show(branch)
        return branch

    def branch_through(self, message: Message) -> Branch:
        """Return the newest branch on which `message` stands."""
        branches = Branch.of_chat(self.pk)
        stood_on = (
            branch
            for branch in reversed(branches.values())
            for part, first, end in branch.segments(branches)
            if part == message.branch_id
            and first <= message.position
            and (end is None or message.position < end)
        )
        return next(stood_on)

    def show(self, branch: Branch) -> None:
        """Let the chat be read and continued on `branch`."""
        self.branch = branch
        self.save(update_fields=["branch"])

    def touch(self, now: Any = None) -> None:
        """Note that something was said."""
        self.updated = now or timezone.now()
        self.save(update_fields=["updated"])
