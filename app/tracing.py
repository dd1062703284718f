"""Traces by OpenTelemetry, from a request to the process that computes for it; off, and not imported, unless `OTLP_ENDPOINT` is set."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import structlog

from app.config import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_EXPORT_SECONDS = 5.0
_EVERY_MILLISECONDS = 1000.0

_provider: "TracerProvider | None" = None


class Span:
    """A stretch of work in a trace, or nothing where traces are off."""

    def __init__(self, span: Any = None) -> None:
        self._span = span

    def rename(self, name: str) -> None:
        """Give it the name that was not known at its beginning."""
        if self._span is not None:
            self._span.update_name(name)

    def add(self, **facts: Any) -> None:
        """Tell more about it; names take `__` for a dot."""
        if self._span is not None:
            self._span.set_attributes(_attributes(facts))

    def note(self, event: str, facts: dict[str, Any]) -> None:
        """Something that happened in it now; of the facts those that are no structures."""
        if self._span is not None:
            plain = {name: value for name, value in facts.items() if not isinstance(value, list | dict)}
            self._span.add_event(event, _attributes(plain))

    def fail(self, reason: str) -> None:
        """It did not end well; the reason quotes nothing that somebody sent."""
        if self._span is not None:
            from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415  traces are on

            self._span.set_status(Status(StatusCode.ERROR, reason))

    def end(self) -> None:
        """It is over; only of those that are `begun`."""
        if self._span is not None:
            self._span.end()


def use(settings: Settings, service: str) -> None:
    """Send spans to the settings' collector, under this name of a process, if there is one; ends the process where that cannot be."""
    global _provider  # noqa: PLW0603  a span is begun from everywhere, and belongs to the process
    _provider = _make_provider(settings.otlp_endpoint, service) if settings.otlp_endpoint else None


def flush() -> None:
    """Send what has not been sent; to be called when the process ends."""
    global _provider  # noqa: PLW0603
    if _provider is not None:
        _provider.shutdown()
        _provider = None


@contextmanager
def span(name: str, *, parent: str | None = None, is_request: bool = False, **facts: Any) -> Iterator[Span]:
    """A span around the context: below the one that `parent` names as a W3C traceparent, else below the present one."""
    if _provider is None:
        yield Span()
        return
    from opentelemetry import trace  # noqa: PLC0415  traces are on
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

    above = TraceContextTextMapPropagator().extract({"traceparent": parent}) if parent else None
    with trace.get_tracer("metaselect", tracer_provider=_provider).start_as_current_span(
        name,
        above,
        trace.SpanKind.SERVER if is_request else trace.SpanKind.INTERNAL,
        _attributes(facts),
        record_exception=False,  # its text may quote what somebody sent
        set_status_on_exception=False,
    ) as begun_span:
        present = Span(begun_span)
        with structlog.contextvars.bound_contextvars(trace=f"{begun_span.get_span_context().trace_id:032x}"):
            try:
                yield present
            except BaseException as error:
                present.fail(type(error).__name__)
                raise


def begun(name: str, **facts: Any) -> Span:
    """A span below the present one, for the caller to end; nothing where there is none."""
    if _provider is None:
        return Span()
    from opentelemetry import trace  # noqa: PLC0415  traces are on

    if not trace.get_current_span().get_span_context().is_valid:
        return Span()
    tracer = trace.get_tracer("metaselect", tracer_provider=_provider)
    return Span(tracer.start_span(name, attributes=_attributes(facts)))


def traceparent() -> str | None:
    """The present span as W3C names it, for another process to go on from."""
    if _provider is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get("traceparent")


def _make_provider(endpoint: str, service: str) -> "TracerProvider":
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError as error:
        raise SystemExit(
            f"OTLP_ENDPOINT is set, but traces are not installed ({error}): "
            "pip install --require-hashes -r requirements/tracing.txt, or metaselect[tracing]."
        ) from None
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=_EXPORT_SECONDS)
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=_EVERY_MILLISECONDS))
    return provider


def _attributes(facts: dict[str, Any]) -> dict[str, Any]:
    known = {name: value for name, value in facts.items() if value is not None}
    return {
        name.replace("__", "."): value if isinstance(value, bool | int | float) else str(value)
        for name, value in known.items()
    }
