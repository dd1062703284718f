"""A job's time budget: it holds everything, from the first claim to the end, and keeps a part for stacking."""

from typing import Any

from sqlalchemy import ColumnElement, case, select
from sqlalchemy.orm import Session

from app.store.database import now
from app.store.tables import STACKED, Job, Task

STACKING_SHARE = 0.25  # of a budget: what was measured is worth little if nobody combines it
# A step that begins when the time is nearly over may still take this long, and stacking may begin a little late: budgets
# are kept to five seconds.
_SHORTEST_STACKING_SECONDS = 3.0
_LATE_STACKING_SECONDS = 1.0
_SHORTEST_EXPERIMENT_SECONDS = 0.5

EXPERIMENTS_END = case(
    (Job.kind.in_(STACKED), Job.deadline - STACKING_SHARE * Job.time_budget_seconds), else_=Job.deadline
)  # null until a worker takes the job up


def is_late() -> ColumnElement[bool]:
    """Whether it is too late for the task to begin, of a job that was taken up; null before that."""
    stacking_end = Job.deadline + _LATE_STACKING_SECONDS
    return now() > case((Task.kind.in_(("proposing", "experiment")), EXPERIMENTS_END), else_=stacking_end)


def experiments_end(job: Job) -> float | None:
    """`EXPERIMENTS_END` of a job that was read."""
    kept = STACKING_SHARE * job.time_budget_seconds if job.kind in STACKED else 0.0
    return None if job.deadline is None else job.deadline - kept


def seconds_for_experiments(session: Session, job_id: str) -> float:
    """How long an experiment of the job that begins now may take."""
    return max(_SHORTEST_EXPERIMENT_SECONDS, _seconds_until(session, EXPERIMENTS_END, job_id))


def seconds_for_stacking(session: Session, job_id: str) -> float:
    """How long stacking that begins now may take."""
    return max(_SHORTEST_STACKING_SECONDS, _seconds_until(session, Job.deadline, job_id))


def _seconds_until(session: Session, end: Any, job_id: str) -> float:
    left: float | None = session.scalars(select(end - now()).where(Job.id == job_id)).one()
    assert left is not None, "only what a worker took up has a step to take"
    return left
