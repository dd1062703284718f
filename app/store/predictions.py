"""Predictions: a job that somebody waits for, what it predicts from, and what it predicted for as long as that is kept."""

from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.errors import PredictionNotFoundError
from app.store import beginning, blobs, events, tasks
from app.store.database import now
from app.store.tables import FEW_SHOT, PREDICTION, Job, Model, Prediction

PREDICTING, ADAPTING = "predicting", "adapting"  # the only task of such a job, and its phase
KEPT_SECONDS = 86_400.0  # as long as an Idempotency-Key: a repeat has the same predictions
_MOST_AT_ONCE = 100


def begin(
    session: Session,
    *,
    owner: str,
    model: Model,
    content: BinaryIO,
    form: str,
    queue: str,
    time_budget_seconds: float,
    origin: dict[str, Any],
) -> Job:
    """Write a job that predicts; the model's dataset counts as used from now.

    Args:
        session: that writes, and holds the model's lock.
        owner: who may watch it.
        model: what predicts.
        content: the rows.
        form: `rows` where they are JSON of ours, `file` where they are as somebody uploaded them.
        queue: of the workers that have the model's libraries.
        time_budget_seconds: for all of it.
        origin: of the request.
    """
    job = Job(
        kind=PREDICTION,
        owner=owner,
        dataset_id=model.dataset_id,
        request={"model_id": model.id, "input": form, "time_budget_seconds": time_budget_seconds},
        origin=origin,
        time_budget_seconds=time_budget_seconds,
    )
    return _write(session, job, content, PREDICTING, queue, model.id)


def begin_few_shot(
    session: Session,
    *,
    owner: str,
    content: BinaryIO,
    request: dict[str, Any],
    time_budget_seconds: float,
    origin: dict[str, Any],
) -> Job:
    """Write a job that learns from few rows and labels others; no dataset keeps them.

    Args:
        session: that writes.
        owner: who may watch it.
        content: labelled rows and queries.
        request: what else was asked for, and how many rows there are.
        time_budget_seconds: for all of it.
        origin: of the request.
    """
    job = Job(
        kind=FEW_SHOT,
        owner=owner,
        dataset_id=None,
        request={**request, "time_budget_seconds": time_budget_seconds},
        origin=origin,
        time_budget_seconds=time_budget_seconds,
    )
    return _write(session, job, content, ADAPTING, "cpu", None)


def of_job(session: Session, job_id: str) -> Prediction:
    """The prediction of this job.

    Raises: PredictionNotFoundError.
    """
    found = session.scalars(select(Prediction).where(Prediction.job_id == job_id)).one_or_none()
    if found is None:
        raise PredictionNotFoundError(
            f"The job {job_id!r} predicts nothing.",
            "POST /models/{id}/predict begins one that does, or POST /jobs with the kind few-shot.",
        )
    return found


def keep(session: Session, job_id: str, output: Path) -> None:
    """Keep what was predicted, for a day."""
    of_job(session, job_id).output_hash = blobs.put(session, output)
    session.flush()
    until = update(Prediction).where(Prediction.job_id == job_id).values(kept_until=now() + KEPT_SECONDS)
    session.execute(until.execution_options(synchronize_session=False))


def discard_input(session: Session, job_id: str) -> None:
    """Erase the rows once their job has ended, however it did: nobody needs them any more."""
    there = select(Prediction).where(Prediction.job_id == job_id, Prediction.input_hash.is_not(None))
    for each in session.scalars(there):
        _discard(session, each, "input_hash")


def forget_old(session: Session) -> None:
    """Erase predictions that were kept for their time."""
    over = select(Prediction).where(Prediction.kept_until < now()).order_by(Prediction.task_id)
    for each in session.scalars(over.limit(_MOST_AT_ONCE).with_for_update(skip_locked=True)):
        each.kept_until = None
        _discard(session, each, "output_hash")


def _write(
    session: Session, job: Job, content: BinaryIO, task_kind: str, queue: str, model_id: str | None
) -> Job:
    input_hash = blobs.put_open(session, content)
    beginning.write(session, job, task_kind)
    task = tasks.add(session, job, task_kind, queue)
    session.add(Prediction(task_id=task.id, job_id=job.id, model_id=model_id, input_hash=input_hash))
    session.flush()
    events.record(session, job.id, events.QUEUED, {"kind": job.kind})
    return job


def _discard(session: Session, prediction: Prediction, name: str) -> None:
    content_hash = getattr(prediction, name)
    setattr(prediction, name, None)
    session.flush()
    blobs.discard_unreferenced(session, [content_hash])
