"""Numbers for Prometheus: what was called, how long it took, how many tokens went where.

Calls are observed where their usage rows are written, off the request's path. Names are those of
OpenTelemetry's conventions for generative AI where there are any, in Prometheus's spelling; what
callers can invent (models, hosts) is bounded. With several worker processes, name a folder that is
emptied at each start in PROMETHEUS_MULTIPROC_DIR: each writes its numbers there, and whichever is
asked adds them up.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

from proxy.accounting import decision_writer, usage_writer
from proxy.accounting.call_cost import PricedCall
from proxy.filtering import kill_switch
from proxy.limits import active_calls
from proxy.models.usage_row import UsageRow

MOST_MODELS = 50
OTHER = "other"

# https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/ names these and their buckets.
TOKENS = Histogram(
    "gen_ai_client_token_usage",
    "Tokens of a call, as the provider counted them.",
    ["gen_ai_operation_name", "gen_ai_token_type", "gen_ai_request_model"],
    buckets=[4**power for power in range(14)],
)
DURATION = Histogram(
    "gen_ai_client_operation_duration_seconds",
    "Seconds from a request's arrival to its answer's end.",
    ["gen_ai_operation_name", "gen_ai_request_model"],
    buckets=[0.01 * 2**power for power in range(14)],
)
PARTS = Counter(
    "alchemyst_token_parts",
    "Tokens, as providers counted them, that are part of input (cached, written, written_for_long) "
    "or of output (reasoning).",
    ["part", "gen_ai_request_model"],
)
FIRST_TOKEN = Histogram(
    "gen_ai_server_time_to_first_token_seconds",
    "Seconds until an answer began.",
    ["gen_ai_operation_name", "gen_ai_request_model"],
    buckets=[0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10],
)
CALLS = Counter(
    "alchemyst_calls",
    "Calls through the proxy, by what became of them.",
    ["outcome", "status", "filtering"],
)
CONTEXT = Counter(
    "alchemyst_context_tokens",
    "Tokens of histories by our own count: as they came (before) and as they went on (after).",
    ["stage"],
)
RUNNING = Gauge("alchemyst_calls_running", "Calls under way.", multiprocess_mode="livesum")
FILTER_OFF = Gauge(
    "alchemyst_filter_off", "1 while everything passes unfiltered.", multiprocess_mode="livemax"
)
LOST = Gauge(
    "alchemyst_rows_lost",
    "Rows that could not be written since the process began.",
    ["kind"],
    multiprocess_mode="livesum",
)
WAITING = Gauge(
    "alchemyst_rows_waiting", "Rows that wait to be written.", ["kind"], multiprocess_mode="livesum"
)

# The last word of the endpoints that answer a conversation; `messages/count_tokens` is none.
_CHATS = ("completions", "messages", "responses")
_models: set[str] = set()


def observe(calls: Iterable[PricedCall]) -> None:
    """Count calls that have ended; nothing where nobody may ask."""
    if not settings.METRICS_TOKEN:
        return
    for row, _ in calls:
        CALLS.labels(row.outcome, f"{row.status // 100}xx", row.filtering or "none").inc()
        CONTEXT.labels("before").inc(row.tokens_before)
        CONTEXT.labels("after").inc(row.tokens_after)
        names = _operation(row.endpoint), _bounded(row.model, is_known=row.status < 400)
        DURATION.labels(*names).observe(row.milliseconds / 1000)
        if row.first_byte_milliseconds is not None:
            FIRST_TOKEN.labels(*names).observe(row.first_byte_milliseconds / 1000)
        for kind, count in (("input", row.prompt_tokens), ("output", row.completion_tokens)):
            if count is not None:
                TOKENS.labels(names[0], kind, names[1]).observe(count)
        for part, count in _parts(row):
            if count is not None:
                PARTS.labels(part, names[1]).inc(count)


def _parts(row: UsageRow) -> Iterable[tuple[str, int | None]]:
    return (
        ("cached", row.cached_tokens),
        ("written", row.written_tokens),
        ("written_for_long", row.written_for_long_tokens),
        ("reasoning", row.reasoning_tokens),
    )


def _operation(endpoint: str) -> str:
    lowered = endpoint.lower()
    if "embed" in lowered:
        return "embeddings"
    is_chat = lowered.rpartition("/")[2] in _CHATS or "generatecontent" in lowered
    return "chat" if is_chat else OTHER


def _bounded(model: str, *, is_known: bool) -> str:
    """Return the model's name while there are few; callers may invent any, so only one that
    answered counts as a name."""
    if model in _models:
        return model
    if is_known and model and len(_models) < MOST_MODELS:
        _models.add(model)
        return model
    return OTHER


def page(request: HttpRequest) -> HttpResponse:
    """Show the numbers to callers with ALCHEMYST_METRICS_TOKEN; without one there is no page."""
    expected = settings.METRICS_TOKEN
    if not expected:
        raise Http404
    authorization = request.META.get("HTTP_AUTHORIZATION", "")
    if not constant_time_compare(authorization, f"Bearer {expected}"):
        return HttpResponse(status=401, headers={"WWW-Authenticate": "Bearer"})
    _set_gauges()
    return HttpResponse(generate_latest(_registry()), content_type=CONTENT_TYPE_LATEST)


def _set_gauges() -> None:
    """Set the gauges to what this process holds at the moment."""
    RUNNING.set(active_calls.count())
    FILTER_OFF.set(kill_switch.is_active())
    for queue in (usage_writer.queue, decision_writer.queue):
        LOST.labels(queue.name).set(queue.dropped)
        WAITING.labels(queue.name).set(len(queue))


def _registry() -> CollectorRegistry:
    if not settings.PROMETHEUS_MULTIPROC_DIR:
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    return registry
