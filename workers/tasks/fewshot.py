"""A few-shot job: learn from the labelled rows, label the queries, keep the answer for a while."""

from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.config import Settings
from app.errors import PredictionErasedError
from app.isolation import Limits, Outcome
from app.store import blobs, budgets, jobs, predictions
from app.store.tables import Job
from app.store.tasks import Claim
from workers.experiments.contract import ANSWER_FILE
from workers.tasks import prediction
from workers.tasks.prediction import give_up

__all__ = ["apply", "give_up", "load"]


def load(
    session: Session, held: Claim, folder: Path, settings: Settings
) -> tuple[str, dict[str, Any], Limits]:
    """The child's function, what it needs, and its limits: those of a prediction.

    Raises: PredictionErasedError.
    """
    input_hash = predictions.of_job(session, held.job_id).input_hash
    if input_hash is None:
        raise PredictionErasedError("The rows were erased.", "Send them again.")
    request = session.scalars(select(Job.request).where(Job.id == held.job_id)).one()
    payload = {
        "job_id": held.job_id,
        "rows": str(blobs.fetch(session, input_hash, settings.cache_dir)),
        "method": request["method"],
        "folder": str(folder),
    }
    limits = prediction.limits(settings, budgets.seconds_for_stacking(session, held.job_id))
    return "workers.tasks.computing:classify", payload, limits


def apply(session: Session, held: Claim, outcome: Outcome, folder: Path) -> None:
    """Keep the answer and end the job; where there is none, with the reason."""
    if outcome.value is None:
        jobs.fail(session, held.job_id, outcome.error or prediction.ended_oddly(outcome))
        return
    result = {"predictions": f"/jobs/{held.job_id}/predictions", **outcome.value}
    if jobs.succeed(session, held.job_id, result):
        predictions.keep(session, held.job_id, folder / ANSWER_FILE)
