"""Claims tasks for as many slots as there are, and looks after what deaths left behind.

Whatever happens to a child, the broker or this process, the rows say what is left to do: every supervisor also looks for
expired leases, lost doorbells and steps that a death left unbegun. What is done with a claimed task is in `attempt`.
"""

import os
import secrets
import socket
import threading
import time
from queue import SimpleQueue

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app import failpoints, isolation, tracing
from app.config import Settings
from app.failpoints import Step
from app.queue import Doorbell
from app.store import counters, jobs, tasks, workers
from app.store.counters import AttemptEnding, Counted, Counts
from app.store.database import Database, cause_of, commit
from app.store.tasks import Claim
from workers import retention
from workers.attempt import KINDS, Attempt
from workers.counting import Tally
from workers.delivering import Deliverer
from workers.devices import Device, places
from workers.experiments import contract
from workers.tasks import exploring, retraining, verification

log = structlog.get_logger(__name__)

_LEAVE_SECONDS = 20.0
_WARM_UP_PAUSE_SECONDS = 5.0
_NO_ROOM_SECONDS = 5.0
_ROUNDS_BETWEEN_LESSONS = 30


class Supervisor:
    """One per worker process; `work` is called from as many threads as there are slots."""

    def __init__(self, settings: Settings) -> None:
        failpoints.use(settings.failpoints_dir)
        tracing.use(settings, "metaselect-worker")
        isolation.preload("workers.tasks.computing", "workers.experiments.warming", *contract.libraries())
        self.settings = settings
        self.database = Database(settings)
        self.doorbell = Doorbell(settings)
        self.id = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self._tally = Tally()
        self._deliverer = Deliverer(settings, self.database)
        self._stopping = threading.Event()
        self._warm = threading.Event()
        self._learn_at = 0.0  # monotonic
        found = places(settings)
        self.device, self.slots = found[0].name, len(found)
        self._free: SimpleQueue[Device] = SimpleQueue()
        for place in found:
            self._free.put(place)
        loops = [self._reconcile_until_stopped, *[self._poll_until_stopped] * self.slots]
        loops += [self._deliver_until_stopped] * settings.webhook_senders
        self._threads = [threading.Thread(target=loop, daemon=True) for loop in loops]

    def start(self) -> None:
        """Begin to be seen, and to look for work and for what was lost; never fails, whatever the database does."""
        threading.Thread(target=self._warm_up, daemon=True).start()
        for thread in self._threads:
            thread.start()
        log.info(
            "worker_started",
            worker=self.id,
            slots=self.slots,
            queue=self.settings.worker_queue,
            device=self.device,
        )

    def stop(self) -> None:
        """Stop claiming; running tasks are given back unharmed."""
        self._stopping.set()
        self._warm.set()

    def leave(self) -> None:
        """Stop, wait until running tasks were given back, and say goodbye."""
        self.stop()
        deadline = time.monotonic() + _LEAVE_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        try:
            with self._tally.taken() as counts, self.database.write() as session:
                workers.leave(session, self.id)
                counters.add(session, counts)
                commit(session, Step.SIGN_OFF)
        except SQLAlchemyError as error:
            log.warning("could_not_sign_off", error=cause_of(error))
        tracing.flush()
        log.info("worker_stopped", worker=self.id)

    def work(self) -> None:
        """Take tasks one after another until the queue is empty; never raises: who calls has nobody to tell."""
        self._warm.wait()
        device = self._free.get()
        try:
            while not self._stopping.is_set() and self._work_once(device):
                pass
        except SQLAlchemyError as error:
            log.warning("database_unavailable", error=cause_of(error))
        except Exception:
            log.exception("could_not_work")
        finally:
            self._free.put(device)

    def reconcile(self) -> None:
        """Look once for what a death left behind (leases, doorbells, next steps), and for data whose time is over."""
        with self._tally.taken() as counts, self.database.write() as session:
            queue = self.settings.worker_queue
            workers.see(session, self.id, socket.gethostname(), queue, self.slots, self.device)
            counters.add(session, counts + self._reap(session))
            commit(session, Step.RECONCILE)
        with self.database.read() as session:
            due = jobs.due(session)
        for job_id in due:
            try:
                self._advance(job_id)
            except Exception:
                log.exception("job_not_advanced", job=job_id)  # the others need not wait for it
        self._learn()
        retention.erase_expired(self.database, self.settings.retention_days)
        retention.remove_copies(self.database, self.settings)

    def _learn(self) -> None:
        """Begin a retraining where enough was measured or reported since the last one; now and then is often enough."""
        if not self.settings.retrain_after or time.monotonic() < self._learn_at:
            return
        self._learn_at = time.monotonic() + _ROUNDS_BETWEEN_LESSONS * self.settings.reconcile_seconds
        if retraining.begin_due(self.database, self.settings.retrain_after):
            self.doorbell.ring("cpu")

    def _reap(self, session: Session) -> Counts:
        """Take back what dead workers held, and give up what too many died of."""
        counts = Counts()
        for each in tasks.reap(session):
            log.warning("task_reaped", task=each.task_id, is_over=each.is_over)
            counts[Counted.ATTEMPTS, each.kind, AttemptEnding.REAPED] += 1
            if each.is_over:
                KINDS[each.kind].give_up(session, each.task_id)
                counts[Counted.GIVEN_UP, each.kind, "lost"] += 1
        return counts

    def _work_once(self, device: Device) -> bool:
        """Take the task whose turn it is and do it; false where there is none."""
        claimed_at = time.monotonic()
        held = self._claim()
        if held is None:
            return False
        with structlog.contextvars.bound_contextvars(**held.names()):
            attempt = Attempt(
                self.settings, self.database, held, claimed_at, self._stopping, self._tally, device
            )
            if attempt.run():
                self._advance(held.job_id)
            if attempt.found_no_room:  # nor would the next task: others may have a machine that has
                self._stopping.wait(_NO_ROOM_SECONDS)
        return True

    def _claim(self) -> Claim | None:
        with self.database.write() as session:
            held = tasks.claim(session, self.settings.worker_queue, self.id, self.settings.lease_seconds)
            commit(session, Step.CLAIM_TASK)
        return held

    def _advance(self, job_id: str) -> None:
        """Begin the job's next step, if it is due, in a transaction of its own."""
        exploring.prepare(self.database, job_id)
        with self.database.write() as session:
            queue = verification.advance(session, job_id)
            commit(session, Step.ADVANCE_JOB)
        if queue is not None:
            self.doorbell.ring(queue)

    def _warm_up(self) -> None:
        """Nothing is claimed before children can start quickly: a lease must not run out while libraries load."""
        while not self._stopping.is_set():
            try:
                isolation.warm_up()
            except (OSError, EOFError):  # a full disk, a forkserver that was killed: try until it works
                log.exception("could_not_start_children")
                self._stopping.wait(_WARM_UP_PAUSE_SECONDS)
            else:
                break
        self._warm.set()

    def _poll_until_stopped(self) -> None:
        """Look for work all the time; where there is a broker only now and then, in case it lost a message or is away."""
        pause = self.settings.poll_seconds if self.settings.embedded else self.settings.reconcile_seconds
        while not self._stopping.is_set():
            self.work()
            self._stopping.wait(pause)

    def _deliver_until_stopped(self) -> None:
        self._deliverer.deliver_until(self._stopping)

    def _reconcile_until_stopped(self) -> None:
        while not self._stopping.is_set():
            try:
                self.reconcile()
            except SQLAlchemyError as error:
                log.warning("database_unavailable", error=cause_of(error))
            except Exception:
                log.exception("reconcile_failed")
            self._stopping.wait(self.settings.reconcile_seconds)
