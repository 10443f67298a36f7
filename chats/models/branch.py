"""Branches: the ways through a chat."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import models
from django.db.models import Q
from django.utils import timezone
from uuid_utils.compat import uuid7


class Branch(models.Model):
    """One way through a chat from `position` on; before that it is its parent's."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    chat = models.ForeignKey("Chat", models.CASCADE, related_name="branches")
    parent = models.ForeignKey("self", models.CASCADE, null=True, related_name="children")
    position = models.PositiveIntegerField(default=0)
    created = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"Branch {self.pk} from {self.position}"

    @staticmethod
    def of_chat(chat_id: Any) -> dict[Any, Branch]:
        """Return a chat's branches by id, oldest first."""
        return {branch.pk: branch for branch in Branch.objects.filter(chat=chat_id).order_by("pk")}

    def path_filter(self, first: int = 0, end: int | None = None) -> Q:
        """The condition that a message lies on the path to the end of this branch.

        `first` and `end` (which is outside) bound its position. With both known, or a chat of one
        branch, the database reads an index, however long the chat is.
        """
        condition = Q(pk__in=[])
        for branch_id, begins, stops in self.segments(Branch.of_chat(self.chat_id)):
            low = max(begins, first)
            ends = [each for each in (stops, end) if each is not None]
            if ends and min(ends) <= low:
                continue
            segment = Q(branch=branch_id, position__gte=low)
            condition |= segment & Q(position__lt=min(ends)) if ends else segment
        return condition

    def last_position(self) -> int:
        """The position of the last message on this branch; -1 if there is none."""
        last = self.messages.order_by("-position").values_list("position", flat=True).first()
        return self.position - 1 if last is None else last

    def segments(self, branches: dict[Any, Branch]) -> Iterator[tuple[Any, int, int | None]]:
        """Yield branch, first position and end of each segment, from the last to the first."""
        branch: Branch | None = branches.get(self.pk, self)
        end: int | None = None
        while branch is not None:
            if end is None or branch.position < end:
                yield branch.pk, branch.position, end
                end = branch.position
            branch = branches.get(branch.parent_id) if branch.parent_id else None
