"""Tasks: claimed with a lease, renewed, finished once. Every write after the claim is fenced by the attempt number."""

import random
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import CursorResult, not_, null, or_, select, update
from sqlalchemy.orm import Session

from app.store import events, fairness
from app.store.budgets import is_late
from app.store.database import now
from app.store.ids import new_id
from app.store.tables import Experiment, Job, Task

MOST_FAILURES = 3  # crashes seen by a living supervisor: the task itself is to blame
MOST_LOST = 20  # leases that ran out, machines without room: its workers are to blame, or their fate
_BACK_OFF_SECONDS = 0.5
_LONGEST_BACK_OFF_SECONDS = 60.0


@dataclass(frozen=True)
class Claim:
    """A task that a worker holds until its lease ends."""

    task_id: str
    attempt: int
    job_id: str
    kind: str
    configuration: str | None = None  # of an experiment
    request: str | None = None  # the one that the job came with
    traceparent: str | None = None

    def names(self) -> dict[str, Any]:
        """What every log line about it carries."""
        names = {
            "request": self.request,
            "job": self.job_id,
            "task": self.task_id,
            "configuration": self.configuration,
            "attempt": self.attempt,
        }
        return {name: value for name, value in names.items() if value is not None}


@dataclass(frozen=True)
class Reaped:
    """A task whose worker was not heard of any more; `is_over` once that has happened too often."""

    task_id: str
    kind: str
    is_over: bool


class Renewal(StrEnum):
    """What a heartbeat found."""

    KEPT = "kept"
    LOST = "lost"
    CANCELLED = "cancelled"


def add(session: Session, job: Job, kind: str, queue: str, in_line_as: str | None = None) -> Task:
    """Write a task of the job, queued under its owner's name, or another."""
    task = Task(
        id=new_id("task"),
        job_id=job.id,
        owner=in_line_as or job.owner,
        priority=fairness.priority_of(job, kind),
        kind=kind,
        queue=queue,
        status="queued",
    )
    session.add(task)
    session.flush()
    return task


def claim(session: Session, queue: str, worker: str, lease_seconds: float) -> Claim | None:
    """Take the task whose turn it is, if there is one; two workers never take the same."""
    for priority, owner in fairness.in_turn(session, queue):
        for kind in fairness.KINDS_IN_LINE:
            task_id = session.scalar(_oldest(kind, queue, priority, owner))
            if task_id is not None:
                return _take(session, task_id, worker, lease_seconds)
    return None


def renew(session: Session, held: Claim, lease_seconds: float, progress: dict[str, Any]) -> Renewal:
    """Prolong the lease and note the progress; tells when the task was lost or is to be cancelled."""
    before = session.scalar(select(Task.progress).where(Task.id == held.task_id))
    if not _write(session, held, lease_expires_at=now() + lease_seconds, progress=progress):
        return Renewal.LOST
    if progress != before:
        events.record_of_task(session, held.task_id, "progress", **progress)
    asked = session.scalar(select(Job.cancel_requested_at).where(Job.id == held.job_id))
    return Renewal.KEPT if asked is None else Renewal.CANCELLED


def finish(session: Session, held: Claim) -> bool:
    """End the task as done; false where somebody else holds it now, and then nothing else may be written."""
    return _write(session, held, status="succeeded", finished_at=now(), lease_expires_at=None, error=null())


def cancel(session: Session, held: Claim) -> bool:
    """End the task as cancelled."""
    ended = _write(session, held, status="cancelled", finished_at=now(), lease_expires_at=None)
    if ended:
        events.record_of_task(session, held.task_id, "ended", outcome="cancelled")
    return ended


def release(session: Session, held: Claim) -> bool:
    """Give the task back unharmed: whoever looks next takes it."""
    released = _write(session, held, status="queued", lease_expires_at=None, worker=None)
    if released:
        events.record_of_task(session, held.task_id, "retried", reason="released")
    return released


def fail(session: Session, held: Claim, error: dict[str, Any]) -> bool:
    """End the task with the reason, without another try."""
    return _write(session, held, status="failed", finished_at=now(), lease_expires_at=None, error=error)


def fail_attempt(session: Session, held: Claim, error: dict[str, Any]) -> str | None:
    """Count a failure: the task is tried again after a pause, or ends; its status, or None where the lease was lost."""
    failures = session.scalars(select(Task.failures).where(Task.id == held.task_id)).one() + 1
    if failures >= MOST_FAILURES:
        return _give_up(session, held, error, failures, failures=failures)
    return _try_again(session, held, error, failures, "crashed", failures=failures)


def return_exhausted(session: Session, held: Claim, error: dict[str, Any]) -> str | None:
    """Give back a task for which its machine had no room, as `fail_attempt` does; that says as little as a lost lease."""
    lost = session.scalars(select(Task.lost).where(Task.id == held.task_id)).one() + 1
    if lost >= MOST_LOST:
        return _give_up(session, held, error, lost, lost=lost)
    return _try_again(session, held, error, lost, "exhausted", lost=lost)


def reap(session: Session) -> list[Reaped]:
    """Take back the tasks whose lease ran out (or that run without one)."""
    expired = or_(Task.lease_expires_at.is_(None), Task.lease_expires_at < now())
    found = session.execute(
        select(Task.id, Task.job_id, Task.kind, Task.lost)
        .where(Task.status == "running", expired)
        .order_by(Task.job_id, Task.id)  # events lock the jobs in this order
        .with_for_update(skip_locked=True)
    ).all()
    reaped = []
    for task_id, job_id, kind, lost_before in found:
        lost = lost_before + 1
        over = lost >= MOST_LOST
        values: dict[str, Any] = {"lost": lost, "lease_expires_at": None, "worker": None}
        reaped.append(Reaped(task_id, kind, over))
        if over:
            # Whoever gives it up writes to the job: it is locked in the same order as by events.
            session.execute(select(Job.id).where(Job.id == job_id).with_for_update())
            values |= {
                "status": "failed",
                "finished_at": now(),
                "error": {
                    "code": "worker_lost",
                    "detail": f"{lost} workers died while doing this.",
                    "advice": "Try again; if it happens again, the workers' logs say why they die.",
                },
            }
        else:
            values["status"] = "queued"
        session.execute(
            update(Task).where(Task.id == task_id, Task.status == "running", expired).values(**values)
        )
        if not over:
            events.record_of_task(session, task_id, "retried", reason="lost", lost=lost)
    return reaped


def running(session: Session) -> set[tuple[str, int]]:
    """Id and attempt of every task that a worker holds."""
    query = select(Task.id, Task.attempt).where(Task.status == "running")
    return {(task_id, attempt) for task_id, attempt in session.execute(query)}


def _give_up(session: Session, held: Claim, error: dict[str, Any], tries: int, **counted: int) -> str | None:
    said = {**error, "detail": f"{error['detail']} It was tried {tries} times."}
    ended = {"status": "failed", "finished_at": now(), "lease_expires_at": None, "error": said}
    return "failed" if _write(session, held, **ended, **counted) else None


def _try_again(
    session: Session, held: Claim, error: dict[str, Any], tries: int, reason: str, **counted: int
) -> str | None:
    pause = min(_LONGEST_BACK_OFF_SECONDS, _BACK_OFF_SECONDS * 2**tries)
    pause *= random.uniform(0.5, 1.5)  # noqa: S311  jitter, not secrecy
    queued = {"status": "queued", "lease_expires_at": None, "worker": None, "not_before": now() + pause}
    if not _write(session, held, **queued, error=error, **counted):
        return None
    events.record_of_task(session, held.task_id, "retried", reason=reason, **counted)
    return "queued"


def _oldest(kind: str, queue: str, priority: int, owner: str) -> Any:
    """The owner's oldest task of this kind that may begin now and that nobody else is taking, locked."""
    return (
        select(Task.id)
        .join(Job, Job.id == Task.job_id)
        .where(Task.queue == queue, fairness.QUEUED, Task.priority == priority, Task.owner == owner)
        .where(Task.kind == kind)
        .where(Task.not_before <= now(), Job.cancel_requested_at.is_(None))
        .where(or_(Job.deadline.is_(None), not_(is_late())))
        .order_by(Task.id)
        .limit(1)
        .with_for_update(skip_locked=True, of=Task)
    )


def _take(session: Session, task_id: str, worker: str, lease_seconds: float) -> Claim | None:
    claimed = session.execute(
        update(Task)
        .where(Task.id == task_id, Task.status == "queued")
        .values(
            status="running",
            attempt=Task.attempt + 1,
            worker=worker,
            lease_expires_at=now() + lease_seconds,
            started_at=now(),
            progress={},
        )
        .returning(Task.attempt, Task.job_id, Task.kind)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if claimed is None:
        return None
    begun = session.execute(
        update(Job)
        .where(Job.id == claimed.job_id, Job.status == "queued")
        # The budget counts from here: time in the queue is not the job's.
        .values(status="running", started_at=now(), deadline=now() + Job.time_budget_seconds)
        .returning(Job.id)
    ).one_or_none()
    if begun is not None:
        events.record(session, claimed.job_id, events.RUNNING, {})
    events.record_of_task(session, task_id, "started", attempt=claimed.attempt)
    origin, configuration = session.execute(
        select(Job.origin, Experiment.configuration)
        .outerjoin(Experiment, Experiment.task_id == task_id)
        .where(Job.id == claimed.job_id)
    ).one()
    return Claim(
        task_id,
        claimed.attempt,
        claimed.job_id,
        claimed.kind,
        configuration,
        origin.get("request"),
        origin.get("traceparent"),
    )


def _write(session: Session, held: Claim, **values: Any) -> bool:
    """Update the task only if this claim still holds it."""
    result = session.execute(
        update(Task)
        .where(Task.id == held.task_id, Task.attempt == held.attempt, Task.status == "running")
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    assert isinstance(result, CursorResult)
    return result.rowcount == 1
