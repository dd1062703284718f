"""Events: every change of a job that somebody may watch for, written in the transaction that makes the change.

The position of an event is the job's version after `UPDATE jobs SET version = version + 1`. The lock on the job's row, held
until the commit, lets one writer after the other through: positions have no gaps (a rollback takes its number back), and
whoever sees an event sees all before it. A sequence would promise neither.

Locks are taken in the order task, job, so no writers wait for each other: whoever holds a job's row takes none of its
tasks' rows but those that are free (SKIP LOCKED), and whoever writes about several jobs takes them by id.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, or_, select, update
from sqlalchemy.orm import Session

from app.errors import JobNotFoundError
from app.store.tables import Dataset, Experiment, Job, JobEvent, Task

QUEUED, RUNNING, PHASE, ENDED = "queued", "running", "phase", "ended"
CANCEL_REQUESTED = "cancel_requested"
EXPERIMENT_ADDED = "experiment_added"
ACTIVE = ("queued", "running")  # the statuses of a job that has not ended


@dataclass(frozen=True)
class Event:
    """A change of a job; positions count from 1."""

    position: int
    kind: str
    data: dict[str, Any]
    created_at: float


@dataclass(frozen=True)
class State:
    """What tells two states of a job apart: the number of its changes, whether it ended, and whether it was erased."""

    version: int
    ended: bool
    erased: bool


def record(session: Session, job_id: str, kind: str, data: dict[str, Any]) -> bool:
    """Write the job's next event; false where the job has ended, since nothing follows its last event."""
    changes = update(Job).where(Job.id == job_id).values(version=Job.version + 1).returning(Job.version)
    if kind != ENDED:
        changes = changes.where(Job.status.in_(ACTIVE))
    position = session.scalar(changes.execution_options(synchronize_session=False))
    if position is None:
        return False
    session.execute(insert(JobEvent).values(job_id=job_id, position=position, kind=kind, data=data))
    return True


def record_of_task(session: Session, task_id: str, what: str, **data: Any) -> None:
    """Write that this happened to a task of the job: `experiment_started`, `stacking_retried` and the like."""
    task = session.execute(
        select(Task.job_id, Task.kind, Experiment.configuration)
        .outerjoin(Experiment, Experiment.task_id == Task.id)
        .where(Task.id == task_id)
    ).one()
    of = {} if task.configuration is None else {"configuration": task.configuration}
    record(session, task.job_id, f"{task.kind}_{what}", {**of, **data})


def after(session: Session, job_id: str, position: int, limit: int = 500) -> list[Event]:
    """The events behind this position, in order."""
    rows = session.scalars(
        select(JobEvent)
        .where(JobEvent.job_id == job_id, JobEvent.position > position)
        .order_by(JobEvent.position)
        .limit(limit)
    )
    return [Event(row.position, row.kind, row.data, row.created_at) for row in rows]


def state(session: Session, owner: str, job_id: str) -> State:
    """The state of the owner's job, without what it holds.

    Raises: JobNotFoundError.
    """
    erased = or_(Dataset.deleted_at.is_not(None), Dataset.expired_at.is_not(None))  # no retraining ever is
    row = session.execute(
        select(Job.version, Job.status, erased)
        .outerjoin(Dataset, Dataset.id == Job.dataset_id)
        .where(Job.id == job_id, Job.owner == owner)
    ).one_or_none()
    if row is None:
        raise JobNotFoundError(f"There is no job {job_id!r}.", "GET /jobs lists yours.")
    version, status, is_erased = row
    return State(version, status not in ACTIVE, bool(is_erased))


def versions(session: Session, job_ids: list[str]) -> dict[str, int]:
    """The versions of these jobs."""
    rows = session.execute(select(Job.id, Job.version).where(Job.id.in_(job_ids)))
    return {row.id: row.version for row in rows}
