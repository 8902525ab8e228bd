"""Traces and metrics of uploads, batches and calls: `CriteoClient(..., on_event=opentelemetry())`.

It uses OpenTelemetry's API only: if a program has set up no SDK, nothing is recorded. No attribute contains an
identifier, a token or the name of a segment.
"""

import time
from contextvars import ContextVar
from functools import lru_cache
from typing import Final

from criteo_audiences.meter import Event, OnEvent
from criteo_audiences.version import __version__

try:
    from opentelemetry import propagate
    from opentelemetry.context import Context
    from opentelemetry.metrics import Meter, MeterProvider, get_meter
    from opentelemetry.trace import (
        Span,
        SpanKind,
        StatusCode,
        Tracer,
        TracerProvider,
        get_tracer,
        set_span_in_context,
    )
except ImportError as error:
    raise ImportError("OpenTelemetry needs: pip install 'criteo-audiences[opentelemetry]'.") from error

__all__ = ["opentelemetry"]

_NAME: Final = "criteo_audiences"

# The request that the current task has under way: a task makes one call after the other.
_REQUEST: Final[ContextVar[Span | None]] = ContextVar("criteo_audiences_request", default=None)


def opentelemetry(
    *, tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None
) -> OnEvent:
    """Returns a callback that turns a client's events into spans and metrics.

    Each upload, each of its batches and each request has a span, as a child of the caller's current span. Spans of
    requests follow the semantic conventions for HTTP clients (https://opentelemetry.io/docs/specs/semconv/http/). They
    contain a URL's template only, since a whole URL contains ids of owners. Requests carry the trace context to Criteo.

    Args:
        tracer_provider: makes the tracer (default: the program's provider).
        meter_provider: makes the meter (default: the program's provider).
    """
    tracer = get_tracer(_NAME, __version__, tracer_provider)
    return _Observer(tracer, get_meter(_NAME, __version__, meter_provider)).observe


_Attributes = dict[str, str | int]


class _Work:
    """An upload or a batch: its span, and the context for that span's children."""

    def __init__(self, span: Span) -> None:
        self.span = span
        self.context = set_span_in_context(span)


class _Observer:
    def __init__(self, tracer: Tracer, meter: Meter) -> None:
        self._tracer = tracer
        self._uploads: dict[str, _Work] = {}
        self._batches: dict[str, dict[int, _Work]] = {}
        self._seconds = meter.create_histogram("http.client.request.duration", "s", "How long requests take.")
        self._active = meter.create_up_down_counter("http.client.active_requests", "{request}", "Requests in flight.")
        self._bytes = meter.create_histogram("http.client.request.body.size", "By", "The size of request bodies.")
        self._identifiers = meter.create_counter("criteo.identifiers", "{identifier}", "Identifiers by outcome.")
        self._waits = meter.create_histogram("criteo.quota.wait", "s", "How long calls wait for the quota.")
        self._retries = meter.create_counter("criteo.retries", "{request}", "Requests that are repeated.")

    def observe(self, event: Event) -> None:
        """Handles an event; called with every event of the client."""
        match event.name:
            case "request.started":
                self._begin_request(event)
            case "upload.started":
                self._begin_upload(event)
            case "upload.ended":
                self._end_upload(event)
            case "quota.waited":
                self._waits.record(event.seconds or 0.0, _server(event.host))
                self._context_of(event, ago=event.seconds or 0.0)  # a batch begins when it begins to wait
            case _:
                self._end_request(event)

    def _begin_upload(self, event: Event) -> None:
        about = {"criteo.upload.id": event.upload_id or "", "criteo.segment.id": event.segment_id or ""}
        self._uploads[about["criteo.upload.id"]] = _Work(self._tracer.start_span("upload", attributes=about))

    def _end_upload(self, event: Event) -> None:
        upload, counts = self._uploads.pop(event.upload_id or "", None), event.counts or {}
        for batch in self._batches.pop(event.upload_id or "", {}).values():
            batch.span.end()
        for outcome, count in counts.items():
            if count:
                self._identifiers.add(count, {"criteo.outcome": outcome})
        if upload is not None:
            upload.span.set_attributes({f"criteo.identifiers.{outcome}": count for outcome, count in counts.items()})
            if counts.get("failed") or counts.get("unknown"):
                upload.span.set_status(StatusCode.ERROR)
            upload.span.end()

    def _context_of(self, event: Event, *, ago: float = 0.0) -> Context | None:
        """Returns the context of a request's batch, `None` for other calls; a new batch began `ago` seconds ago."""
        if event.upload_id is None or event.batch is None:
            return None
        batches = self._batches.setdefault(event.upload_id, {})
        if event.batch not in batches:
            upload = self._uploads.get(event.upload_id)
            around = None if upload is None else upload.context
            began = time.time_ns() - round(ago * 1e9)
            about = {"criteo.batch": event.batch}
            batches[event.batch] = _Work(self._tracer.start_span("batch", around, attributes=about, start_time=began))
        return batches[event.batch].context

    def _begin_request(self, event: Event) -> None:
        measured = _measured(event.method, event.host)
        about = measured | {"url.template": event.path, "http.request.body.size": event.size or 0}
        if event.attempt > 1:
            about["http.request.resend_count"] = event.attempt - 1
        name = f"{event.method} {event.path}"
        span = self._tracer.start_span(name, self._context_of(event), SpanKind.CLIENT, attributes=about)
        _REQUEST.set(span)
        propagate.inject(event.headers, set_span_in_context(span))
        self._active.add(1, measured)
        self._bytes.record(event.size or 0, measured)

    def _end_request(self, event: Event) -> None:
        span = _REQUEST.get()
        if span is not None:  # otherwise no request of the call was under way
            _REQUEST.set(None)
            measured, answer = _measured(event.method, event.host), _answer(event)
            self._active.add(-1, measured)
            self._seconds.record(event.seconds or 0.0, measured | answer | {"url.template": event.path})
            _end(span, event, answer | {"criteo.trace_id": event.trace_id} if event.trace_id else answer)
        if event.name == "request.retried":
            self._retries.add(1, {"error.type": event.error or ""})
        elif event.upload_id is not None and event.batch is not None:
            batch = self._batches.get(event.upload_id, {}).pop(event.batch, None)
            if batch is not None:
                _end(batch.span, event, {})


def _end(span: Span, event: Event, about: _Attributes) -> None:
    """Ends the span of a request or a batch with the outcome of the event."""
    if about and span.is_recording():
        span.set_attributes(about)
    if event.name != "request.completed":
        span.set_status(StatusCode.ERROR)
    span.end()


@lru_cache
def _server(host: str) -> _Attributes:
    address, _, port = host.rpartition(":")
    return {"server.address": address, "server.port": int(port)} if port.isdigit() else {"server.address": host}


@lru_cache
def _measured(method: str, host: str) -> _Attributes:
    """Returns the attributes of every metric of a request; cached, since a client calls few hosts."""
    return {"http.request.method": method} | _server(host)


def _answer(event: Event) -> _Attributes:
    """Returns the outcome of a request as attributes of the semantic conventions."""
    error = str(event.status) if event.status and event.error else event.error
    error = "canceled" if event.name == "request.canceled" else error
    return ({"http.response.status_code": event.status} if event.status else {}) | (
        {"error.type": error} if error else {}
    )
