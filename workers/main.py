"""The distributed worker: `celery -A workers.main worker --without-mingle --without-gossip`. Its messages only say that there is work."""

from app.config import Settings, pin_threads

pin_threads()

from typing import Any  # noqa: E402  threads are fixed before any numeric library loads

from celery.signals import (  # noqa: E402
    setup_logging,
    worker_init,
    worker_shutdown,
    worker_shutting_down,
)

from app.logging import configure_logging  # noqa: E402
from app.queue import TaskName, make_celery  # noqa: E402
from workers.supervisor import Supervisor  # noqa: E402

settings = Settings()
configure_logging(settings.log_format)
app = make_celery(settings)
supervisor = Supervisor(settings)


@app.task(name=TaskName.WORK)  # type: ignore[untyped-decorator]  # Celery publishes no types
def work() -> None:
    """Answer the doorbell."""
    supervisor.work()


@setup_logging.connect  # type: ignore[untyped-decorator]
def _keep_logging(**_: Any) -> None:
    """Celery leaves logging alone where somebody listens to this."""


@worker_init.connect  # type: ignore[untyped-decorator]
def _start(**_: Any) -> None:
    """Before the broker is looked for: without one, workers look for work by themselves."""
    supervisor.start()


@worker_shutting_down.connect  # type: ignore[untyped-decorator]
def _stop(**_: Any) -> None:
    supervisor.stop()


@worker_shutdown.connect  # type: ignore[untyped-decorator]
def _leave(**_: Any) -> None:
    supervisor.leave()
