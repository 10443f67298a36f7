"""Events for every process: a row for each, read by all of them once a second."""

from __future__ import annotations

from datetime import timedelta

from django.db import models
from django.utils import timezone

KEPT = timedelta(minutes=10)


class BroadcastEvent(models.Model):
    """Something that happened to a user, such as that their access ended."""

    topic = models.CharField(max_length=40)
    subject = models.CharField(max_length=60)
    created = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "accounts_news"
        verbose_name_plural = "news"

    def __str__(self) -> str:
        return f"{self.topic} {self.subject}"

    @classmethod
    def publish(cls, topic: str, subject: str) -> None:
        """Tell all processes, once the transaction is committed, and forget what is old."""
        cls.objects.create(topic=topic, subject=subject)
        cls.objects.filter(created__lt=timezone.now() - KEPT).delete()
