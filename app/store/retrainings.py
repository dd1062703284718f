"""Retrainings: when one is due, and how it begins."""

from typing import Any

from sqlalchemy import literal, select
from sqlalchemy.orm import Session

from app.errors import NothingToLearnError, RetrainingUnderWayError
from app.metalearning.table import TaskType
from app.store import beginning, events, learning, promotions, tasks
from app.store.tables import RETRAINING, Job

SECONDS = 3600.0  # many times what it takes
SECONDS_WITH_NETWORKS = 6 * 3600.0
LESSONS_WITHDRAWN = "lessons_withdrawn"  # the error of one


def begin(
    session: Session,
    *,
    owner: str,
    task_type: TaskType,
    lessons: learning.Lessons,
    time_budget_seconds: float,
    networks: bool = False,
    origin: dict[str, Any] | None = None,
) -> Job:
    """Write a job that fits the meta-learners of a task type anew, if there is something to learn and none does so.

    Args:
        session: that writes.
        owner: who may watch it.
        task_type: of the meta-learners.
        lessons: what there is to learn from right now; gathering it takes a while, in which others can write.
        time_budget_seconds: for all of it.
        networks: whether those that rank are trained too; then it is for workers of the queue gpu.
        origin: of the request.

    Raises: RetrainingUnderWayError, NothingToLearnError.
    """
    promotions.take_turn(session)
    last = newest(session, task_type)
    if last is not None and last.status in events.ACTIVE:
        raise RetrainingUnderWayError(
            f"The meta-learners for {task_type} are being retrained.",
            f"GET /jobs/{last.id} tells how far that is.",
            job_id=last.id,
        )
    fitted = promotions.newest_fitted(session, task_type)
    if not lessons.datasets:
        raise NothingToLearnError(
            f"No dataset for {task_type} has enough scores of those that may be learned from.",
            "Verify or measure datasets that contribute, or have an operator trust a source of reports.",
        )
    if fitted is not None and fitted.snapshot == lessons.snapshot and not networks:
        raise NothingToLearnError(
            f"{fitted.id} was fitted on all that there is.", "GET /meta-learners/versions tells its scores."
        )
    job = Job(
        kind=RETRAINING,
        owner=owner,
        dataset_id=None,
        request={
            "task_type": str(task_type),
            "evaluations": lessons.n_evaluations,
            "networks": networks,
            "time_budget_seconds": time_budget_seconds,
        },
        origin=origin or {},
        time_budget_seconds=time_budget_seconds,
    )
    beginning.write(session, job, RETRAINING)
    # It serves everybody, so it takes its turn as if somebody else had asked for it, whatever its owner has in line.
    tasks.add(session, job, RETRAINING, queue_for(networks=networks), in_line_as=RETRAINING)
    events.record(session, job.id, events.QUEUED, {"kind": job.kind, "task_type": str(task_type)})
    return job


def queue_for(*, networks: bool) -> str:
    """The queue that a retraining is for."""
    return "gpu" if networks else "cpu"


def is_due(session: Session, task_type: TaskType, after: int) -> bool:
    """Whether so many evaluations came or went since the last retraining, or what it had learned was taken back.

    One that failed is not tried again: what failed would fail again. One whose lessons were withdrawn meanwhile does not count.
    """
    last = newest(session, task_type, with_lessons=True)
    known, when = (last.request["evaluations"], last.created_at) if last else (0, 0.0)
    changed = abs(learning.count(session, task_type) - known) >= after
    return changed or promotions.was_withdrawn_since(session, task_type, when)


def newest(session: Session, task_type: TaskType, *, with_lessons: bool = False) -> Job | None:
    """The newest job of that kind, whatever became of it, or only whose lessons were not withdrawn."""
    # Written into the statement, since an index of some of the rows serves only who says the same.
    of_kind = Job.kind == literal(RETRAINING, literal_execute=True)
    latest_first = select(Job).where(of_kind).order_by(Job.created_at.desc(), Job.id.desc())
    for job in session.scalars(latest_first):
        lost = with_lessons and (job.error or {}).get("code") == LESSONS_WITHDRAWN
        if job.request["task_type"] == task_type and not lost:
            return job
    return None
