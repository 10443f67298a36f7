"""Faults to Sentry and traces to an OpenTelemetry collector, where the operator names them.

Both packages are optional (`requirements-reports.txt`). What leaves is scrubbed: no body, no
header, no cookie, no local variable; every text goes over the mask of the logs.
"""

from __future__ import annotations

import importlib
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from alchemyst.web.redaction import mask

MISSING = "{} is set, but its package is not there: pip install -r requirements-reports.txt"
# The fields of a request that an event may hold.
REQUEST_FIELDS = {"method", "url"}


def begin() -> None:
    """Start what is configured; raise ImproperlyConfigured where its package is missing."""
    if settings.SENTRY_DSN:
        _begin_sentry()
    if settings.TRACES_URL:
        _begin_traces()


def scrubbed(event: Any, hint: Any = None) -> Any:
    """Return an event of Sentry's, or a part of one, without what nobody may see."""
    if isinstance(event, str):
        return mask(event)
    if isinstance(event, list):
        return [scrubbed(each) for each in event]
    if not isinstance(event, dict):
        return event
    event = {name: value for name, value in event.items() if name not in ("vars", "user", "extra")}
    if isinstance(request := event.get("request"), dict):
        event["request"] = {
            name: value for name, value in request.items() if name in REQUEST_FIELDS
        }
    return {name: scrubbed(value) for name, value in event.items()}


def _begin_sentry() -> None:
    sentry = _import("sentry_sdk", "ALCHEMYST_SENTRY_DSN")
    sentry.init(
        dsn=settings.SENTRY_DSN,
        send_default_pii=False,
        include_local_variables=False,
        max_request_body_size="never",
        traces_sample_rate=0.0,
        before_send=scrubbed,
        before_breadcrumb=scrubbed,
    )


def _begin_traces() -> None:
    """Trace what Django answers: the proxy's own path writes none, to stay as quick as it is."""
    name = "ALCHEMYST_TRACES_URL"
    trace = _import("opentelemetry.trace", name)
    sdk = _import("opentelemetry.sdk.trace", name)
    export = _import("opentelemetry.sdk.trace.export", name)
    otlp = _import("opentelemetry.exporter.otlp.proto.http.trace_exporter", name)
    resources = _import("opentelemetry.sdk.resources", name)
    django = _import("opentelemetry.instrumentation.django", name)
    resource = resources.Resource.create({"service.name": "alchemyst"})
    provider = sdk.TracerProvider(resource=resource)
    exporter = otlp.OTLPSpanExporter(endpoint=settings.TRACES_URL)
    provider.add_span_processor(export.BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    django.DjangoInstrumentor().instrument(response_hook=_mask_span)


def _mask_span(span: Any, request: Any, response: Any) -> None:
    """Leave a span no address with a query: what is asked for may be private."""
    for name in ("http.url", "http.target", "url.full", "url.query"):
        if name in (span.attributes or {}):
            span.set_attribute(name, mask(str(span.attributes[name])).partition("?")[0])


def _import(module: str, variable: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ImproperlyConfigured(MISSING.format(variable)) from None
