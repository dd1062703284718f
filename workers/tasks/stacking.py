"""Stacking: combine the finished experiments, choose the winner, refit it on all rows, end the job."""

from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.config import Settings
from app.isolation import Ending, Limits, Outcome
from app.store import blobs, jobs
from app.store.database import new_id
from app.store.tables import Dataset, Experiment, Job, Model, Task
from app.store.tasks import Claim
from workers.experiments.contract import ARTIFACT_FILE, SCRIPT_FILE
from workers.tasks.experiment import dataset_file

_SHORTEST_SECONDS = 60.0


def load(
    session: Session, held: Claim, folder: Path, settings: Settings
) -> tuple[str, dict[str, Any], Limits]:
    """The child's function, what it needs, and its limits: once more the job's time budget."""
    job, dataset = session.execute(
        select(Job, Dataset).join(Dataset, Dataset.id == Job.dataset_id).where(Job.id == held.job_id)
    ).one()
    finished = session.scalars(
        select(Experiment)
        .where(Experiment.job_id == held.job_id, Experiment.outcome == "ok")
        .order_by(Experiment.task_id)
    ).all()
    payload = {
        "table": str(dataset_file(session, held.job_id, settings)),
        "folder": str(folder),
        "metric": job.request["metric"],
        "reading": dataset.reading,
        "dataset": {"id": dataset.id, "name": dataset.name, "metafeatures": dataset.metafeatures},
        "experiments": [
            {
                "configuration": experiment.configuration,
                "result": experiment.result,
                "predictions": str(
                    blobs.fetch(session, experiment.predictions_hash or "", settings.cache_dir)
                ),
            }
            for experiment in finished
        ],
    }
    seconds = max(_SHORTEST_SECONDS, float(job.request["time_budget_seconds"]))
    return "workers.tasks.computing:stack", payload, Limits(seconds, settings.memory_bytes)


def apply(session: Session, held: Claim, outcome: Outcome, folder: Path) -> None:
    """Keep the model and end the job with its leaderboard, or with the reason why there is none."""
    if outcome.ending is not Ending.OK or outcome.value is None:
        jobs.fail(session, held.job_id, outcome.error or _broken_limit(outcome))
        return
    job = session.scalars(select(Job).where(Job.id == held.job_id)).one()
    model = Model(
        id=new_id("model"),
        owner=job.owner,
        job_id=job.id,
        dataset_id=job.dataset_id,
        card=outcome.value["card"],
        script=(folder / SCRIPT_FILE).read_text(),
        artifact_hash=blobs.put(session, folder / ARTIFACT_FILE),
    )
    if jobs.succeed(session, job.id, {"model_id": model.id, **outcome.value["result"]}):
        session.add(model)


def give_up(session: Session, task_id: str) -> None:
    """End the job: no worker survived its last step."""
    task = session.scalars(select(Task).where(Task.id == task_id)).one()
    jobs.fail(session, task.job_id, task.error or {})


def _broken_limit(outcome: Outcome) -> dict[str, Any]:
    return {
        "code": f"stacking_{outcome.ending}",
        "detail": f"Stacking and refitting ended by {outcome.ending}.",
        "advice": "Ask for a larger time_budget_seconds, or fewer configurations.",
    }
