"""The doorbell: a Celery message says that there is work on a queue, never which. The database knows.

A lost or doubled message changes nothing, so ringing never fails a request: workers also look by themselves.
"""

import time
from enum import StrEnum

import structlog
from celery import Celery

from app import failpoints
from app.config import Settings
from app.failpoints import Step

log = structlog.get_logger(__name__)

_ANSWER_SECONDS = 2.0
_SILENT_SECONDS = 5.0


class TaskName(StrEnum):
    """The one message that is sent."""

    WORK = "work"


def make_celery(settings: Settings, answer_seconds: float = 10.0) -> Celery:
    """The Celery application of API and workers; a broker that is silent for `answer_seconds` counts as away."""
    celery = Celery("metaselect", broker=settings.redis_url)
    celery.conf.update(
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        task_default_queue=settings.worker_queue,  # the one that a worker listens to
        task_create_missing_queues=True,
        worker_pool="threads",
        worker_concurrency=settings.worker_slots,
        worker_prefetch_multiplier=1,
        worker_redirect_stdouts=False,
        worker_send_task_events=False,
        broker_connection_retry_on_startup=True,
        broker_transport_options={
            # Without these Redis gives a dead worker's messages back only after more than 90 seconds.
            "unacked_restore_interval": 2,
            "unacked_restore_throttle": 1,
            "socket_connect_timeout": 2,
            "socket_timeout": answer_seconds,
        },
    )
    return celery


class Doorbell:
    """Rings workers where there is a broker; embedded workers look by themselves."""

    def __init__(self, settings: Settings) -> None:
        self._celery = None if settings.embedded else make_celery(settings, answer_seconds=_ANSWER_SECONDS)
        self._silent_until = 0.0

    def ring(self, *queues: str) -> None:
        """Tell workers that there is work, once for each task's queue.

        A broker that is away or frozen delays one request by some seconds, not every one: for a while it is not asked.
        """
        if self._celery is None or time.monotonic() < self._silent_until:
            return
        try:
            for queue in queues:
                with failpoints.around(Step.RING, _no_broker):
                    self._celery.send_task(TaskName.WORK, queue=queue, retry=False)
        except Exception as error:  # noqa: BLE001  the work is committed: whatever the broker does must not refuse it
            self._silent_until = time.monotonic() + _SILENT_SECONDS
            log.warning("doorbell_failed", queues=sorted(set(queues)), error=str(error))


def _no_broker() -> Exception:
    return ConnectionRefusedError("no broker answers")
