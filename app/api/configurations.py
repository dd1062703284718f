"""What can be recommended."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from app.api.algorithms import HyperparameterResponse, RequirementsResponse, search_space
from app.api.problems import problem_responses
from app.api.schemas import Page, PageQuery, ResponseModel
from app.metalearning.portfolio import CONFIGURATIONS, Configuration
from app.metalearning.table import TaskType

router = APIRouter(tags=["configurations"])


class ConfigurationResponse(ResponseModel):
    """A configuration with the Python that makes its pipeline."""

    id: str
    task_type: TaskType
    algorithm: str
    family: str
    hyperparameters: dict[str, Any]
    search_space: list[HyperparameterResponse]
    interpretable: bool
    requirements: RequirementsResponse
    fingerprint: str
    snippet: str


class ConfigurationQuery(PageQuery):
    """Which configurations."""

    task_type: TaskType | None = None


@router.get("/configurations", responses=problem_responses(422))
def list_configurations(query: Annotated[ConfigurationQuery, Query()]) -> Page[ConfigurationResponse]:
    """Every configuration of the portfolio, by id."""
    after = query.after or ""
    found = [
        configuration
        for name, configuration in sorted(CONFIGURATIONS.items())
        if name > after and query.task_type in (None, configuration.task_type)
    ][: query.limit]
    return Page(
        items=[_as_response(each) for each in found],
        next_cursor=query.next_cursor([each.id for each in found]),
    )


def _as_response(configuration: Configuration) -> ConfigurationResponse:
    return ConfigurationResponse(
        id=configuration.id,
        task_type=configuration.task_type,
        algorithm=configuration.algorithm.name,
        family=configuration.algorithm.family,
        hyperparameters=configuration.hyperparameters,
        search_space=search_space(configuration.algorithm, configuration.task_type),
        interpretable=configuration.algorithm.interpretable,
        requirements=RequirementsResponse.model_validate(configuration.algorithm.requirements),
        fingerprint=configuration.fingerprint,
        snippet=configuration.snippet,
    )
