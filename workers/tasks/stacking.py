"""Stacking: combine the finished experiments, choose the winner, refit it on all rows, end the job."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.config import Settings
from app.errors import MachineError
from app.isolation import Ending, Limits, Outcome
from app.store import blobs, budgets, jobs, searches
from app.store.ids import new_id
from app.store.tables import SEARCH, Dataset, Experiment, Job, Model, Task
from app.store.tasks import Claim
from workers.experiments.contract import ARTIFACT_FILE, ONNX_FILE, SCRIPT_FILE
from workers.experiments.leaderboard import COSTS, Entry, leaderboard
from workers.tasks import searching
from workers.tasks.experiment import dataset_file

# Of jobs that began before one could wish.
_WISHES = {"meta_model": None, "layers": 1, "calibrate": None}
_WHY_NO_MODEL = {
    Ending.TIMEOUT: "The time budget was spent before the stack and the winner were fitted.",
    Ending.MEMORY: "Fitting the stack or the winner on all rows needed more memory than the worker allows.",
}
_EXPORT_SECONDS = 15.0  # for ONNX: nobody waits longer for what they may not want
_WHY_NO_ONNX = {
    Ending.TIMEOUT: "Converting it took longer than there was time.",
    Ending.MEMORY: "Converting it needed more memory than the worker allows.",
}


@dataclass(frozen=True)
class FollowUp:
    """Writing the model as ONNX, in a child of its own: whatever a converter does there, the model is safe."""

    function: str
    payload: dict[str, Any]
    limits: Limits
    stacked: Outcome
    kind: str = "exporting"  # as its end is counted

    def join(self, exported: Outcome) -> Outcome:
        """What stacking left, its card with what became of ONNX."""
        assert self.stacked.value is not None, "only what was fitted is exported"
        because = _WHY_NO_ONNX.get(exported.ending, f"Converting it ended by {exported.ending}.")
        if exported.error is not None and exported.error["code"] == MachineError.code:
            because = exported.error["detail"]
        told = exported.value or {
            "available": False,
            "reason": because,
            "max_difference": None,
            "tolerance": None,
            "rows": None,
        }
        card = self.stacked.value["card"]
        card = {**card, "artifact": {**card["artifact"], "onnx": told}}
        return replace(self.stacked, value={**self.stacked.value, "card": card})


def load(
    session: Session, held: Claim, folder: Path, settings: Settings
) -> tuple[str, dict[str, Any], Limits]:
    """The child's function, what it needs, and its limits: what is left of the job's time."""
    job, dataset = session.execute(
        select(Job, Dataset).join(Dataset, Dataset.id == Job.dataset_id).where(Job.id == held.job_id)
    ).one()
    finished = _finished(session, job)
    payload = {
        "table": str(dataset_file(session, held.job_id, settings)),
        "folder": str(folder),
        "metric": job.request["metric"],
        "stack": {**_WISHES, **job.request.get("stack", {})},
        "seconds": budgets.seconds_for_stacking(session, held.job_id),
        "reading": dataset.reading,
        "dataset": {"id": dataset.id, "name": dataset.name, "metafeatures": dataset.metafeatures},
        "experiments": [
            {
                "configuration": experiment.configuration,
                "trial": experiment.trial,
                "result": experiment.result,
                "predictions": str(
                    blobs.fetch(session, experiment.predictions_hash or "", settings.cache_dir)
                ),
            }
            for experiment in finished
        ],
    }
    limits = Limits(payload["seconds"], settings.memory_bytes)
    return "workers.tasks.computing:stack", payload, limits


def follow_up(payload: dict[str, Any], limits: Limits, outcome: Outcome, seconds: float) -> FollowUp:
    """What is done with the model once it is there, in what is left of the time after so many seconds."""
    assert outcome.value is not None, "only what was fitted is exported"
    return FollowUp(
        "workers.experiments.exporting.child:export",
        {"table": payload["table"], "folder": payload["folder"], "card": outcome.value["card"]},
        Limits(min(_EXPORT_SECONDS, payload["seconds"] - seconds), limits.memory_bytes),
        outcome,
    )


def apply(session: Session, held: Claim, outcome: Outcome, folder: Path) -> None:
    """Keep the model and end the job with its leaderboard; where a limit was broken, with the leaderboard alone."""
    if outcome.ending in _WHY_NO_MODEL:
        end_without_model(session, held.job_id, outcome.ending)
        return
    if outcome.value is None:
        jobs.fail(session, held.job_id, outcome.error or _ended_oddly(outcome))
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
        onnx_hash=blobs.put(session, folder / ONNX_FILE) if _has_onnx(outcome.value["card"]) else None,
    )
    result = {"model_id": model.id, **outcome.value["result"], **_search(session, job)}
    if jobs.succeed(session, job.id, result):
        session.add(model)


def _has_onnx(card: dict[str, Any]) -> bool:
    return bool(card["artifact"]["onnx"]["available"])


def give_up(session: Session, task_id: str) -> None:
    """End the job: no worker survived its last step."""
    task = session.scalars(select(Task).where(Task.id == task_id)).one()
    jobs.fail(session, task.job_id, task.error or {})


def _finished(session: Session, job: Job) -> Sequence[Experiment]:
    """What was measured: of a search also what it knew before, and what it goes on from."""
    if job.kind == SEARCH:
        return [each for each, _ in searching.finished(session, searches.read(session, job))]
    query = select(Experiment).where(Experiment.job_id == job.id, Experiment.outcome == "ok")
    return session.scalars(query.order_by(Experiment.task_id)).all()


def _search(session: Session, job: Job) -> dict[str, Any]:
    return {"search": searching.summary(session, job)} if job.kind == SEARCH else {}


def end_without_model(session: Session, job_id: str, because: Ending) -> None:
    """End the job with what the experiments alone give: they are not lost because the last step took too long."""
    reason = _WHY_NO_MODEL[because]
    job = session.scalars(select(Job).where(Job.id == job_id)).one()
    request = job.request
    finished = _finished(session, job)
    results = {each.configuration: each.result or {} for each in finished}
    tried = {each.configuration: (each.trial or {}).get("hyperparameters") for each in finished}
    rows = leaderboard(
        request["metric"],
        (
            Entry(
                name,
                result["scores"],
                [fold.get(request["metric"]) for fold in result["fold_scores"]],
                {cost: result[cost] for cost in COSTS},
                tried[name],
            )
            for name, result in results.items()
        ),
    )
    result = {
        "model_id": None,
        "no_model_because": reason,
        "metric": request["metric"],
        "splits": results[rows[0]["name"]].get("splits"),
        "winner": rows[0]["name"],
        "leaderboard": rows,
        "choice": None,
        "runner_up": None,
        "stack_comparison": None,
        "stack": None,
        "no_stack_because": reason,
        **_search(session, job),
    }
    jobs.succeed(session, job_id, result)


def _ended_oddly(outcome: Outcome) -> dict[str, Any]:
    return {
        "code": f"stacking_{outcome.ending}",
        "detail": f"Stacking and refitting ended by {outcome.ending}.",
        "advice": "Ask for fewer configurations.",
    }
