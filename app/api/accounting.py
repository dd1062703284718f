"""Every request is accounted for: how many, how they ended, and how long an answer took to begin."""

import time

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Whatever clients make up has one label: what is told apart is bounded by the service's own routes.
OTHER = "other"
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
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
    """Counts requests by method, route and status."""

    def __init__(self, app: ASGIApp, metrics: RequestMetrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()
        status, seconds = 500, None  # what an error that nobody caught is answered with

        async def send_and_note(message: Message) -> None:
            nonlocal status, seconds
            if message["type"] == "http.response.start":
                status, seconds = message["status"], time.perf_counter() - began
            await send(message)

        with self.metrics.in_progress.track_inprogress():
            try:
                await self.app(scope, receive, send_and_note)
            finally:
                method = scope["method"] if scope["method"] in _METHODS else OTHER
                route = route_of(scope)
                self.metrics.requests.labels(method, route, status).inc()
                if seconds is None:
                    seconds = time.perf_counter() - began
                self.metrics.seconds.labels(method, route).observe(seconds)


def route_of(scope: Scope) -> str:
    """The template of the path, like `/jobs/{job_id}`, once the request has been routed."""
    return getattr(scope.get("route"), "path", OTHER)
