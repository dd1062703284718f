"""An experiment: measure one configuration, keep scores and out-of-fold predictions, add to the evidence."""

from pathlib import Path
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.config import Settings
from app.errors import DatasetNotFoundError
from app.isolation import Ending, Limits, Outcome
from app.metalearning import protocol
from app.metalearning.metrics import METRICS
from app.store import blobs, budgets, events, jobs
from app.store.experiments import STOPPED_EARLY
from app.store.tables import Dataset, Evaluation, Experiment, Job, Task
from app.store.tasks import Claim
from workers.experiments import contract
from workers.experiments.calibration import PROBE_FILE, last_probe
from workers.tasks import searching


def load(
    session: Session, held: Claim, folder: Path, settings: Settings
) -> tuple[str, dict[str, Any], Limits]:
    """The child's function, what it needs, and its limits: the protocol's, and what is left of the job's time.

    Raises: DatasetNotFoundError.
    """
    experiment = session.scalars(select(Experiment).where(Experiment.task_id == held.task_id)).one()
    payload = {
        "table": str(dataset_file(session, held.job_id, settings)),
        "configuration": experiment.configuration,
        "folder": str(folder),
        "probe_file": str(folder.parent / PROBE_FILE),
        "gpu": settings.worker_queue == "gpu",
        "rival": _best_so_far(session, held.job_id),
        "trial": experiment.trial,
        "rungs": searching.rungs(session, experiment),
    }
    seconds = budgets.seconds_for_experiments(session, held.job_id)
    return "workers.tasks.computing:measure", payload, contract.limits(settings.memory_bytes, seconds)


def apply(session: Session, held: Claim, outcome: Outcome, folder: Path) -> None:
    """Write the result; time-outs and refusals are results too.

    What the job's own budget cut off, or what was stopped because there was no hope, is no evaluation: it says nothing of
    the configuration under the protocol.
    """
    experiment = session.scalars(select(Experiment).where(Experiment.task_id == held.task_id)).one()
    result: dict[str, Any] = outcome.value or {
        "error": _budget_spent(outcome) or outcome.error or _broken_limit(outcome),
        "probe_seconds": last_probe(folder.parent / PROBE_FILE),
    }
    experiment.outcome = _outcome(outcome)
    experiment.result = result
    if experiment.outcome == "ok":
        experiment.predictions_hash = blobs.put(session, folder / contract.PREDICTIONS_FILE)
    if experiment.outcome != STOPPED_EARLY and not _budget_spent(outcome):
        _add_to_evidence(session, experiment)
    session.flush()
    events.record_of_task(  # last, since from here on other writers of the job wait
        session,
        held.task_id,
        "ended",
        outcome=experiment.outcome,
        scores=result.get("scores"),
        error=result["error"]["code"] if "error" in result else None,
    )


def _add_to_evidence(session: Session, experiment: Experiment) -> None:
    job = session.scalars(select(Job).where(Job.id == experiment.job_id)).one()
    session.add(
        Evaluation(
            experiment_id=experiment.task_id,
            owner=job.owner,
            dataset_id=job.dataset_id,
            configuration=experiment.configuration,
            fingerprint=experiment.fingerprint,
            protocol=protocol.PROTOCOL,
            status=experiment.outcome,
            result=experiment.result,
        )
    )


def give_up(session: Session, task_id: str) -> None:
    """Note that no worker survived the experiment."""
    session.execute(update(Experiment).where(Experiment.task_id == task_id).values(outcome="crash"))
    code = (session.scalars(select(Task.error).where(Task.id == task_id)).one() or {}).get("code")
    events.record_of_task(session, task_id, "ended", outcome="crash", error=code)


def dataset_file(session: Session, job_id: str, settings: Settings) -> Path:
    """The job's dataset as a file of this worker's cache.

    Raises: DatasetNotFoundError.
    """
    content_hash = session.scalar(
        select(Dataset.content_hash).join(Job, Job.dataset_id == Dataset.id).where(Job.id == job_id)
    )
    if content_hash is None:
        raise DatasetNotFoundError("The job's dataset was deleted.", "Upload it again and start a new job.")
    return blobs.fetch(session, content_hash, settings.cache_dir)


def _best_so_far(session: Session, job_id: str) -> dict[str, Any] | None:
    """What an experiment has to beat to be worth finishing; None where the job wants all of them, or none has ended.

    The best of all rows, as it was on the folds: on the first of them learning curves are tested.
    """
    request = session.scalars(select(Job.request).where(Job.id == job_id)).one()
    if not request.get("stop_early"):
        return None
    metric = request["metric"]
    ended = select(Experiment.configuration, Experiment.result).where(
        Experiment.job_id == job_id, Experiment.outcome == "ok"
    )
    measured = {
        name: result
        for name, result in session.execute(ended)
        if result["fold_scores"][0].get(metric) is not None
    }
    if not measured:
        return None
    best = min(measured, key=lambda name: float(METRICS[metric].loss(measured[name]["scores"][metric])))
    folds = [fold.get(metric) for fold in measured[best]["fold_scores"]]
    return {
        "configuration": best,
        "metric": metric,
        "fold_scores": [score for score in folds if score is not None],
    }


def _outcome(outcome: Outcome) -> str:
    if outcome.value is not None and "scores" not in outcome.value:
        return STOPPED_EARLY
    if outcome.ending is not Ending.ERROR:
        return str(outcome.ending)
    left_out = outcome.error is not None and outcome.error["code"] == contract.NotApplicableError.code
    return "not_applicable" if left_out else "failed"


def _budget_spent(outcome: Outcome) -> dict[str, Any] | None:
    """The error where the whole took longer than the job allows; each fit has limits of the protocol."""
    if (outcome.ending, outcome.limit) != (Ending.TIMEOUT, "wall_seconds"):
        return None
    return jobs.time_budget_spent("The job's time budget was spent before this experiment ended.")


def _broken_limit(outcome: Outcome) -> dict[str, Any]:
    what = {
        Ending.TIMEOUT: "A fit took longer than protocol 1 allows.",
        Ending.MEMORY: "The process needed more memory than the worker allows.",
    }
    return {"code": f"experiment_{outcome.ending}", "detail": what.get(outcome.ending, ""), "advice": ""}
