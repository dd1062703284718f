"""Every request is accounted for: in the metrics, in the log by one line, in a trace where they are on, whatever it meets."""

import time
from urllib.parse import quote

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import tracing
from app.api.problems import unexpected_problem
from app.tracing import Span

log = structlog.get_logger(__name__)

# Whatever clients make up has one label: what is told apart is bounded by the service's own routes.
OTHER = "other"
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_LONGEST = 200  # characters of what a client made up, in a log line
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)

# When a series began would double their number, and the text format has no place for it.
disable_created_metrics()  # type: ignore[no-untyped-call]


class RequestMetrics:
    """What this process has answered since it began, and what it uses."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "metaselect_http_requests",
            "Requests that were answered.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "metaselect_http_request_seconds",
            "Time until the answer began.",
            ("method", "route"),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.in_progress = Gauge(
            "metaselect_http_requests_in_progress",
            "Requests whose answer has not ended, streams of events among them.",
            registry=self.registry,
        )


class Accounting:
    """Counts requests and logs each; what the application fails with unforeseen is logged and answered here too.

    Here and not further out, where the request's id is no longer known.
    """

    def __init__(self, app: ASGIApp, metrics: RequestMetrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        with tracing.span("request", parent=_traceparent(scope), is_request=True) as span:
            await self._account(scope, receive, send, span)

    async def _account(self, scope: Scope, receive: Receive, send: Send, span: Span) -> None:
        began = time.perf_counter()
        status, seconds = 0, None  # 0 for a client that went away unanswered

        async def send_and_note(message: Message) -> None:
            nonlocal status, seconds
            if message["type"] == "http.response.start":
                status, seconds = message["status"], time.perf_counter() - began
            await send(message)

        with self.metrics.in_progress.track_inprogress():
            try:
                await self.app(scope, receive, send_and_note)
            except Exception:
                log.exception("unexpected_error")
                if status:  # the answer has begun: all that is left is to break it off
                    raise
                await unexpected_problem(Request(scope))(scope, receive, send_and_note)
            finally:
                took = time.perf_counter() - began
                self._note(scope, status, took if seconds is None else seconds, span)
                log.info(
                    "answered",
                    method=scope["method"][:_LONGEST],
                    path=quote(scope["path"][:_LONGEST]),
                    status=status,
                    seconds=round(took, 6),
                )

    def _note(self, scope: Scope, status: int, seconds: float, span: Span) -> None:
        method, route = scope["method"] if scope["method"] in _METHODS else OTHER, route_of(scope)
        self.metrics.requests.labels(method, route, status).inc()
        self.metrics.seconds.labels(method, route).observe(seconds)
        span.rename(f"{method} {route}")
        span.add(http__request__method=method, http__route=route, http__response__status_code=status)
        span.add(request=scope["state"]["request_id"])
        if status >= 500:
            span.fail(str(status))


def route_of(scope: Scope) -> str:
    """The template of the path, like `/jobs/{job_id}`, once the request has been routed."""
    return getattr(scope.get("route"), "path", OTHER)


def _traceparent(scope: Scope) -> str | None:
    """What a client who traces too calls the work that this request is part of."""
    given = dict(scope["headers"]).get(b"traceparent")
    return None if given is None else given.decode("latin-1")
