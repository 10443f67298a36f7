"""What a caller has used, from the sums by hour and by day: as JSON, or as CSV for a sheet."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from proxy.api.providers import caller_id, responses
from proxy.common.access import access_of_request
from proxy.common.web import csv_export
from proxy.common.web.drf import TextField
from proxy.models import UsageRollup
from proxy.models.rollup import SUMS

# What usage can be grouped by, and the field for it.
GROUPS = {
    "time": "starts",
    "model": "model",
    "host": "target",
    "key": "key_id",
    "persona": "persona",
}
NUMBERS = (*SUMS, "tokens_saved")
_MONEY = ("cost", "saved")
# An estimate is named as one in the CSV.
_NAMES = {"saved": "saved_estimate"}
MOST_ROWS = 10_000
MOST_LINES = 100_000
USUAL_DAYS = 30


class Moment(serializers.DateTimeField):
    """A time, or a day, which stands for its beginning in UTC."""

    def to_internal_value(self, value: Any) -> datetime:
        text = str(value)
        if len(text) == len("2026-01-31"):
            day = serializers.DateField().to_internal_value(text)
            return datetime.combine(day, time.min, UTC)
        return super().to_internal_value(value)


class UsageQuerySerializer(serializers.Serializer[Any]):
    """The query of a request for usage."""

    until = Moment(required=False, default_timezone=UTC)
    since = Moment(required=False, default_timezone=UTC)
    period = serializers.ChoiceField(choices=UsageRollup.Period.choices, default="day")
    group_by = TextField(default="time", max_length=100)
    format = serializers.ChoiceField(choices=["json", "csv"], default="json")

    def validate_group_by(self, text: str) -> list[str]:
        names = [name.strip() for name in text.split(",") if name.strip()]
        if unknown := [name for name in names if name not in GROUPS]:
            raise serializers.ValidationError(
                f"'{unknown[0][:40]}' is unknown. There are: {', '.join(GROUPS)}."
            )
        return list(dict.fromkeys(names))

    def validate(self, fields: dict[str, Any]) -> dict[str, Any]:
        until = fields.setdefault("until", datetime.now(UTC))
        since = fields.setdefault("since", until - timedelta(days=USUAL_DAYS))
        if since >= until:
            raise serializers.ValidationError({"from": ["This must be before 'to'."]})
        return fields


@extend_schema_field({"type": "string", "format": "decimal"})
class Dollars(serializers.Field):
    """Billionths of a dollar, written as dollars with all their digits."""

    def to_representation(self, nanos: int) -> str:
        return f"{dollars(nanos):.9f}"


class UsageRowSerializer(serializers.Serializer[Any]):
    """What one group used. Only the names in `group_by` are there."""

    time = serializers.DateTimeField(required=False, source="starts", default_timezone=UTC)
    model = TextField(required=False)
    host = TextField(required=False, source="target")
    key = TextField(required=False, source="key_id", help_text="Empty: a login's token.")
    persona = TextField(required=False)
    requests = serializers.IntegerField()
    errors = serializers.IntegerField()  # type: ignore[assignment]
    tokens_before = serializers.IntegerField(
        help_text="Our count of the requests that were answered, as they came."
    )
    tokens_after = serializers.IntegerField(help_text="And as they were forwarded.")
    tokens_saved = serializers.IntegerField()
    reported = serializers.IntegerField(
        help_text="Requests of which the provider told its own counts, which follow."
    )
    prompt_tokens = serializers.IntegerField()
    cached_tokens = serializers.IntegerField()
    completion_tokens = serializers.IntegerField()
    written_tokens = serializers.IntegerField(
        help_text="Of the prompt, into the provider's cache, where that has a price."
    )
    written_for_long_tokens = serializers.IntegerField(
        allow_null=True,
        help_text="Of those, what is kept for an hour, which costs more; null where no provider "
        "told.",
    )
    reasoning_tokens = serializers.IntegerField(
        allow_null=True,
        help_text="Of the completion, what nobody reads; null where no provider told.",
    )
    priced = serializers.IntegerField(
        help_text="Requests whose cost is known: the provider told its counts, and we its prices."
    )
    cost = Dollars(help_text="What those cost, in US dollars.")
    estimated_calls = serializers.IntegerField(
        help_text="Requests whose cost was looked at before they were sent."
    )
    expected_cached = serializers.IntegerField(
        help_text="The tokens that these were expected to find cached, in our count."
    )
    saved_estimate = Dollars(
        source="saved",
        help_text="An estimate: what sending everything would have cost, less what those cost; "
        "net of lost cache hits, and below zero where filtering cost money.",
    )
    mean_milliseconds = serializers.SerializerMethodField()
    mean_first_byte_milliseconds = serializers.SerializerMethodField()

    def get_mean_milliseconds(self, row: dict[str, Any]) -> int | None:
        return _mean(row["milliseconds"], row["requests"])

    def get_mean_first_byte_milliseconds(self, row: dict[str, Any]) -> int | None:
        return _mean(row["first_byte_milliseconds"], row["first_bytes"])


class UsageSerializer(serializers.Serializer[Any]):
    since = serializers.DateTimeField(default_timezone=UTC)
    until = serializers.DateTimeField(default_timezone=UTC)
    period = TextField()
    is_cut = serializers.BooleanField(help_text="Whether there are more rows than are told.")
    rows = UsageRowSerializer(many=True)
    total = UsageRowSerializer()


def dollars(nanos: int) -> Decimal:
    """Return billionths of a dollar as dollars."""
    return Decimal(nanos).scaleb(-9)


def _mean(total: int, count: int) -> int | None:
    return round(total / count) if count else None


def _parameters() -> list[OpenApiParameter]:
    descriptions = {
        "from": "A day or a time in UTC; by default 30 days before `to`.",
        "to": "A day or a time in UTC, itself not included; by default now.",
        "period": "`day` or `hour`. Hours are kept for a while, days for good.",
        "group_by": "One or more of time, model, host, key, persona, separated by commas.",
        "format": "`json` or `csv`.",
    }
    return [
        OpenApiParameter(name, str, description=description)
        for name, description in descriptions.items()
    ]


class UsageView(GenericAPIView[UsageRollup]):
    """The caller's usage: a login's token reads all of its user's, an API key its own."""

    serializer_class = UsageSerializer
    pagination_class = None

    def perform_content_negotiation(
        self, request: Request, force: bool = False
    ) -> tuple[JSONRenderer, str]:
        # `format` is a parameter of ours; DRF would look for a renderer of that name.
        return JSONRenderer(), JSONRenderer.media_type

    @extend_schema(
        operation_id="usage",
        parameters=_parameters(),
        responses={
            **responses(400, 401, _200=UsageSerializer),
            (200, "text/csv"): OpenApiTypes.STR,
        },
    )
    def get(self, request: Request) -> Response | HttpResponse:
        """Return what was used, added up by hour or day, in the groups of `group_by`."""
        query = _query_of(request)
        key_id = access_of_request(request).key_id
        rollups = UsageRollup.objects.of(caller_id(request), str(key_id or "")).within(
            query["period"], query["since"], query["until"]
        )
        fields = [GROUPS[name] for name in query["group_by"]]
        rows = rollups.added_up_by(*fields).order_by(*fields) if fields else rollups.none()
        if query["format"] == "csv":
            return as_csv(query["group_by"], rows)
        first_rows = list(rows[: MOST_ROWS + 1])
        account = {
            **query,
            "is_cut": len(first_rows) > MOST_ROWS,
            "rows": first_rows[:MOST_ROWS],
            "total": rollups.added_up(),
        }
        return Response(UsageSerializer(account).data)


def _query_of(request: Request) -> dict[str, Any]:
    parameters = dict(request.query_params.items())
    for ours, theirs in (("since", "from"), ("until", "to")):
        if theirs in parameters:
            parameters[ours] = parameters.pop(theirs)
    serializer = UsageQuerySerializer(data=parameters)
    serializer.is_valid(raise_exception=True)
    query: dict[str, Any] = serializer.validated_data
    return query


def as_csv(groups: list[str], rows: Any) -> HttpResponse:
    """Answer with usage for a spreadsheet, a line for each row."""
    fields = [GROUPS[name] for name in groups]
    cells = (
        [
            *(_as_text(row[name]) for name in fields),
            *(_in_unit(name, row[name]) for name in NUMBERS),
        ]
        for row in rows[:MOST_LINES].iterator(chunk_size=1000)
    )
    answer = HttpResponse(
        "".join(csv_export.csv_lines([*groups, *(_NAMES.get(n, n) for n in NUMBERS)], cells)),
        content_type="text/csv; charset=utf-8",
    )
    answer["Content-Disposition"] = 'attachment; filename="usage.csv"'
    return answer


def _in_unit(name: str, number: int | None) -> int | Decimal | None:
    return dollars(number) if name in _MONEY and number is not None else number


def _as_text(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
