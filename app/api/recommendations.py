"""The main call: which configurations for this dataset, what to expect of them, how sure, and why."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field, Json, model_validator
from sqlalchemy.orm import Session

from app.api import jobs as jobs_api
from app.api.asking import DEFAULT_BUDGET_SECONDS, STOP_EARLY, StackRequest
from app.api.constraints import ConstraintsRequest
from app.api.datasets import record_upload
from app.api.dependencies import Owner, ReadSession, Service, ServiceDep, WriteSession
from app.api.described import DescribedRequest, Metafeatures, description_of
from app.api.idempotency import OnceDep, as_answer
from app.api.problems import problem_responses
from app.api.rankings import (
    REPEATABLE,
    JobLink,
    RecommendationResponse,
    RecomputedResponse,
    RememberedResponse,
    as_body,
    largest_difference,
)
from app.api.schemas import RequestModel, as_time
from app.api.uploads import DatasetForm, Upload, media_type, multipart_body, read_form, read_json
from app.errors import NotRepeatableError
from app.failpoints import Step
from app.metalearning.experience import check_strategy
from app.metalearning.metafeatures import SCHEMA_VERSION
from app.metalearning.metrics import check_metric
from app.metalearning.recommendation import Question, recommend
from app.metalearning.table import TaskType
from app.store import datasets, recommendations
from app.store.database import commit
from app.store.tables import Dataset, Job, Recommendation

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
    explain: bool = Field(
        default=True,
        description="With neighbours, probabilities of being best, and snippets; quicker without.",
    )
    verify: bool = Field(default=False, description="Also measure them: 202 and a job to watch.")
    constraints: ConstraintsRequest = Field(
        default_factory=ConstraintsRequest, description="What the candidates must keep to."
    )
    time_budget_seconds: float = Field(
        default=DEFAULT_BUDGET_SECONDS, ge=1, le=86_400, description="For the verification."
    )
    most_experiments: int | None = Field(
        default=None,
        ge=1,
        le=100,
        description="The verification begins with the candidates, and chooses by its results what else to measure, "
        "until so many were, the time is over, or nothing more is to be gained. Only the candidates unless given.",
    )
    stop_early: bool = Field(default=True, description=STOP_EARLY)
    stack: StackRequest = Field(
        default_factory=StackRequest, description="How the verification stacks what it measured."
    )

    @model_validator(mode="after")
    def _verification_is_wished(self) -> "Wishes":
        if self.stack != StackRequest() and not self.verify:
            raise ValueError("stack needs verify")
        if not self.stop_early and not self.verify:
            raise ValueError("stop_early needs verify")
        if self.most_experiments is not None and not self.verify:
            raise ValueError("most_experiments needs verify")
        if self.most_experiments is not None and self.most_experiments < self.k:
            raise ValueError("most_experiments is at least k: the candidates are measured first")
        return self


class RecommendRequest(DescribedRequest, Wishes):
    """A dataset known by id, or only its metafeatures, and what is wished for it."""

    @model_validator(mode="after")
    def _verifiable(self) -> "RecommendRequest":
        if self.metafeatures is not None and self.verify:
            raise ValueError("verify needs the dataset itself: upload it or give its dataset_id")
        return self


class RecommendForm(DatasetForm, Wishes):
    """The fields beside an uploaded file."""

    constraints: Json[ConstraintsRequest] = Field(
        default_factory=ConstraintsRequest,
        description='What the candidates must keep to: {"interpretable_only": true}.',
    )
    stack: Json[StackRequest] = Field(
        default_factory=StackRequest, description='How to stack: {"meta_model": "linear"}.'
    )


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
        if isinstance(asked, RecommendRequest):
            task_type, metafeatures = asked.described(dataset)
        else:
            assert dataset is not None, "an upload became one"
            task_type, metafeatures = description_of(dataset)
        question = _as_question(task_type, metafeatures, wishes, dataset)
        ranking = recommend(service.knowledge[question.task_type], question)
        configurations = [candidate.configuration for candidate in ranking.candidates]
        body = as_body(ranking, question, dataset)
        request = wishes.model_dump(mode="json")
        if dataset is None and attempt.held is None:  # the recommendation is all that is written
            recommendation_id = service.recorder.record(owner=owner, request=request, body=body)
            return _as_answer(recommendation_id, None, body)
        recommendation_id = recommendations.record(
            session,
            owner=owner,
            dataset_id=dataset.id if dataset else None,
            request=request,
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
                recommendation_id=recommendation_id,
                stack=wishes.stack,
                stop_early=wishes.stop_early,
                exploring=_exploring(wishes),
            )
        answer = _as_answer(recommendation_id, job, body)
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
        asked.form.constraints.as_constraints()
        check_strategy(
            service.knowledge[asked.form.task_type or TaskType.CLASSIFICATION], asked.form.strategy
        )
        return record_upload(asked, service, session, owner)
    if asked.dataset_id is not None:
        return datasets.get(session, owner, asked.dataset_id, lock=True)
    return None


def _exploring(wishes: Wishes) -> dict[str, Any] | None:
    """What a verification that follows its results has to know."""
    if wishes.most_experiments is None:
        return None
    return {
        "most_experiments": wishes.most_experiments,
        "constraints": wishes.constraints.model_dump(mode="json"),
    }


def _as_question(
    task_type: TaskType, metafeatures: Metafeatures, wishes: Wishes, dataset: Dataset | None
) -> Question:
    return Question(
        task_type=task_type,
        metafeatures=metafeatures,
        metric=wishes.metric,
        strategy=wishes.strategy,
        k=wishes.k,
        target_sd=dataset.target_sd if dataset else None,
        constraints=wishes.constraints.as_constraints(),
        explain=wishes.explain,
    )


def _as_answer(recommendation_id: str, job: Job | None, body: dict[str, Any]) -> Response:
    link = JobLink(id=job.id, href=f"/jobs/{job.id}") if job else None
    answer = as_answer(RecommendationResponse(id=recommendation_id, job=link, **body), 202 if job else 200)
    if job is not None:
        jobs_api.announce(answer, job.id)
    return answer


@router.get("/recommendations/{recommendation_id}", responses=problem_responses(404, 409, 410))
def read_recommendation(
    recommendation_id: str,
    service: ServiceDep,
    session: ReadSession,
    owner: Owner,
    recompute: Annotated[
        bool, Query(description="Also answer the same question again, and compare every number.")
    ] = False,
) -> RememberedResponse:
    """A recommendation as it was given; it can be repeated for as long as what it rests on is there."""
    record = recommendations.get(session, owner, recommendation_id)
    job = recommendations.job_of(session, record)
    link = JobLink(id=job, href=f"/jobs/{job}") if job else None
    again = _recomputed(service, session, record) if recompute else None
    return RememberedResponse(
        id=record.id, job=link, created_at=as_time(record.created_at), recomputed=again, **record.body
    )


def _recomputed(service: Service, session: Session, record: Recommendation) -> RecomputedResponse:
    """The stored question answered anew.

    Raises: NotRepeatableError, DatasetNotFoundError, DatasetExpiredError.
    """
    body = record.body
    task_type = TaskType(body["task_type"])
    knowledge = service.knowledge.promoted.of_version(session, task_type, body["knowledge_version"])
    if knowledge is None or body["metafeature_version"] != SCHEMA_VERSION:
        present = service.knowledge[task_type].version
        raise NotRepeatableError(
            f"The recommendation rests on knowledge {body['knowledge_version']} and metafeatures of version "
            f"{body['metafeature_version']}; the service has {present} and {SCHEMA_VERSION}.",
            "Ask for a new recommendation, or run the version of the service that gave this one.",
        )
    wishes = Wishes.model_validate(
        {name: value for name, value in record.request.items() if name in Wishes.model_fields}
    )
    dataset = datasets.get(session, record.owner, record.dataset_id) if record.dataset_id else None
    metafeatures = dataset.metafeatures if dataset else record.request["metafeatures"]
    question = _as_question(task_type, metafeatures, wishes, dataset)
    difference = largest_difference(as_body(recommend(knowledge, question), question, dataset), body)
    return RecomputedResponse(
        same=difference is not None and difference <= REPEATABLE, largest_difference=difference
    )
