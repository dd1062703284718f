"""A prediction: read the rows as training read its own, predict them with the model, keep the answer for a while."""

from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.config import Settings
from app.confinement import KernelLimits
from app.errors import ModelNotFoundError, PredictionTooLargeError
from app.isolation import Ending, Limits, Outcome
from app.store import blobs, budgets, jobs, predictions
from app.store.tables import Dataset, Job, Model, Task
from app.store.tasks import Claim
from workers.experiments.contract import ANSWER_FILE

_TOO_LARGE = {
    Ending.TIMEOUT: "Predicting these rows takes longer than the job's time budget.",
    Ending.MEMORY: "Predicting these rows takes more memory than the worker allows.",
    Ending.FILE_SIZE: "Predicting these rows writes more to disk than the worker allows.",
}


def load(
    session: Session, held: Claim, folder: Path, settings: Settings
) -> tuple[str, dict[str, Any], Limits]:
    """The child's function, what it needs, and its limits: what is left of the job's time, and those of a reader of uploads.

    Raises: ModelNotFoundError.
    """
    prediction = predictions.of_job(session, held.job_id)
    found = session.execute(
        select(Model, Dataset)
        .join(Dataset, Dataset.id == Model.dataset_id)
        .where(Model.id == prediction.model_id)
    ).one_or_none()
    if found is None or prediction.input_hash is None:
        raise ModelNotFoundError(
            f"The model {prediction.model_id!r} was erased with its dataset.",
            "Upload the dataset again and verify it: the job that this begins fits a new model.",
        )
    model, dataset = found
    payload = {
        "model_id": model.id,
        "job_id": held.job_id,
        "card": model.card,
        "artifact": str(blobs.fetch(session, model.artifact_hash, settings.cache_dir)),
        "rows": str(blobs.fetch(session, prediction.input_hash, settings.cache_dir)),
        "form": _form(session, held.job_id),
        "reading": dataset.reading,
        "folder": str(folder),
    }
    seconds = budgets.seconds_for_stacking(session, held.job_id)
    return "workers.tasks.computing:predict", payload, limits(settings, seconds)


def apply(session: Session, held: Claim, outcome: Outcome, folder: Path) -> None:
    """Keep the answer and end the job; where there is none, with the reason."""
    if outcome.value is None:
        jobs.fail(session, held.job_id, outcome.error or ended_oddly(outcome))
        return
    model_id = predictions.of_job(session, held.job_id).model_id
    result = {
        "model_id": model_id,
        "predictions": f"/jobs/{held.job_id}/predictions",
        **outcome.value,
    }
    if jobs.succeed(session, held.job_id, result):
        predictions.keep(session, held.job_id, folder / ANSWER_FILE)


def give_up(session: Session, task_id: str) -> None:
    """End the job: no worker survived it."""
    task = session.scalars(select(Task).where(Task.id == task_id)).one()
    jobs.fail(session, task.job_id, task.error or {})


def _form(session: Session, job_id: str) -> str:
    request = session.scalars(select(Job.request).where(Job.id == job_id)).one()
    return str(request["input"])


def limits(settings: Settings, seconds: float) -> Limits:
    """As for uploads, the kernel holds what a hostile file could do between two looks; a GPU's driver counts differently."""
    kernel = KernelLimits()
    if settings.worker_queue == "cpu":
        kernel = KernelLimits(
            data_bytes=settings.memory_bytes + settings.memory_bytes // 4, file_bytes=settings.table_bytes
        )
    return Limits(seconds, settings.memory_bytes, kernel=kernel)


def ended_oddly(outcome: Outcome) -> dict[str, Any]:
    """The error of rows that time or memory did not suffice for."""
    detail = _TOO_LARGE.get(outcome.ending, f"Predicting ended by {outcome.ending}.")
    return PredictionTooLargeError(
        detail, "Send fewer rows at a time, or allow a larger time_budget_seconds."
    ).as_dict()
