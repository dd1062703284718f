"""How far a job is: what is done, the best so far, and an estimate of the time left where something speaks for one."""

from typing import Any

from pydantic import Field

from app.api.schemas import ResponseModel
from app.metalearning.metrics import METRICS
from app.store import budgets, jobs
from app.store.experiments import EXPERIMENTING
from app.store.jobs import JobDetail
from app.store.tables import Experiment, Task


class BestResponse(ResponseModel):
    """The best score so far, out-of-fold, by the job's metric."""

    configuration: str
    metric: str
    score: float


class StepResponse(ResponseModel):
    """How far a step is that is no experiment."""

    phase: str
    done: int
    total: int


class ProgressResponse(ResponseModel):
    """How far the job is."""

    phase: str
    step: StepResponse | None = Field(
        description="Of stacking or a retraining, as last told; null while there is none."
    )
    experiments_done: int
    experiments_total: int
    best: BestResponse | None = Field(
        description="Null before the first score, and where there is no metric."
    )
    elapsed_seconds: float | None = Field(description="Since a worker first took the job up.")
    estimated_seconds_left: float | None = Field(
        description="Until the experiments are done, judged by those that are; stacking comes after. Null where unknown."
    )


def progress_of(detail: JobDetail) -> ProgressResponse:
    """The job's progress at the time when it was read."""
    job = detail.job
    done = sum(task.status not in jobs.UNFINISHED for _, task in detail.experiments)
    until = job.finished_at or detail.now
    return ProgressResponse(
        phase=job.phase,
        step=StepResponse.model_validate(detail.step) if detail.step else None,
        experiments_done=done,
        experiments_total=len(detail.experiments) + _not_asked_for(detail),
        best=_best(detail),
        elapsed_seconds=None if job.started_at is None else max(0.0, until - job.started_at),
        estimated_seconds_left=_seconds_left(detail),
    )


def _best(detail: JobDetail) -> BestResponse | None:
    metric = METRICS.get(detail.job.request.get("metric", ""))
    if metric is None:
        return None
    scored = [
        (experiment.result["scores"][metric.name], experiment.configuration)
        for experiment, _ in detail.experiments
        if experiment.result and metric.name in experiment.result.get("scores", {})
    ]
    if not scored:
        return None
    score, configuration = min(scored, key=lambda each: float(metric.loss(each[0])))
    return BestResponse(configuration=configuration, metric=metric.name, score=score)


def _seconds_left(detail: JobDetail) -> float | None:
    """The cost that is left, at the pace of the experiments that are done, shared by those that run at once."""
    job = detail.job
    measured = [(e, t) for e, t in detail.experiments if e.outcome == "ok" and t.started_at and t.finished_at]
    running = sum(task.status == "running" for _, task in detail.experiments)
    if job.status != "running" or job.phase != EXPERIMENTING or not measured or not running:
        return None
    cost = _costs(detail)
    pace = sum(_seconds(task, detail.now) for _, task in measured) / sum(
        cost[experiment.configuration] for experiment, _ in measured
    )
    seconds = sum(_left(experiment, task, cost, pace, detail.now) for experiment, task in detail.experiments)
    seconds += _not_asked_for(detail) * pace * sum(cost.values()) / len(cost)
    if seconds <= 0:
        return None  # what runs takes longer than what is done foretold
    end = budgets.experiments_end(job)
    return min(seconds / running, seconds if end is None else max(0.0, end - detail.now))


def _not_asked_for(detail: JobDetail) -> int:
    """How many trials a search has still to choose, where it was told how many."""
    trials = detail.job.request.get("trials")
    if trials is None or detail.job.status not in jobs.ACTIVE or detail.job.phase != EXPERIMENTING:
        return 0
    return max(0, int(trials) - len(detail.experiments))


def _left(experiment: Experiment, task: Task, cost: dict[str, float], pace: float, now: float) -> float:
    if task.status not in jobs.UNFINISHED:
        return 0.0
    spent = _seconds(task, now) if task.status == "running" else 0.0
    return max(0.0, pace * cost[experiment.configuration] - spent)


def _seconds(task: Task, now: float) -> float:
    return (task.finished_at or now) - (task.started_at or now)


def _costs(detail: JobDetail) -> dict[str, float]:
    """What a fit costs by the recommendation, where it tells for all; otherwise every experiment counts the same."""
    names = [experiment.configuration for experiment, _ in detail.experiments]
    candidates: list[dict[str, Any]] = (detail.recommended or {}).get("candidates", [])
    predicted: dict[str, float | None] = {
        each["configuration"]: each.get("fit_cpu_seconds") for each in candidates
    }
    costs = {name: predicted.get(name) or 0.0 for name in names}
    return costs if all(costs.values()) else dict.fromkeys(names, 1.0)
