"""The main call: which configurations for this dataset, what to expect of them, how sure, and why."""

from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field, model_validator
from sqlalchemy.orm import Session

from app.api import jobs as jobs_api
from app.api.datasets import FindingResponse, record_upload
from app.api.dependencies import Owner, Service, ServiceDep, WriteSession
from app.api.idempotency import OnceDep, as_answer
from app.api.problems import problem_responses
from app.api.schemas import RequestModel, ResponseModel
from app.api.uploads import DatasetForm, Upload, media_type, multipart_body, read_form, read_json
from app.errors import InvalidRequestError, MetafeatureVersionError
from app.failpoints import Step
from app.metalearning.experience import check_strategy
from app.metalearning.metafeatures import SCHEMA_VERSION
from app.metalearning.metrics import check_metric
from app.metalearning.recommendation import (
    Candidate,
    Question,
    Recommendation,
    recommend,
)
from app.metalearning.table import TaskType
from app.store import datasets, recommendations
from app.store.database import commit
from app.store.tables import Dataset, Job

router = APIRouter(tags=["recommendations"])


class Wishes(RequestModel):
    """What may be asked for, whichever way the dataset is given."""

    metric: str | None = Field(
        default=None, max_length=100, description="ROC AUC, log-loss or RMSE by task type unless given."
    )
    strategy: str | None = Field(
        default=None, max_length=100, description="A way of ranking; the proven best unless given."
    )
    k: int = Field(default=5, ge=1, le=50, description="How many candidates.")
    verify: bool = Field(default=False, description="Also measure them: 202 and a job to watch.")
    time_budget_seconds: float = Field(
        default=jobs_api.DEFAULT_BUDGET_SECONDS, ge=1, le=86_400, description="For the verification."
    )


class RecommendRequest(Wishes):
    """A dataset known by id, or only its metafeatures."""

    dataset_id: str | None = Field(default=None, max_length=100)
    metafeatures: dict[str, float | None] | None = Field(
        default=None, description="By name, as `metaselect describe` prints them; any part of them will do."
    )
    metafeature_version: int | None = Field(
        default=None,
        description="The schema version of the metafeatures; refused if it is not the service's.",
    )
    task_type: TaskType | None = Field(default=None, description="Needed with metafeatures.")

    @model_validator(mode="after")
    def _one_dataset(self) -> "RecommendRequest":
        if (self.dataset_id is None) == (self.metafeatures is None):
            raise ValueError("give either dataset_id or metafeatures")
        if self.metafeatures is not None and self.task_type is None:
            raise ValueError("task_type is needed with metafeatures")
        if self.metafeatures is not None and self.verify:
            raise ValueError("verify needs the dataset itself: upload it or give its dataset_id")
        return self


class RecommendForm(DatasetForm, Wishes):
    """The fields beside an uploaded file."""


class ExpectedPerformanceResponse(ResponseModel):
    """A score with its 90 % interval."""

    score: float
    low: float
    high: float
    unit: str


class CandidateResponse(ResponseModel):
    """A configuration and what to expect of it."""

    rank: int
    configuration: str
    algorithm: str
    family: str
    hyperparameters: dict[str, Any]
    expected: ExpectedPerformanceResponse
    expected_regret: float
    probability_beats_single_best: float | None
    fit_cpu_seconds: float
    predict_cpu_seconds_per_1000_rows: float
    memory_bytes: int
    snippet: str


class NeighbourResponse(ResponseModel):
    """A past dataset that the answer rests on."""

    dataset: str
    weight: float
    winner: str
    winner_score: float


class JobLink(ResponseModel):
    """The verification that was begun."""

    id: str
    href: str


class RecommendationResponse(ResponseModel):
    """A ranking; versions make it repeatable."""

    id: str
    dataset_id: str | None
    task_type: TaskType
    metric: str
    strategy: str
    explanation: str
    outside_experience: bool
    candidates: list[CandidateResponse]
    neighbours: list[NeighbourResponse]
    excluded: dict[str, str]
    findings: list[FindingResponse]
    absent_metafeatures: list[str]
    metafeature_version: int
    knowledge_version: str
    job: JobLink | None


async def _read_request(request: Request) -> AsyncIterator[RecommendRequest | Upload]:
    if media_type(request, "application/json", "multipart/form-data") == "application/json":
        yield await read_json(request, RecommendRequest)
        return
    async for upload in read_form(request, RecommendForm):
        yield upload


@router.post(
    "/recommend",
    response_model=RecommendationResponse,
    responses={
        202: {"model": RecommendationResponse, "description": "The ranking, and a verification under way"},
        **problem_responses(404, 408, 409, 410, 413, 415, 422, 503),
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/RecommendRequest"}},
                **multipart_body(RecommendForm),
            },
        }
    },
)
def create_recommendation(
    asked: Annotated[RecommendRequest | Upload, Depends(_read_request)],
    service: ServiceDep,
    session: WriteSession,
    owner: Owner,
    once: OnceDep,
) -> Response:
    """Rank configurations for a dataset: uploaded, known by id, or described by metafeatures only."""
    wishes: Wishes = asked.form if isinstance(asked, Upload) else asked
    with once(asked) as attempt:
        if attempt.replay is not None:
            return attempt.replay
        dataset = _dataset(service, session, owner, asked)
        ranking = recommend(*_question(service, asked, wishes, dataset))
        configurations = [candidate.configuration for candidate in ranking.candidates]
        body = _as_body(ranking, dataset, asked)
        record = recommendations.record(
            session,
            owner=owner,
            dataset_id=dataset.id if dataset else None,
            request=wishes.model_dump(mode="json"),
            body=body,
        )
        job = None
        if wishes.verify and dataset is not None:
            job = jobs_api.begin_verification(
                session,
                dataset,
                configurations,
                metric=wishes.metric,
                time_budget_seconds=wishes.time_budget_seconds,
                recommendation_id=record.id,
            )
        answer = _as_answer(record.id, job, body)
        attempt.record(answer, about=dataset.id if dataset else None)
        commit(session, Step.STORE_RECOMMENDATION)
    if job is not None:
        jobs_api.ring(service, configurations)
    return answer


def _dataset(
    service: Service, session: Session, owner: str, asked: RecommendRequest | Upload
) -> Dataset | None:
    """The dataset to recommend for, read from the upload where there is one; None where only metafeatures came."""
    if isinstance(asked, Upload):
        check_metric(asked.form.metric, asked.form.task_type)
        check_strategy(
            service.knowledge[asked.form.task_type or TaskType.CLASSIFICATION], asked.form.strategy
        )
        return record_upload(asked, service, session, owner)
    if asked.dataset_id is not None:
        return datasets.get(session, owner, asked.dataset_id, lock=True)
    return None


def _question(
    service: Service, asked: RecommendRequest | Upload, wishes: Wishes, dataset: Dataset | None
) -> tuple[Any, Question]:
    if dataset is not None:
        _check_version(dataset.metafeature_version, "Upload the dataset again.")
        task_type, metafeatures = TaskType(dataset.task_type), dataset.metafeatures
        if isinstance(asked, RecommendRequest) and asked.task_type not in (None, task_type):
            raise InvalidRequestError(
                f"The dataset's task type is {task_type}.",
                "Leave task_type out, or upload it again with another.",
            )
    else:
        assert isinstance(asked, RecommendRequest)
        assert asked.task_type is not None
        _check_version(asked.metafeature_version, "Describe the dataset with `metaselect describe` of today.")
        task_type, metafeatures = asked.task_type, asked.metafeatures or {}
    question = Question(
        task_type=task_type,
        metafeatures=metafeatures,
        metric=wishes.metric,
        strategy=wishes.strategy,
        k=wishes.k,
        target_sd=dataset.target_sd if dataset else None,
    )
    return service.knowledge[task_type], question


def _check_version(version: int | None, advice: str) -> None:
    if version not in (None, SCHEMA_VERSION):
        raise MetafeatureVersionError(
            f"The metafeatures are of schema version {version}, the service's is {SCHEMA_VERSION}.", advice
        )


def _as_body(
    ranking: Recommendation, dataset: Dataset | None, asked: RecommendRequest | Upload
) -> dict[str, Any]:
    task_type = dataset.task_type if dataset else asked.task_type  # type: ignore[union-attr]  # an upload has a dataset
    return {
        "dataset_id": dataset.id if dataset else None,
        "task_type": str(task_type),
        "metric": ranking.metric.name,
        "strategy": ranking.strategy,
        "explanation": ranking.explanation,
        "outside_experience": ranking.outside_experience,
        "candidates": [_candidate(candidate) for candidate in ranking.candidates],
        "neighbours": [asdict(neighbour) for neighbour in ranking.neighbours],
        "excluded": ranking.excluded,
        "findings": dataset.findings if dataset else [],
        "absent_metafeatures": dataset.absent_metafeatures if dataset else [],
        "metafeature_version": SCHEMA_VERSION,
        "knowledge_version": ranking.version,
    }


def _as_answer(record_id: str, job: Job | None, body: dict[str, Any]) -> Response:
    link = JobLink(id=job.id, href=f"/jobs/{job.id}") if job else None
    answer = as_answer(RecommendationResponse(id=record_id, job=link, **body), 202 if job else 200)
    if job is not None:
        jobs_api.announce(answer, job.id)
    return answer


def _candidate(candidate: Candidate) -> dict[str, Any]:
    configuration = candidate.configuration
    return {
        "rank": candidate.rank,
        "configuration": configuration.id,
        "algorithm": configuration.algorithm.name,
        "family": configuration.algorithm.family,
        "hyperparameters": configuration.hyperparameters,
        "expected": asdict(candidate.expected),
        "expected_regret": candidate.expected_regret,
        "probability_beats_single_best": candidate.probability_beats_single_best,
        "fit_cpu_seconds": candidate.fit_cpu_seconds,
        "predict_cpu_seconds_per_1000_rows": candidate.predict_cpu_seconds_per_1000_rows,
        "memory_bytes": candidate.memory_bytes,
        "snippet": configuration.snippet,
    }
