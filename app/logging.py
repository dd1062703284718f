"""Structured logs: one event per line, for people or as JSON, with whatever is bound to the context."""

import logging
import re
import sys
from typing import Any

import structlog

# Passwords in the addresses of databases and brokers, as errors like to quote them.
_PASSWORD = re.compile(r"(://[^\s/:@\"]*:)[^\s@\"]+@")


def configure_logging(log_format: str) -> None:
    """Send every log line, the libraries' too, to standard error in one format."""
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
        structlog.processors.format_exc_info,
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
                _mask_passwords,
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


def _mask_passwords(_: Any, __: str, line: Any) -> str:
    return _PASSWORD.sub(r"\1***@", line)
