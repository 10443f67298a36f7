"""What is kept of each call through the proxy: who, where, how much. Never a word of it."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from proxy.models.expiry import deleted_in_steps, oldest_usage


class UsageRecordQuerySet(models.QuerySet["UsageRecord"]):
    def expire(self, *, at_once: int = 1000, most: int | None = None) -> int:
        """Delete what is no longer kept, in small steps, and return how many rows it was."""
        return deleted_in_steps(self.filter(created__lt=oldest_usage()), at_once, most)


class UsageRecord(models.Model):
    """One call of an authenticated caller, whatever became of it."""

    class Outcome(models.TextChoices):
        COMPLETE = "complete"
        """The provider's answer was passed on to its end, whatever its status."""
        REFUSED = "refused"
        """We answered ourselves: bad input, a limit, a provider that could not be reached."""
        BROKEN = "broken"
        """The answer had begun and broke off."""
        FAILED = "failed"
        """The answer came whole, and the provider says in it that it failed."""
        CLIENT_CLOSED = "client_closed"
        """The caller went away; the provider was closed."""

    created = models.DateTimeField(db_index=True)
    request_id = models.CharField(max_length=40, unique=True)
    caller = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        # The index of a caller's rows by time serves as well.
        db_index=False,
        related_name="usage_records",
        help_text="Empty once the account is deleted: usage outlives it.",
    )
    key_id = models.CharField(
        max_length=40, blank=True, help_text="The id of the API key; empty for a login's token."
    )
    endpoint = models.CharField(max_length=40)
    target = models.CharField(max_length=270, blank=True, help_text="The provider's host and port.")
    model = models.CharField(max_length=200, blank=True)
    mode = models.CharField(max_length=20, blank=True)
    filtering = models.CharField(
        max_length=20,
        blank=True,
        help_text="What the filter did: filtered, unchanged, shadow, off, failed, too_slow, "
        "undone.",
    )
    persona = models.CharField(
        max_length=100, blank=True, help_text="Who answered, where a chat asked."
    )
    messages_before = models.PositiveIntegerField(default=0)
    messages_after = models.PositiveIntegerField(default=0)
    tokens_before = models.PositiveIntegerField(default=0)
    tokens_after = models.PositiveIntegerField(default=0)
    prompt_tokens = models.PositiveIntegerField(null=True, help_text="As the provider counted.")
    cached_tokens = models.PositiveIntegerField(null=True)
    completion_tokens = models.PositiveIntegerField(null=True)
    written_tokens = models.PositiveIntegerField(
        null=True, help_text="Of the prompt, into the provider's cache, where that has a price."
    )
    written_for_long_tokens = models.PositiveIntegerField(
        null=True, help_text="Of those written, what is kept for an hour."
    )
    reasoning_tokens = models.PositiveIntegerField(
        null=True, help_text="Of the completion, what the model thought and nobody reads."
    )
    cost_preset = models.CharField(max_length=20, blank=True)
    cache_mode = models.CharField(
        max_length=20, blank=True, help_text="full, continue, recall, moved, back, cut or fresh."
    )
    cost_reason = models.CharField(max_length=20, blank=True)
    expected_cached = models.PositiveIntegerField(
        null=True, help_text="Our estimate of cached_tokens, in our count of tokens."
    )
    price = models.ForeignKey(
        "proxy.Price",
        # No constraint: a price deleted meanwhile must not fail a batch of rows.
        models.DO_NOTHING,
        null=True,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    cost = models.BigIntegerField(
        null=True, help_text="By the provider's counts and the price: billionths of a dollar."
    )
    estimated = models.BigIntegerField(
        null=True, help_text="What the input would cost, as it was estimated before."
    )
    estimated_whole = models.BigIntegerField(
        null=True, help_text="What it would have cost to send everything; an estimate."
    )
    saved = models.BigIntegerField(
        null=True, help_text="That less what the input did cost; below zero where it cost more."
    )
    status = models.PositiveSmallIntegerField()
    outcome = models.CharField(max_length=20, choices=Outcome.choices)
    milliseconds = models.PositiveIntegerField()
    first_byte_milliseconds = models.PositiveIntegerField(null=True)

    objects = UsageRecordQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["caller", "-created"], name="usage_of_caller")]

    def __str__(self) -> str:
        return self.request_id
