"""One attempt at a claimed task: load, compute in a child process, apply. No session is open while the child computes."""

import random
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app import tracing
from app.config import Settings
from app.errors import MachineError, ServiceError
from app.failpoints import Step
from app.isolation import Child, Ending, Outcome
from app.store import counters, jobs, tasks
from app.store.counters import AttemptEnding, Counted, Counts
from app.store.database import PASSING_ERRORS, Database, cause_of, commit
from app.store.tasks import Claim, Renewal
from app.tracing import Span
from workers import scratch
from workers.counting import Tally
from workers.devices import Device
from workers.lease import Lease
from workers.tasks import experiment, fewshot, prediction, retraining, searching, stacking

log = structlog.get_logger(__name__)

KINDS: dict[str, ModuleType] = {
    "experiment": experiment,
    "proposing": searching,
    "stacking": stacking,
    "retraining": retraining,
    "predicting": prediction,
    "adapting": fewshot,
}

_INSIST_SECONDS = 60.0  # a result waits so long for a database that is away
_INSIST_SECONDS_WHEN_STOPPING = 5.0
_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 2.0


@dataclass
class Attempt:
    """Does what was claimed, as long as the lease lasts and nobody says stop."""

    settings: Settings
    database: Database
    held: Claim
    claimed_at: float  # monotonic, before the claim was sent
    stopping: threading.Event
    tally: Tally
    device: Device
    found_no_room: bool = field(
        default=False, init=False
    )  # on this machine, for whatever would come next too

    def run(self) -> bool:
        """Whether something was written that the job may go on from; never raises for what the world does.

        Where nothing can be written the lease runs out, and somebody takes the task again.
        """
        folder = scratch.of_attempt(self.settings.scratch_dir, self.held.task_id, self.held.attempt)
        log.info("task_claimed", kind=self.held.kind)
        try:
            with (
                self._span(),
                Lease(self.database, self.held, self.settings.lease_seconds, self.claimed_at) as lease,
            ):
                return self._run(folder, lease)
        except SQLAlchemyError:
            log.exception("task_abandoned")
            return False
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _span(self) -> AbstractContextManager[Span]:
        return tracing.span(f"attempt {self.held.kind}", parent=self.held.traceparent, **self.held.names())

    def _run(self, folder: Path, lease: Lease) -> bool:
        try:
            outcome = self._compute(folder, lease)
            if outcome is None:
                return lease.found is Renewal.CANCELLED
            self._insist(lambda session: self._apply(session, outcome, folder), Step.APPLY_OUTCOME)
        except PASSING_ERRORS:
            raise
        except (
            Exception
        ) as error:  # a full disk, no processes left, or a defect: the task must not hang on it
            log.exception("attempt_failed")
            trouble = _trouble(error)
            self._insist(lambda session: self._fail_attempt(session, trouble), Step.APPLY_OUTCOME)
            return True
        log.info("task_ended", kind=self.held.kind, ending=str(outcome.ending))
        return True

    def _compute(self, folder: Path, lease: Lease) -> Outcome | None:
        """Run the task's child, and a second one where its kind has something that may fail without costing the first's result.

        None where nothing is left to apply.
        """
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with self.database.read() as session:
                function, payload, limits = KINDS[self.held.kind].load(
                    session, self.held, folder, self.settings
                )
        except ServiceError as error:
            return Outcome(Ending.ERROR, error=error.as_dict())
        began = time.monotonic()
        place = self.device.environment
        child = Child(function, payload, folder, limits, on_message=lease.note, environment=place)
        outcome = self._run_child(child, lease, self.held.kind)
        follow_up = getattr(KINDS[self.held.kind], "follow_up", None)
        if follow_up is None or outcome is None or outcome.value is None:
            return outcome
        then = follow_up(payload, limits, outcome, time.monotonic() - began)
        try:
            second = self._run_child(
                Child(then.function, then.payload, folder, then.limits, environment=place),
                lease,
                then.kind,
            )
        except (
            OSError,
            EOFError,
        ):  # no room for another process: the first one's result is not to be lost by that
            log.exception("no_follow_up")
            second = Outcome(Ending.CRASH)
        return None if second is None else then.join(second)

    def _run_child(self, child: Child, lease: Lease, kind: str) -> Outcome | None:
        """Watch a child while the lease lasts, and count its end; None where nothing is left to apply."""
        child.start()
        while (outcome := child.wait()) is None:
            if self.stopping.is_set():
                self._note_exit(child.stop(), kind)
                self._insist(self._release, Step.RELEASE_TASK)
                log.info("task_released")
                return None
            if lease.found is Renewal.CANCELLED:
                self._note_exit(child.stop(), kind)
                self._insist(self._end_cancelled, Step.END_CANCELLED)
                log.info("task_cancelled")
                return None
            if lease.found is Renewal.LOST or lease.is_running_out:
                self._note_exit(child.kill(), kind)
                because = "taken_back" if lease.found is Renewal.LOST else "not_renewed"
                self.tally.note(Counted.LEASE_LOSSES, because)
                log.warning("lease_lost", because=because)
                return None
        self._note_exit(outcome, kind)
        return outcome

    def _note_exit(self, outcome: Outcome, kind: str) -> None:
        self.tally.note(Counted.CHILD_EXITS, kind, outcome.ending)

    def _apply(self, session: Session, outcome: Outcome, folder: Path) -> Counts:
        trouble = _passing_trouble(outcome)
        if trouble is not None:
            return self._fail_attempt(session, trouble)
        if not tasks.finish(session, self.held):
            log.warning("task_was_lost")
            return Counts()
        KINDS[self.held.kind].apply(session, self.held, outcome, folder)
        return self._ended(outcome.ending)

    def _fail_attempt(self, session: Session, trouble: dict[str, Any]) -> Counts:
        self.found_no_room = trouble["code"] == MachineError.code
        count = tasks.return_exhausted if self.found_no_room else tasks.fail_attempt
        status = count(session, self.held, trouble)
        if status is None:
            return Counts()
        if status == "queued":
            return self._ended(AttemptEnding.FAILED)
        KINDS[self.held.kind].give_up(session, self.held.task_id)
        reason = "lost" if self.found_no_room else "failures"
        return self._ended(AttemptEnding.FAILED) + Counts([(Counted.GIVEN_UP, self.held.kind, reason)])

    def _release(self, session: Session) -> Counts:
        return self._ended(AttemptEnding.RELEASED) if tasks.release(session, self.held) else Counts()

    def _end_cancelled(self, session: Session) -> Counts:
        is_ours = tasks.cancel(session, self.held)
        jobs.end_cancelled(session, self.held.job_id)
        return self._ended(AttemptEnding.CANCELLED) if is_ours else Counts()

    def _ended(self, ending: str) -> Counts:
        return Counts([(Counted.ATTEMPTS, self.held.kind, ending)])

    def _insist(self, change: Callable[[Session], Counts], step: Step) -> None:
        """Write the change and what it counts, again and again: a database that restarts must not cost the work.

        Longer than the lease is safe: the attempt number refuses the write once somebody else has the task. So is
        writing again what a lost answer left unknown.
        """
        began, pause = time.monotonic(), _PAUSE_SECONDS
        while True:
            try:
                with self.database.write() as session:
                    counters.add(session, change(session))
                    commit(session, step)
            except PASSING_ERRORS as error:
                patience = _INSIST_SECONDS_WHEN_STOPPING if self.stopping.is_set() else _INSIST_SECONDS
                if time.monotonic() - began > patience:
                    raise
                log.warning("write_failed", step=str(step), error=cause_of(error))
                time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311  jitter, not secrecy
                pause = min(_LONGEST_PAUSE_SECONDS, 2 * pause)
            else:
                return


def _passing_trouble(outcome: Outcome) -> dict[str, Any] | None:
    """The reason to try again; None where the outcome says something about the data, which another try would repeat."""
    if outcome.ending is Ending.CRASH:
        return {
            "code": "worker_crashed",
            "detail": "The process died while doing this.",
            "advice": "Another configuration may work; the log says where it died.",
            "evidence": {"log": outcome.log_tail},
        }
    if outcome.error is not None and outcome.error["code"] == MachineError.code:
        return outcome.error
    return None


def _trouble(error: Exception) -> dict[str, Any]:
    if isinstance(error, OSError):
        return MachineError.of(error).as_dict()
    # What the database refuses it quotes, and with it the data.
    said = "the database refused it" if isinstance(error, SQLAlchemyError) else str(error)
    return {
        "code": "internal_error",
        "detail": f"{type(error).__name__}: {said}".replace("\x00", "")[:2000],
        "advice": "The worker's log holds the traceback.",
        "evidence": {},
    }
