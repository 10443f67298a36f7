"""What providers ask for their tokens, in versions: no row is changed, a later one replaces it."""

from __future__ import annotations

from datetime import date

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.utils import timezone

from proxy.cost.prices import Tariff, shipped


class PriceQuerySet(models.QuerySet["Price"]):
    def current(self, today: date | None = None) -> list[Price]:
        """The rows that count, the deciding one last: an operator's goes before a shipped one."""
        begun = self.filter(since__lte=today or timezone.now().date())
        return list(begun.order_by("-is_shipped", "since", "pk"))


def _money(text: str) -> models.DecimalField:
    return models.DecimalField(
        text,
        max_digits=12,
        decimal_places=6,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
    )


class Price(models.Model):
    """One version of a model's prices, in dollars for a million tokens, and its cache's rules."""

    host = models.CharField(
        max_length=270, help_text="As calls name it, with its port if that is not 443; or *.domain."
    )
    model = models.CharField(
        max_length=200,
        blank=True,
        help_text="Stands for names that go on with a hyphen, too; empty for every other model.",
    )
    input = _money("input")
    cached = _money("cached input")
    write = _money("cache write")
    hour_write = _money("cache write for an hour")
    output = _money("output")
    long_above = models.PositiveIntegerField(
        "long prompts above",
        null=True,
        blank=True,
        help_text="Tokens of a prompt above which the prices of the whole call are those for long "
        "prompts; empty: it makes no difference.",
    )
    long_input = _money("input, long prompt")
    long_cached = _money("cached input, long prompt")
    long_write = _money("cache write, long prompt")
    long_hour_write = _money("cache write for an hour, long prompt")
    long_output = _money("output, long prompt")
    lifetime = models.FloatField(
        default=300,
        validators=[MinValueValidator(0)],
        help_text="Seconds that a prompt stays cached after its last use; 0: nothing is cached.",
    )
    least = models.PositiveIntegerField(
        "smallest prefix", default=1024, help_text="Tokens from which on a beginning is cached."
    )
    step = models.PositiveIntegerField(
        default=128,
        validators=[MinValueValidator(1)],
        help_text="A cached beginning is a multiple of so many tokens.",
    )
    is_whole = models.BooleanField(
        "whole requests", default=False, help_text="Only a whole earlier request is found again."
    )
    since = models.DateField(default=date.today)
    source = models.TextField(blank=True)
    read = models.DateField("source read", null=True, blank=True)
    is_shipped = models.BooleanField("shipped", default=False, editable=False)
    created = models.DateTimeField(auto_now_add=True)

    objects = PriceQuerySet.as_manager()

    class Meta:
        ordering = ["host", "model", "-since", "-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["host", "model", "since"],
                condition=models.Q(is_shipped=True),
                name="price_shipped_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.host} {self.model or 'any model'}, {self.since}"

    def clean(self) -> None:
        if (self.input is None) != (self.output is None):
            raise ValidationError("Give the prices of input and output, or neither.")
        long = (self.long_above, self.long_input, self.long_output)
        if any(each is not None for each in long) and (None in long or self.input is None):
            raise ValidationError(
                "For long prompts, give the length, and the prices of input and output beside the "
                "normal ones; or none of these."
            )

    @staticmethod
    def ship(using: str = "default") -> int:
        """Add what this version brings and is not there yet; return how many rows it was."""
        rows = Price.objects.using(using)
        there = set(rows.filter(is_shipped=True).values_list("host", "model", "since"))
        new = [t for t in shipped() if (t.host, t.model, t.since) not in there]
        fields = [{name: getattr(tariff, name) for name in _FIELDS} for tariff in new]
        rows.bulk_create([Price(**each, is_shipped=True) for each in fields])
        return len(new)

    @property
    def tariff(self) -> Tariff:
        fields = {name: getattr(self, name) for name in _FIELDS}
        return Tariff(**fields, id=self.pk)


_FIELDS = (
    "host",
    "model",
    "input",
    "cached",
    "write",
    "hour_write",
    "output",
    "long_above",
    "long_input",
    "long_cached",
    "long_write",
    "long_hour_write",
    "long_output",
    "lifetime",
    "least",
    "step",
    "is_whole",
    "since",
    "source",
    "read",
)
