"""Ask and tell: what to try next on a dataset, given what was measured on it already, wherever that was."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import Field

from app.api.constraints import ConstraintsRequest
from app.api.dependencies import Owner, ReadSession, ServiceDep
from app.api.described import DescribedRequest
from app.api.problems import problem_responses
from app.api.rankings import ExpectedPerformanceResponse
from app.api.schemas import RequestModel, ResponseModel
from app.metalearning.recommendation import Question
from app.metalearning.suggestion import Next, Observation, Suggestion, suggest
from app.store import datasets

router = APIRouter(tags=["recommendations"])


class ObservationRequest(RequestModel):
    """A configuration that was measured."""

    configuration: str = Field(max_length=100, description="As `GET /configurations` calls it.")
    score: float | None = Field(
        description="By the metric, cross-validated on all rows; null where it failed."
    )
    anchor: Literal[64, 256, 1024] | None = Field(
        default=None,
        description="Of a point of a learning curve: the score on other rows after training on so many.",
    )


class SuggestRequest(DescribedRequest):
    """A dataset, known by id or by its metafeatures, and what was measured on it."""

    metric: str | None = Field(
        default=None, max_length=100, description="ROC AUC, log-loss or RMSE by task type unless given."
    )
    target_sd: float | None = Field(
        default=None,
        gt=0,
        description="The target's standard deviation: needed with metafeatures to read scores in the target's unit.",
    )
    observations: Annotated[list[ObservationRequest], Field(max_length=500)] = Field(default_factory=list)
    constraints: ConstraintsRequest = Field(default_factory=ConstraintsRequest)
    seconds_left: float | None = Field(
        default=None, gt=0, description="CPU seconds that may still be spent: gains are weighed by them."
    )
    fits: int = Field(default=1, ge=1, le=100, description="How many fits measuring one configuration takes.")


class NextResponse(ResponseModel):
    """The configuration to try next."""

    configuration: str
    algorithm: str
    family: str
    hyperparameters: dict[str, Any]
    snippet: str
    expected: ExpectedPerformanceResponse
    expected_improvement: float | None = Field(
        description="Of the best score so far, in the metric's unit; null while there is none."
    )
    cpu_seconds: float = Field(description="Of all its fits.")


class SuggestionResponse(ResponseModel):
    """What to do next."""

    metric: str
    next: NextResponse | None = Field(description="Null where nothing is left to try.")
    probability_nearly_best: float | None = Field(
        description="That the best score so far is within 1 % of the best there is; null while there is none."
    )
    stop: bool = Field(description="Whether it is enough.")
    because: str
    excluded: dict[str, str]
    knowledge_version: str


@router.post("/suggest", responses=problem_responses(404, 410, 413, 415, 422))
def suggest_configuration(
    asked: SuggestRequest, service: ServiceDep, session: ReadSession, owner: Owner
) -> SuggestionResponse:
    """What to try next; nothing is stored, so that the same question has the same answer."""
    dataset = datasets.get(session, owner, asked.dataset_id) if asked.dataset_id is not None else None
    task_type, metafeatures = asked.described(dataset)
    question = Question(
        task_type=task_type,
        metafeatures=metafeatures,
        metric=asked.metric,
        target_sd=dataset.target_sd if dataset else asked.target_sd,
        constraints=asked.constraints.as_constraints(),
    )
    observations = [Observation(each.configuration, each.score, each.anchor) for each in asked.observations]
    found = suggest(service.knowledge[task_type], question, observations, asked.seconds_left, asked.fits)
    return _as_response(found)


def _as_response(found: Suggestion) -> SuggestionResponse:
    return SuggestionResponse(
        metric=found.metric.name,
        next=_next(found.next) if found.next else None,
        probability_nearly_best=found.probability_nearly_best,
        stop=found.stop,
        because=found.because,
        excluded=found.excluded,
        knowledge_version=found.version,
    )


def _next(following: Next) -> NextResponse:
    configuration = following.configuration
    return NextResponse(
        configuration=configuration.id,
        algorithm=configuration.algorithm.name,
        family=configuration.algorithm.family,
        hyperparameters=configuration.hyperparameters,
        snippet=configuration.snippet,
        expected=ExpectedPerformanceResponse.model_validate(following.expected),
        expected_improvement=following.expected_improvement,
        cpu_seconds=following.cpu_seconds,
    )
