"""Generations and their event log: how one answer came to be, for anyone to follow or replay.

The log is the memory. Whoever runs an answer writes to it, whoever reads an answer follows it, and
neither needs the other to be there.
"""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from uuid_utils.compat import uuid7

from chats.models import lease
from proxy.common.access import User, id_of


class GenerationQuerySet(models.QuerySet["Generation"]):
    def of(self, user: User | int) -> GenerationQuerySet:
        """The generations in the chats that `user` has, without the trash."""
        return self.filter(owner=id_of(user), chat__deleted_at=None)

    def running(self) -> GenerationQuerySet:
        return self.filter(state__in=Generation.RUNNING)

    def abandoned(self) -> GenerationQuerySet:
        """Those whose lease is over: the process that ran them is gone."""
        return self.running().exclude(lease.held())

    def leased(self) -> GenerationQuerySet:
        """Those that a process is at work on."""
        return self.running().filter(lease.held())


class Generation(models.Model):
    """One answer from the question to its end. Its id is the contract's replaySessionID."""

    class State(models.TextChoices):
        QUEUED = "queued"
        STREAMING = "streaming"
        COMPLETE = "complete"
        STOPPED = "stopped"
        INCOMPLETE = "incomplete"
        """It broke off: what there is was kept, and it can be continued."""
        FAILED = "failed"
        """Nothing came of it."""

    RUNNING = (State.QUEUED, State.STREAMING)

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="generations")
    chat = models.ForeignKey("Chat", models.CASCADE, related_name="generations")
    message = models.OneToOneField("Message", models.CASCADE, related_name="generation")
    state = models.CharField(max_length=20, choices=State.choices, default=State.QUEUED)
    lease_until = models.DateTimeField(help_text="Renewed by who runs it; past that, nobody does.")
    stop_requested = models.BooleanField(default=False)
    error = models.CharField(max_length=300, blank=True)
    idempotency_key = models.CharField(max_length=200, blank=True)
    request_digest = models.CharField(max_length=64, blank=True)
    parameters = models.JSONField(
        default=dict, blank=True, help_text="voice, research, fastContext: what was asked for."
    )
    target = models.CharField(max_length=270, blank=True, help_text="The provider's host and port.")
    model = models.CharField(max_length=200, blank=True)
    usage = models.JSONField(default=dict, blank=True, help_text="As the provider counted.")
    context = models.JSONField(
        default=dict, blank=True, help_text="What the model was given: each message and its fate."
    )
    created = models.DateTimeField(default=timezone.now)
    first_token = models.DateTimeField(null=True, blank=True)
    finished = models.DateTimeField(null=True, blank=True)
    has_steps = models.BooleanField(
        default=True, editable=False, help_text="Its log has each step, not only its end."
    )

    objects = GenerationQuerySet.as_manager()

    class Meta:
        permissions = [("stop_generation", "Can stop answers")]
        indexes = [
            models.Index(
                fields=["lease_until"],
                condition=Q(state__in=("queued", "streaming")),
                name="generation_leases",
            ),
            models.Index(
                fields=["finished"], condition=Q(has_steps=True), name="generation_with_steps"
            ),
            models.Index(fields=["chat", "-created"], name="generation_of_chat"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["owner", "idempotency_key"],
                condition=~Q(idempotency_key=""),
                name="generation_idempotency",
            ),
            models.UniqueConstraint(
                fields=["chat"],
                condition=Q(state__in=("queued", "streaming")),
                name="generation_one_running_in_a_chat",
                violation_error_message="An answer is being written in this chat.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.state} {self.pk}"

    @property
    def is_abandoned(self) -> bool:
        return self.is_running and not lease.is_held(self.lease_until)

    @property
    def is_running(self) -> bool:
        return self.state in self.RUNNING


class Event(models.Model):
    """One entry of a generation's log: a step, a piece of text, or its end."""

    class Type(models.TextChoices):
        THINKING = "thinking_update"
        DELTA = "response_delta"
        FINAL = "final_response"
        METADATA = "metadata"
        ERROR = "error"
        DONE = "done"

    STEPS = (Type.THINKING, Type.DELTA)
    """What the log can do without, once the message has the whole text."""

    generation = models.ForeignKey(Generation, models.CASCADE, related_name="events")
    sequence = models.PositiveIntegerField(help_text="From 1, without gaps.")
    type = models.CharField(max_length=20, choices=Type.choices)
    content = models.TextField(blank=True)
    data = models.JSONField(null=True, blank=True)
    created = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["sequence"]
        constraints = [
            models.UniqueConstraint(fields=["generation", "sequence"], name="event_sequence")
        ]

    def __str__(self) -> str:
        return f"{self.sequence} {self.type} of {self.generation_id}"
