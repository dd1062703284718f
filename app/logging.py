"""Structured logs: one event per line, for people or as JSON, with whatever is bound to the context."""

import logging
import re
import sys
import traceback
from collections.abc import Iterator
from typing import Any

import structlog

# Passwords in the addresses of databases and brokers, as errors like to quote them: whatever is in them, up to the last @
# of the word. Rather too much is masked than too little.
_IN_ADDRESS = re.compile(r"(://[^\s:]*:)\S*@", re.ASCII)
_AS_PARAMETER = {  # in JSON a quote ends the string, unless it is escaped
    "text": re.compile(r"(passw(?:or)?d=)[^&\s]+", re.ASCII | re.IGNORECASE),
    "json": re.compile(r"(passw(?:or)?d=)(?:\\.|[^&\s\"\\])+", re.ASCII | re.IGNORECASE),
}
_QUOTING = {"psycopg", "sqlalchemy", "sqlite3"}  # libraries whose errors quote values that somebody sent


def configure_logging(log_format: str) -> None:
    """Send every log line, the libraries' too, to standard error in one format."""
    parameter = _AS_PARAMETER[log_format]

    def mask_passwords(_: Any, __: str, line: Any) -> str:
        return parameter.sub(r"\1***", _IN_ADDRESS.sub(r"\1***@", line))

    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=False)
    )
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(_format_exception),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                renderer,
                mask_passwords,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    for server in ("uvicorn", "uvicorn.error", "uvicorn.access"):  # they come with handlers of their own
        logging.getLogger(server).handlers = []
        logging.getLogger(server).propagate = True
    for noisy in (
        "httpx",
        "uvicorn.access",
        "alembic.runtime.migration",
        "celery.app.trace",
        "celery.worker.strategy",
    ):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _format_exception(exc_info: structlog.typing.ExcInfo) -> str:
    """The traceback, first causes first; never with local variables, nor with what a database says of values."""
    return "".join(
        "".join(traceback.format_tb(error.__traceback__)) + _last_line(error) for error in _chain(exc_info[1])
    ).rstrip()


def _last_line(error: BaseException) -> str:
    kind = type(error)
    if kind.__module__.partition(".")[0] in _QUOTING:
        return f"{kind.__module__}.{kind.__qualname__}\n"
    return "".join(traceback.format_exception_only(error))


def _chain(error: BaseException, seen: frozenset[int] = frozenset()) -> Iterator[BaseException]:
    """The error behind all that it came from."""
    if id(error) in seen:
        return
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _chain(each, seen | {id(error)})
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        yield from _chain(cause, seen | {id(error)})
    yield error
