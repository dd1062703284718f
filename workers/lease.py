"""The lease of a claimed task, kept by a thread of its own: whoever computes or writes never waits for a heartbeat."""

import contextvars
import threading
import time
from types import TracebackType
from typing import Any, Self

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.failpoints import Step
from app.store import tasks
from app.store.database import Database, cause_of, commit
from app.store.tasks import Claim, Renewal

log = structlog.get_logger(__name__)

_HEARTBEAT_SECONDS = 1.0  # also how soon a cancellation is noticed
_USABLE = 0.7  # of the lease; the rest is for stopping what computes, before anybody else may begin


class Lease:
    """Renews a claim every second while the context lasts.

    A heartbeat that hangs in the database (a frozen server, a lock) holds up nobody else: by this machine's clock the lease
    runs out all the same, and whoever supervises the computation looks at that, not at the database.
    """

    def __init__(self, database: Database, held: Claim, seconds: float, claimed_at: float) -> None:
        """`claimed_at` is the monotonic time before the claim was sent: the database's lease cannot end earlier."""
        self._database, self._held, self._seconds = database, held, seconds
        self._renewed_at = claimed_at
        self._progress: dict[str, Any] = {}
        self._found = Renewal.KEPT
        self._over = threading.Event()
        keep = contextvars.copy_context().run  # log lines carry the same names
        self._thread = threading.Thread(
            target=keep, args=(self._renew_until_over,), name=f"lease of {held.task_id}", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()

    def note(self, message: dict[str, Any]) -> None:
        """Have the next heartbeat tell of this progress."""
        self._progress = {**self._progress, **message}

    @property
    def found(self) -> Renewal:
        """What the last heartbeat that came through found."""
        return self._found

    @property
    def is_running_out(self) -> bool:
        """Whether what computes has to stop now, so that nobody computes the same when the lease has ended."""
        return time.monotonic() - self._renewed_at > _USABLE * self._seconds

    def _renew_until_over(self) -> None:
        while not self._over.wait(min(_HEARTBEAT_SECONDS, self._seconds / 5)) and self._found is Renewal.KEPT:
            sent_at = time.monotonic()
            try:
                with self._database.write() as session:
                    self._found = tasks.renew(session, self._held, self._seconds, self._progress)
                    commit(session, Step.RENEW_LEASE)
            except SQLAlchemyError as error:
                log.warning("heartbeat_failed", error=cause_of(error))
            else:
                self._renewed_at = sent_at
