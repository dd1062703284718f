"""The algorithms that can be recommended, with their search spaces and what they need."""

from typing import Any, Literal

from fastapi import APIRouter

from app.api.problems import problem_responses
from app.api.schemas import Page, PageParameters, ResponseModel
from app.metalearning.portfolio import ALGORITHMS, Algorithm, configurations_of
from app.metalearning.portfolio.spaces import Choice, Hyperparameter, Real
from app.metalearning.table import TaskType

router = APIRouter(tags=["configurations"])


class RequirementsResponse(ResponseModel):
    """What the algorithm needs; a dataset or machine that does not meet it excludes it, with the reason."""

    most_rows: int | None
    most_columns: int | None
    most_classes: int | None
    fewest_rows_per_class: int
    more_rows_per_class_than_columns: bool
    gpu: bool
    licence: str
    weights: str | None


class ConditionResponse(ResponseModel):
    """A hyperparameter counts only while another one has one of these values."""

    name: str
    values: list[Any]


class HyperparameterResponse(ResponseModel):
    """A dimension of a search space: a range (`low`, `high`, `log`) or a choice among `values`."""

    name: str
    type: Literal["real", "integer", "choice"]
    low: int | float | None
    high: int | float | None
    log: bool
    values: list[Any] | None
    default: Any
    when: ConditionResponse | None


class AlgorithmResponse(ResponseModel):
    """A learning method: its estimator, search space and configurations for each task type."""

    name: str
    family: str
    interpretable: bool
    requirements: RequirementsResponse
    estimators: dict[TaskType, str]
    settings: dict[str, Any]
    search_spaces: dict[TaskType, list[HyperparameterResponse]]
    configurations: dict[TaskType, list[str]]


@router.get("/algorithms", responses=problem_responses(422))
def list_algorithms(query: PageParameters) -> Page[AlgorithmResponse]:
    """Every algorithm of the portfolio, by name."""
    after = query.after or ""
    found = [algorithm for name, algorithm in sorted(ALGORITHMS.items()) if name > after][: query.limit]
    return Page(
        items=[_as_response(each) for each in found],
        next_cursor=query.next_cursor([each.name for each in found]),
    )


def search_space(algorithm: Algorithm, task_type: TaskType) -> list[HyperparameterResponse]:
    """The algorithm's search space as it is shown."""
    return [_dimension(each) for each in algorithm.space(task_type).hyperparameters]


def _as_response(algorithm: Algorithm) -> AlgorithmResponse:
    task_types = algorithm.task_types
    return AlgorithmResponse(
        name=algorithm.name,
        family=algorithm.family,
        interpretable=algorithm.interpretable,
        requirements=RequirementsResponse.model_validate(algorithm.requirements),
        estimators={each: algorithm.estimator(each) for each in task_types},
        settings=algorithm.settings,
        search_spaces={each: search_space(algorithm, each) for each in task_types},
        configurations={
            task_type: [each.id for each in configurations_of(task_type) if each.algorithm is algorithm]
            for task_type in task_types
        },
    )


def _dimension(hyperparameter: Hyperparameter) -> HyperparameterResponse:
    values = low = high = None
    log = False
    if isinstance(hyperparameter, Choice):
        kind, values = "choice", list(hyperparameter.values)
    else:
        kind = "real" if isinstance(hyperparameter, Real) else "integer"
        low, high, log = hyperparameter.low, hyperparameter.high, hyperparameter.log
    condition = hyperparameter.when
    return HyperparameterResponse(
        name=hyperparameter.name,
        type=kind,
        low=low,
        high=high,
        log=log,
        values=values,
        default=hyperparameter.default,
        when=ConditionResponse(name=condition.name, values=list(condition.values)) if condition else None,
    )
