"""Claims tasks, keeps their leases, and runs each one in a child process: load, compute, apply.

No session is open while the child computes. Whatever happens to the child, the broker or this process, the rows say what
is left to do: every supervisor also looks for expired leases, lost doorbells and steps that a death left unbegun.
"""

import os
import secrets
import shutil
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app import failpoints, isolation
from app.config import Settings
from app.errors import ServiceError
from app.failpoints import Step
from app.isolation import Child, Ending, Outcome
from app.queue import Doorbell
from app.store import jobs, tasks, workers
from app.store.database import Database, commit
from app.store.tasks import Claim, Renewal
from workers import retention
from workers.experiments import pipelines
from workers.tasks import experiment, stacking, verification

log = structlog.get_logger(__name__)

_HEARTBEAT_SECONDS = 1.0  # also how soon a cancellation is noticed
_KINDS: dict[str, ModuleType] = {"experiment": experiment, "stacking": stacking}


class Supervisor:
    """One per worker process; `work` is called from as many threads as there are slots."""

    def __init__(self, settings: Settings) -> None:
        isolation.preload("workers.tasks.computing", "workers.experiments.warming", *pipelines.libraries())
        failpoints.use(settings.failpoints_dir)
        self.settings = settings
        self.database = Database(settings)
        self.doorbell = Doorbell(settings)
        self.id = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self._stopping = threading.Event()
        self._warm = threading.Event()
        self._free = threading.Semaphore(settings.worker_slots)
        self._reconciler = threading.Thread(target=self._reconcile_until_stopped, daemon=True)

    def start(self) -> None:
        """Begin to be seen and to look for lost work; never fails, whatever the database does."""
        self._reconciler.start()
        threading.Thread(target=self._warm_up, daemon=True).start()
        log.info(
            "worker_started",
            worker=self.id,
            slots=self.settings.worker_slots,
            queue=self.settings.worker_queue,
        )

    def stop(self) -> None:
        """Stop claiming; running tasks are given back unharmed."""
        self._stopping.set()
        self._warm.set()

    def leave(self) -> None:
        """Say goodbye once every thread has returned from `work`."""
        self._reconciler.join(timeout=5)
        try:
            with self.database.write() as session:
                workers.leave(session, self.id)
                commit(session, Step.SIGN_OFF)
        except SQLAlchemyError as error:
            log.warning("could_not_sign_off", error=str(error))
        log.info("worker_stopped", worker=self.id)

    def work(self) -> None:
        """Take tasks one after another until the queue is empty."""
        self._warm.wait()
        with self._free:
            while not self._stopping.is_set():
                with self.database.write() as session:
                    held = tasks.claim(
                        session, self.settings.worker_queue, self.id, self.settings.lease_seconds
                    )
                    commit(session, Step.CLAIM_TASK)
                if held is None:
                    return
                self._supervise(held)

    def poll_until_stopped(self) -> None:
        """The embedded worker's loop: look for work in every slot, all the time."""

        def poll() -> None:
            while not self._stopping.is_set():
                try:
                    self.work()
                except SQLAlchemyError:
                    log.exception("database_unavailable")
                self._stopping.wait(self.settings.poll_seconds)

        with ThreadPoolExecutor(self.settings.worker_slots) as pool:
            for slot in [pool.submit(poll) for _ in range(self.settings.worker_slots)]:
                slot.result()

    def reconcile(self) -> None:
        """Look once for what a death left behind (leases, doorbells, next steps), and for data whose time is over."""
        with self.database.write() as session:
            workers.see(
                session, self.id, socket.gethostname(), self.settings.worker_queue, self.settings.worker_slots
            )
            for task_id, kind in tasks.reap(session):
                _KINDS[kind].give_up(session, task_id)
            commit(session, Step.RECONCILE)
        with self.database.read() as session:
            due = jobs.due(session)
        for job_id in due:
            self._advance(job_id)
        self._ring_again()
        retention.erase_expired(self.database, self.settings.retention_days)
        retention.remove_copies(self.database, self.settings)

    def _warm_up(self) -> None:
        """Nothing is claimed before children can start quickly: a lease must not run out while libraries load."""
        isolation.warm_up()
        self._warm.set()

    def _ring_again(self) -> None:
        """Ring for tasks whose message may be lost; a worker without a free slot leaves that to others."""
        if self.settings.embedded or not self._free.acquire(blocking=False):
            return
        self._free.release()
        with self.database.write() as session:
            stale = tasks.stale_queues(
                session, 2 * self.settings.reconcile_seconds, most=self.settings.worker_slots
            )
            commit(session, Step.NOTE_RUNG)
        for queue in stale:
            self.doorbell.ring(queue)

    def _reconcile_until_stopped(self) -> None:
        while True:
            try:
                self.reconcile()
            except Exception:
                log.exception("reconcile_failed")
            if self._stopping.wait(self.settings.reconcile_seconds):
                return

    def _supervise(self, held: Claim) -> None:
        structlog.contextvars.bind_contextvars(job=held.job_id, task=held.task_id, attempt=held.attempt)
        folder = self.settings.scratch_dir / f"{held.task_id}-{held.attempt}"
        folder.mkdir(parents=True, exist_ok=True)
        log.info("task_claimed", kind=held.kind)
        try:
            outcome = self._compute(held, folder)
            if outcome is not None:
                self._insist(
                    held, lambda session: self._apply(session, held, outcome, folder), Step.APPLY_OUTCOME
                )
                log.info("task_ended", kind=held.kind, ending=str(outcome.ending))
                self._advance(held.job_id)
        except SQLAlchemyError:
            log.exception("task_abandoned")  # its lease will run out, and somebody takes it again
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            structlog.contextvars.clear_contextvars()

    def _compute(self, held: Claim, folder: Any) -> Outcome | None:
        """Run the task's child while keeping the lease; None where nothing is to be applied."""
        try:
            with self.database.read() as session:
                function, payload, limits = _KINDS[held.kind].load(session, held, folder, self.settings)
        except ServiceError as error:
            return Outcome(Ending.ERROR, error=error.as_dict())
        progress: dict[str, Any] = {}
        child = Child(function, payload, folder, limits, on_message=progress.update)
        child.start()
        renewed = beat = time.monotonic()
        while (outcome := child.wait()) is None:
            if self._stopping.is_set():
                child.stop()
                self._insist(held, lambda session: tasks.release(session, held), Step.RELEASE_TASK)
                log.info("task_released")
                return None
            if time.monotonic() - beat < _HEARTBEAT_SECONDS:
                continue
            beat = time.monotonic()
            state = self._renew(held, progress)
            if state is Renewal.KEPT:
                renewed = beat
            elif state is not None or beat - renewed > 0.7 * self.settings.lease_seconds:
                child.stop()
                if state is Renewal.CANCELLED:
                    self._insist(held, lambda session: self._end_cancelled(session, held), Step.END_CANCELLED)
                log.info("task_stopped", because=str(state or "lease could not be renewed"))
                return None
        return outcome

    def _renew(self, held: Claim, progress: dict[str, Any]) -> Renewal | None:
        """What the heartbeat found; None where the database did not answer."""
        try:
            with self.database.write() as session:
                state = tasks.renew(session, held, self.settings.lease_seconds, dict(progress))
                commit(session, Step.RENEW_LEASE)
        except SQLAlchemyError as error:
            log.warning("heartbeat_failed", error=str(error))
            return None
        return state

    def _apply(self, session: Session, held: Claim, outcome: Outcome, folder: Any) -> None:
        kind = _KINDS[held.kind]
        if outcome.ending is Ending.CRASH:
            error = {
                "code": "worker_crashed",
                "detail": f"The process died {tasks.MOST_FAILURES} times while doing this.",
                "advice": "Another configuration may work; the log says where it died.",
                "evidence": {"log": outcome.log_tail},
            }
            if tasks.fail_attempt(session, held, error):
                kind.give_up(session, held.task_id)
        elif tasks.finish(session, held):
            kind.apply(session, held, outcome, folder)
        else:
            log.warning("task_was_lost")

    def _end_cancelled(self, session: Session, held: Claim) -> None:
        tasks.cancel(session, held)
        jobs.end_cancelled(session, held.job_id)

    def _advance(self, job_id: str) -> None:
        """Begin the job's next step, if it is due, in a transaction of its own."""
        with self.database.write() as session:
            queue = verification.advance(session, job_id)
            commit(session, Step.ADVANCE_JOB)
        if queue is not None:
            self.doorbell.ring(queue)

    def _insist(self, held: Claim, change: Callable[[Session], Any], step: Step) -> None:
        """Write the change, again and again while the lease lasts: a database that restarts must not cost the work."""
        deadline = time.monotonic() + 0.7 * self.settings.lease_seconds
        while True:
            try:
                with self.database.write() as session:
                    change(session)
                    commit(session, step)
            except SQLAlchemyError as error:
                if time.monotonic() > deadline:
                    raise
                log.warning("write_failed", error=str(error), task=held.task_id)
                time.sleep(0.3)
            else:
                return
