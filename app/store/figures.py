"""The whole system in figures, as the database has them at this moment."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, literal, select
from sqlalchemy.orm import Session

from app.store import counters, events, fairness, workers
from app.store.database import now
from app.store.jobs import UNFINISHED
from app.store.tables import Job, JobEvent, Task


@dataclass(frozen=True)
class Figures:
    """Numbers of rows by what tells them apart; what is absent is zero."""

    jobs: dict[tuple[str, ...], float]  # by kind and status
    tasks: dict[tuple[str, ...], float]  # by queue and status: those that wait or run
    oldest_queued_seconds: dict[tuple[str, ...], float]  # by queue
    workers: dict[tuple[str, ...], float]  # by queue
    slots: dict[tuple[str, ...], float]  # by queue
    counts: dict[tuple[str, ...], float]  # see `counters`


def read(session: Session) -> Figures:
    """Count, by walks through indexes: of jobs one as long as their history, of tasks as long as the queue."""
    alive = workers.alive(session, workers.SILENCE_SECONDS)
    slots: dict[str, list[int]] = {}
    for each in alive:
        slots.setdefault(each.queue, []).append(each.slots)
    return Figures(
        jobs=_counts(session, select(Job.kind, Job.status, func.count()).group_by(Job.status, Job.kind)),
        tasks={labels: count for status in UNFINISHED for labels, count in _tasks(session, status).items()},
        oldest_queued_seconds=_oldest_queued_seconds(session),
        workers={(queue,): len(each) for queue, each in slots.items()},
        slots={(queue,): sum(each) for queue, each in slots.items()},
        counts=counters.totals(session),
    )


def _tasks(session: Session, status: str) -> dict[tuple[str, ...], float]:
    # Written into the statement: an index of the rows with one status serves only who says the same.
    has_status = Task.status == literal(status, literal_execute=True)
    query = select(Task.queue, func.count()).where(has_status).group_by(Task.queue)
    return {(queue, status): count for (queue,), count in _counts(session, query).items()}


def _oldest_queued_seconds(session: Session) -> dict[tuple[str, ...], float]:
    """By the database's clock alone: an experiment waits since its job was accepted, a stack since its job's phase began."""
    oldest = (
        select(Task.queue, func.min(Task.id).label("id"))
        .where(fairness.QUEUED)
        .group_by(Task.queue)
        .subquery("oldest")
    )
    phase_began = (
        select(func.max(JobEvent.created_at))
        .where(JobEvent.job_id == Job.id, JobEvent.kind == events.PHASE)
        .scalar_subquery()
    )
    age = now() - func.coalesce(phase_began, Job.created_at)
    query = select(oldest.c.queue, age).join(Task, Task.id == oldest.c.id).join(Job, Job.id == Task.job_id)
    return {(queue,): max(0.0, seconds) for queue, seconds in session.execute(query)}


def _counts(session: Session, query: Any) -> dict[tuple[str, ...], float]:
    return {tuple(labels): count for *labels, count in session.execute(query)}
