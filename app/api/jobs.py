"""Jobs: begin, list, cancel; watching one is in `watching`."""

from datetime import datetime
from typing import Any

import structlog
from fastapi import APIRouter, Response
from pydantic import Field
from sqlalchemy.orm import Session

from app import tracing
from app.api.asking import (
    FewShotRequest,
    JobRequest,
    MeasurementRequest,
    RetrainingRequest,
    SearchRequest,
    StackRequest,
    VerificationRequest,
)
from app.api.dependencies import Owner, ReadSession, Service, ServiceDep, WriteSession
from app.api.described import description_of
from app.api.fewshot import begin_few_shot
from app.api.idempotency import OnceDep, as_answer
from app.api.problems import problem_responses
from app.api.progress import ProgressResponse, progress_of
from app.api.schemas import Page, PageParameters, ResponseModel, as_time
from app.api.searching import begin_search
from app.errors import InvalidRequestError, NoGpuWorkerError
from app.failpoints import Step
from app.metalearning.metrics import requested_metric
from app.metalearning.portfolio import Configuration, find_configuration
from app.metalearning.recommendation import Question, recommend
from app.metalearning.table import TaskType
from app.store import beginning, datasets, jobs, learning, retrainings, workers
from app.store.database import commit
from app.store.tables import Dataset, Experiment, Job, Task

router = APIRouter(tags=["jobs"])

POLL_SECONDS = 1


class RivalResponse(ResponseModel):
    """The best configuration at that time, with its score on the first fold."""

    configuration: str
    score: float


class ExtrapolationResponse(ResponseModel):
    """Why a configuration was stopped early: what its learning curve lets expect on the first fold, with a 90 % interval."""

    metric: str
    score: float
    low: float
    high: float
    chance: float = Field(description="Of being better than what was to beat.")
    to_beat: RivalResponse


class RungResponse(ResponseModel):
    """Why a trial was given up: on the first fold, after learning from `anchor` rows, it was not among the best."""

    metric: str
    anchor: int
    score: float
    needed: float


class TrialResponse(ResponseModel):
    """What a search tried: an algorithm with hyperparameters, by what `source`, and in which of Hyperband's brackets."""

    number: int
    algorithm: str
    hyperparameters: dict[str, Any]
    source: str
    bracket: int | None = None


class ExperimentResponse(ResponseModel):
    """One configuration's measurement, finished or not."""

    configuration: str
    trial: TrialResponse | None = None
    status: str
    outcome: str | None
    attempts: int
    progress: dict[str, Any]
    scores: dict[str, float] | None
    fit_cpu_seconds: float | None
    extrapolation: ExtrapolationResponse | None = None
    rung: RungResponse | None = None
    error: dict[str, Any] | None


class LearningCurvePoint(ResponseModel):
    """Scores on the first fold after training on `anchor` rows."""

    anchor: int
    fit_cpu_seconds: float
    scores: dict[str, float]


class JobEvaluationResponse(ResponseModel):
    """One ended experiment in full; where `status` is not ok there are no scores, and `error` says why."""

    configuration: str
    fingerprint: str
    status: str
    error: str | None
    protocol: int | None = None
    n_rows: int | None = None
    scores: dict[str, float] = Field(default={}, description="Of the pooled out-of-fold predictions.")
    scores_a: dict[str, float] = Field(default={}, description="On half A of the rows.")
    scores_b: dict[str, float] = Field(default={}, description="On half B of the rows.")
    fold_scores: list[dict[str, float]] = Field(default=[])
    learning_curve: list[LearningCurvePoint] = Field(default=[])
    extrapolation: ExtrapolationResponse | None = Field(
        default=None, description="Where it was stopped early: there are no scores then."
    )
    rung: RungResponse | None = Field(default=None, description="Where a search gave it up halfway.")
    fit_cpu_seconds: float | None = None
    fit_wall_seconds: float | None = None
    predict_cpu_seconds_per_1000_rows: float | None = None
    peak_memory_bytes: int | None = None
    probe_seconds: float | None = Field(
        default=None, description="CPU seconds of a fixed piece of work on the measuring machine."
    )
    versions: dict[str, str] = Field(default={}, description="Of the libraries that a score depends on.")


class JobSummary(ResponseModel):
    """A job in a list."""

    id: str
    kind: str
    status: str
    dataset_id: str | None
    recommendation_id: str | None
    request: dict[str, Any]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class JobResponse(JobSummary):
    """A job with all that is known about it."""

    cancel_requested: bool
    progress: ProgressResponse
    experiments: list[ExperimentResponse]
    result: dict[str, Any] | None
    error: dict[str, Any] | None


@router.post(
    "/jobs",
    status_code=202,
    response_model=JobResponse,
    responses=problem_responses(404, 408, 409, 410, 413, 422),
)
def create_job(
    request: JobRequest, service: ServiceDep, session: WriteSession, owner: Owner, once: OnceDep
) -> Response:
    """Begin a job; watch it at the address in `Location`."""
    with once(request) as attempt:
        if attempt.replay is not None:
            return attempt.replay
        job, queues = _begin(service, session, owner, request)
        answer = as_answer(as_response(jobs.detail(session, owner, job.id)), 202)
        announce(answer, job.id)
        attempt.record(answer, about=job.dataset_id)
        commit(session, Step.ACCEPT_JOB)
    service.doorbell.ring(*queues)
    return answer


def _begin(
    service: Service, session: Session, owner: str, request: JobRequest
) -> tuple[Job, tuple[str, ...]]:
    """The job that was asked for, and the queues that its tasks are in."""
    seconds = request.time_budget_seconds
    if isinstance(request, RetrainingRequest):
        if request.networks and not workers.has_gpu(session):
            raise NoGpuWorkerError(
                "Networks are trained only by workers of the queue gpu, and none is running.",
                "Start a worker with WORKER_QUEUE=gpu and the extra `deep`; without a GPU it trains on the CPU.",
            )
        job = retrainings.begin(
            session,
            owner=owner,
            task_type=request.task_type,
            lessons=learning.gather(session, request.task_type),
            time_budget_seconds=seconds,
            networks=request.networks,
            origin=origin(),
        )
        return job, (retrainings.queue_for(networks=request.networks),)
    if isinstance(request, FewShotRequest):
        return begin_few_shot(session, owner, request, origin()), ("cpu",)
    if isinstance(request, SearchRequest):
        return begin_search(service, session, owner, request, origin()), ("cpu",)
    dataset = datasets.get(session, owner, request.dataset_id, lock=True)
    configurations = _configurations(service, dataset, request)
    if isinstance(request, MeasurementRequest):
        job = beginning.measurement(
            session,
            owner=owner,
            dataset_id=dataset.id,
            configurations=_distinct_and_fitting(session, dataset, configurations),
            time_budget_seconds=seconds,
            origin=origin(),
        )
    else:
        job = begin_verification(
            session,
            dataset,
            configurations,
            metric=request.metric,
            time_budget_seconds=seconds,
            recommendation_id=None,
            stack=request.stack,
            stop_early=request.stop_early,
        )
    return job, tuple(each.algorithm.queue for each in configurations)


@router.get("/jobs")
def list_jobs(session: ReadSession, owner: Owner, query: PageParameters) -> Page[JobSummary]:
    """Jobs, newest first."""
    found = jobs.page(session, owner, query.limit, query.after)
    return Page(
        items=[_summary(job) for job in found], next_cursor=query.next_cursor([job.id for job in found])
    )


@router.get("/jobs/{job_id}/evaluations", responses=problem_responses(404, 422))
def list_evaluations(
    job_id: str, session: ReadSession, owner: Owner, query: PageParameters
) -> Page[JobEvaluationResponse]:
    """What the job's ended experiments measured: all scores, learning curves and costs."""
    found = jobs.ended_experiments(session, owner, job_id, query.limit, query.after or "")
    return Page(
        items=[_evaluation(experiment, task) for experiment, task in found],
        next_cursor=query.next_cursor([task.id for _, task in found]),
    )


@router.post("/jobs/{job_id}/cancel", status_code=202, responses=problem_responses(404))
def cancel_job(job_id: str, session: WriteSession, owner: Owner) -> JobResponse:
    """Stop a job; its record and what it measured stay. A job that has ended stays as it is."""
    jobs.request_cancel(session, owner, job_id)
    commit(session, Step.ACCEPT_CANCEL)
    return as_response(jobs.detail(session, owner, job_id))


def begin_verification(
    session: Session,
    dataset: Dataset,
    configurations: list[Configuration],
    *,
    metric: str | None,
    time_budget_seconds: float,
    recommendation_id: str | None,
    stack: StackRequest,
    stop_early: bool,
    exploring: dict[str, Any] | None = None,
) -> Job:
    """Write the job of verifying these configurations on the dataset.

    Raises: UnknownMetricError, InvalidRequestError, NoGpuWorkerError.
    """
    chosen_configurations = _distinct_and_fitting(session, dataset, configurations)
    stack.check(dataset)
    chosen = requested_metric(metric, TaskType(dataset.task_type), len(dataset.classes))
    return beginning.verification(
        session,
        owner=dataset.owner,
        dataset_id=dataset.id,
        recommendation_id=recommendation_id,
        configurations=chosen_configurations,
        metric=chosen.name,
        time_budget_seconds=time_budget_seconds,
        stack=stack.model_dump(),
        stop_early=stop_early,
        origin=origin(),
        exploring=exploring,
    )


def ring(service: Service, configurations: list[Configuration]) -> None:
    """Tell the workers that can measure these configurations that there is work."""
    service.doorbell.ring(*(each.algorithm.queue for each in configurations))


def announce(response: Response, job_id: str) -> None:
    """Say where to watch the job, and how soon to look."""
    response.headers["Location"] = f"/jobs/{job_id}"
    response.headers["Retry-After"] = str(POLL_SECONDS)


def as_response(detail: jobs.JobDetail) -> JobResponse:
    """The job as it is shown."""
    job = detail.job
    experiments = [_experiment(experiment, task) for experiment, task in detail.experiments]
    return JobResponse(
        **_summary(job).model_dump(),
        cancel_requested=job.cancel_requested_at is not None,
        progress=progress_of(detail),
        experiments=experiments,
        result=job.result,
        error=job.error,
    )


def origin() -> dict[str, Any]:
    """The present request, for workers to log and trace its job under."""
    request = structlog.contextvars.get_contextvars().get("request")
    return {"request": request, "traceparent": tracing.traceparent()}


def _distinct_and_fitting(
    session: Session, dataset: Dataset, configurations: list[Configuration]
) -> list[Configuration]:
    _check_gpu(session, configurations)
    for configuration in configurations:
        if configuration.task_type != dataset.task_type:
            raise InvalidRequestError(
                f"{configuration.id} does not fit {dataset.task_type}.",
                f"GET /configurations?task_type={dataset.task_type} lists those that do.",
            )
    return list({each.id: each for each in configurations}.values())


def _check_gpu(session: Session, configurations: list[Configuration]) -> None:
    needing = [each.id for each in configurations if each.algorithm.requirements.gpu]
    if needing and not workers.has_gpu(session):
        raise NoGpuWorkerError(
            f"{', '.join(needing)} can be measured only where there is a GPU, and no worker with one is running.",
            "Start a worker with WORKER_QUEUE=gpu and the extra `deep`, or choose other configurations.",
        )


def _configurations(
    service: Service, dataset: Dataset, request: VerificationRequest | MeasurementRequest
) -> list[Configuration]:
    if request.configurations is not None:
        return [find_configuration(name) for name in request.configurations]
    assert isinstance(request, VerificationRequest), "a measurement names its configurations"
    task_type, metafeatures = description_of(dataset)
    question = Question(task_type, metafeatures, metric=request.metric, k=request.k)
    return [each.configuration for each in recommend(service.knowledge[task_type], question).candidates]


def _summary(job: Job) -> JobSummary:
    return JobSummary(
        id=job.id,
        kind=job.kind,
        status=job.status,
        dataset_id=job.dataset_id,
        recommendation_id=job.recommendation_id,
        request=job.request,
        created_at=as_time(job.created_at),
        started_at=as_time(job.started_at),
        finished_at=as_time(job.finished_at),
    )


def _experiment(experiment: Experiment, task: Task) -> ExperimentResponse:
    result = experiment.result or {}
    return ExperimentResponse(
        configuration=experiment.configuration,
        trial=TrialResponse.model_validate(experiment.trial) if experiment.trial else None,
        status=task.status,
        outcome=experiment.outcome,
        attempts=task.attempt,
        progress=task.progress,
        scores=result.get("scores"),
        fit_cpu_seconds=result.get("fit_cpu_seconds"),
        extrapolation=result.get("extrapolation"),
        rung=result.get("rung"),
        error=_error(experiment, task),
    )


def _error(experiment: Experiment, task: Task) -> dict[str, Any] | None:
    """Why there are no scores; a task keeps the error of a failed attempt, which says nothing once another succeeded."""
    if experiment.outcome == "ok":
        return None
    return (experiment.result or {}).get("error") or task.error


def _evaluation(experiment: Experiment, task: Task) -> JobEvaluationResponse:
    result = experiment.result or {}
    error = _error(experiment, task)
    points = [dict(point) for point in result.get("learning_curve", ())]
    curve = [
        LearningCurvePoint(
            anchor=point.pop("anchor"), fit_cpu_seconds=point.pop("fit_cpu_seconds"), scores=point
        )
        for point in points
    ]
    given = {name: result[name] for name in JobEvaluationResponse.model_fields if name in result}
    return JobEvaluationResponse.model_validate(
        {
            **given,
            "configuration": experiment.configuration,
            "fingerprint": experiment.fingerprint,
            "status": experiment.outcome,
            "error": error["detail"] if error else None,
            "learning_curve": curve,
        }
    )
