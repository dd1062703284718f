"""Jobs: moved on by conditional updates, ended once. How each kind begins is in `beginning`, `retrainings`, `searches`, `predictions`."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import CursorResult, and_, exists, func, literal, or_, select, update
from sqlalchemy.orm import Session

from app.errors import JobNotFoundError
from app.store import deliveries, events, predictions, tasks
from app.store.budgets import is_late
from app.store.database import now
from app.store.experiments import EXPERIMENTING
from app.store.tables import (
    FEW_SHOT,
    MEASUREMENT,
    PREDICTION,
    RETRAINING,
    STACKED,
    Experiment,
    Job,
    Recommendation,
    Task,
)

ACTIVE = events.ACTIVE
UNFINISHED = ("queued", "running")
STACKING, DONE = "stacking", "done"
TIME_BUDGET_SPENT = "time_budget_spent"  # the error of what a budget cut off


@dataclass(frozen=True)
class JobDetail:
    """A job with its experiments, each beside the task that measures it, at the time `now` by the database's clock."""

    job: Job
    experiments: tuple[tuple[Experiment, Task], ...]
    now: float
    recommended: dict[str, Any] | None = None  # the recommendation that an active job verifies
    step: dict[str, Any] | None = None  # how far the running task is that is no experiment


def get(session: Session, owner: str, job_id: str) -> Job:
    """The owner's job.

    Raises: JobNotFoundError.
    """
    job = session.scalars(select(Job).where(Job.id == job_id, Job.owner == owner)).one_or_none()
    if job is None:
        raise JobNotFoundError(f"There is no job {job_id!r}.", "GET /jobs lists yours.")
    return job


def detail(session: Session, owner: str, job_id: str) -> JobDetail:
    """The owner's job with its experiments in the order in which they were asked for.

    Raises: JobNotFoundError.
    """
    job = get(session, owner, job_id)
    rows = session.execute(
        select(Experiment, Task)
        .join(Task, Task.id == Experiment.task_id)
        .where(Experiment.job_id == job_id)
        .order_by(Task.id)
    ).all()
    recommended = None
    if job.status in ACTIVE and job.recommendation_id is not None:
        body = select(Recommendation.body).where(Recommendation.id == job.recommendation_id)
        recommended = session.scalars(body).one()
    step = None
    if job.status == "running" and job.phase != EXPERIMENTING:
        running = select(Task.progress).where(
            Task.job_id == job_id, Task.kind != "experiment", Task.status == "running"
        )
        step = session.scalars(running).first()
    experiments = tuple((experiment, task) for experiment, task in rows)
    return JobDetail(job, experiments, session.scalars(select(now())).one(), recommended, step)


def ended_experiments(
    session: Session, owner: str, job_id: str, limit: int, after: str
) -> list[tuple[Experiment, Task]]:
    """The job's experiments that have an outcome, in the order in which they were asked for, behind the task `after`.

    Raises: JobNotFoundError.
    """
    get(session, owner, job_id)
    rows = session.execute(
        select(Experiment, Task)
        .join(Task, Task.id == Experiment.task_id)
        .where(Experiment.job_id == job_id, Experiment.outcome.is_not(None), Task.id > after)
        .order_by(Task.id)
        .limit(limit)
    ).all()
    return [(experiment, task) for experiment, task in rows]


def page(session: Session, owner: str, limit: int, before: str | None) -> list[Job]:
    """The owner's jobs, newest first, at most `limit`, older than the job `before`."""
    query = select(Job).where(Job.owner == owner).order_by(Job.id.desc()).limit(limit)
    return list(session.scalars(query.where(Job.id < before) if before else query).all())


def request_cancel(session: Session, owner: str, job_id: str) -> Job:
    """Ask for the job's end: what is queued ends now, what runs is stopped by its worker.

    A job that has already ended stays as it is. Raises: JobNotFoundError.
    """
    job = get(session, owner, job_id)
    asked = _changed(
        session,
        update(Job)
        .where(Job.id == job_id, Job.status.in_(ACTIVE), Job.cancel_requested_at.is_(None))
        .values(cancel_requested_at=now()),
    )
    if asked:
        events.record(session, job_id, events.CANCEL_REQUESTED, {})
    end_cancelled(session, job_id)
    session.refresh(job)
    return job


def end_cancelled(session: Session, job_id: str) -> bool:
    """End a job whose cancellation was asked for, once none of its tasks runs any more."""
    asked = exists().where(Job.id == job_id, Job.cancel_requested_at.is_not(None))
    _drop_queued(session, Task.job_id == job_id, asked)
    return _end(session, job_id, "cancelled", Job.cancel_requested_at.is_not(None), ~_has_unfinished_tasks())


def drop_late(session: Session, job_id: str) -> bool:
    """When its time is over nothing more starts: queued tasks end, so that what was measured can be used."""
    late = exists().where(Job.id == job_id, is_late())
    error = time_budget_spent("The job's time budget was spent before this began.")
    return _drop_queued(session, Task.job_id == job_id, late, error=error)


def time_budget_spent(detail: str) -> dict[str, Any]:
    """The error of what the job's time budget cut off."""
    return {
        "code": TIME_BUDGET_SPENT,
        "detail": detail,
        "advice": "Ask for a larger time_budget_seconds, or fewer configurations.",
    }


def begin_stacking(session: Session, job_id: str, inherited: str | None = None) -> str | None:
    """Move the job on to stacking when no experiment is left to do; the new task's queue for exactly one caller.

    A search may have results from before it began: `inherited` is the queue of the workers that can fit these.

    Must run in a transaction after the one that finished the last experiment: in the same one, two workers that finish
    together each see the other's experiment unfinished.
    """
    moved = _changed(
        session,
        update(Job)
        .where(
            Job.id == job_id,
            Job.kind.in_(STACKED),
            Job.status == "running",
            Job.phase == EXPERIMENTING,
            Job.cancel_requested_at.is_(None),
            ~_has_unfinished_tasks(),
            or_(
                exists().where(Experiment.job_id == Job.id, Experiment.outcome == "ok"),
                literal(inherited is not None),
            ),
        )
        .values(phase=STACKING),
    )
    if not moved:
        return None
    # The winner is fitted anew by the same task, so one that needs a GPU takes the whole stack there.
    on_gpu = exists().where(Task.job_id == job_id, Task.queue == "gpu", Task.status == "succeeded")
    queue = "gpu" if inherited == "gpu" or session.scalar(select(on_gpu)) else "cpu"
    tasks.add(session, session.scalars(select(Job).where(Job.id == job_id)).one(), "stacking", queue)
    events.record(session, job_id, events.PHASE, {"phase": STACKING})
    return queue


def end_measurement(session: Session, job_id: str) -> bool:
    """End a measurement with its last experiment, whatever came of them: a failure is a result too."""
    ready = (Job.kind == MEASUREMENT, Job.cancel_requested_at.is_(None), ~_has_unfinished_tasks())
    return _end(session, job_id, "succeeded", *ready, result={})


def fail_without_result(session: Session, job_id: str, error: dict[str, Any] | None = None) -> bool:
    """End a verification or search of which no experiment left a result."""
    error = error or {
        "code": "no_configuration_succeeded",
        "detail": "None of the configurations could be measured.",
        "advice": "Look at the experiments' errors; a larger time budget or other configurations may help.",
    }
    hopeless = (
        Job.kind.in_(STACKED),
        Job.phase == EXPERIMENTING,
        Job.cancel_requested_at.is_(None),
        ~_has_unfinished_tasks(),
        ~exists().where(Experiment.job_id == Job.id, Experiment.outcome == "ok"),
    )
    return _end(session, job_id, "failed", *hopeless, error=error)


def end_retraining(session: Session, job_id: str) -> bool:
    """End a retraining whose only task was dropped: its time was over before a worker came to it again."""
    error = time_budget_spent("The job's time budget was spent before the meta-learners were fitted.")
    dropped = (Job.kind == RETRAINING, Job.cancel_requested_at.is_(None), ~_has_unfinished_tasks())
    return _end(session, job_id, "failed", *dropped, error=error)


def end_prediction(session: Session, job_id: str) -> bool:
    """End a prediction whose only task was dropped: its time was over before a worker came to it again."""
    error = time_budget_spent("The job's time budget was spent before anything was predicted.")
    dropped = (
        Job.kind.in_((PREDICTION, FEW_SHOT)),
        Job.cancel_requested_at.is_(None),
        ~_has_unfinished_tasks(),
    )
    return _end(session, job_id, "failed", *dropped, error=error)


def has_unfinished_tasks(session: Session, job_id: str) -> bool:
    """Whether something of it waits or runs."""
    unfinished = select(Job.id).where(Job.id == job_id, _has_unfinished_tasks())
    return session.scalar(unfinished) is not None


def lacks_only_a_result(session: Session, job_id: str) -> bool:
    """Whether the job's stacking was dropped: everything is over, and the job is not."""
    stacked_too_late = select(Job.id).where(
        Job.id == job_id, Job.status == "running", Job.phase == STACKING, ~_has_unfinished_tasks()
    )
    return session.scalar(stacked_too_late) is not None


def fail(session: Session, job_id: str, error: dict[str, Any]) -> bool:
    """End a job with the reason."""
    return _end(session, job_id, "failed", error=error)


def succeed(session: Session, job_id: str, result: dict[str, Any]) -> bool:
    """End a job with its result; false where it had ended before."""
    return _end(session, job_id, "succeeded", Job.status == "running", result=result)


def due(session: Session) -> list[str]:
    """Ids of the jobs whose next step waits for somebody: nothing left to do, a cancellation, or a deadline.

    A job that nobody has begun waits for a worker alone, unless it is to be cancelled: however many there are, their
    tasks are not looked for.
    """
    late = exists().where(Task.job_id == Job.id, Task.status == "queued", is_late())
    begun = and_(Job.status == "running", or_(~_has_unfinished_tasks(), late))
    cancelled = and_(Job.status.in_(ACTIVE), Job.cancel_requested_at.is_not(None))
    return list(session.scalars(select(Job.id).where(or_(cancelled, begun)).order_by(Job.id)).all())


def count_queued_tasks(session: Session) -> int:
    """Tasks that wait for a worker."""
    return session.scalar(select(func.count()).select_from(Task).where(Task.status == "queued")) or 0


def _drop_queued(session: Session, *where: Any, error: dict[str, Any] | None = None) -> bool:
    """End tasks that nobody has claimed. One that is being claimed right now is left to its worker, not waited for."""
    queued = select(Task.id).where(Task.status == "queued", *where).order_by(Task.id)
    ids = session.scalars(queued.with_for_update(skip_locked=True)).all()
    if not ids:
        return False
    dropped = {"status": "cancelled", "finished_at": now(), **({"error": error} if error else {})}
    _changed(session, update(Task).where(Task.id.in_(ids)).values(dropped))
    for task_id in ids:
        events.record_of_task(session, task_id, "ended", outcome="cancelled", error=error and error["code"])
    return True


def _end(session: Session, job_id: str, status: str, *where: Any, **left: Any) -> bool:
    """End the job, for exactly one caller; its last event goes with it, and what webhooks are to be told."""
    ended = _changed(
        session,
        update(Job)
        .where(Job.id == job_id, Job.status.in_(ACTIVE), *where)
        .values(status=status, phase=DONE, finished_at=now(), **left),
    )
    if ended:
        error = left.get("error") or {}
        events.record(session, job_id, events.ENDED, {"status": status, "error": error.get("code")})
        deliveries.record_end(session, job_id)
        predictions.discard_input(session, job_id)
    return ended


def _has_unfinished_tasks() -> Any:
    return exists().where(Task.job_id == Job.id, Task.status.in_(UNFINISHED))


def _changed(session: Session, statement: Any) -> bool:
    result = session.execute(statement.execution_options(synchronize_session=False))
    assert isinstance(result, CursorResult)
    return result.rowcount > 0
