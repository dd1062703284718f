"""Who can rank, and how good each has been on datasets that it had not seen."""

import inspect

from fastapi import APIRouter
from pydantic import Field

from app.api.dependencies import ServiceDep
from app.api.problems import problem_responses
from app.api.schemas import Page, PageParameters, ResponseModel
from app.metalearning.metalearners import STRATEGIES, AdaptiveMetaLearner
from app.metalearning.table import TaskType

router = APIRouter(tags=["meta-learners"])


class ProofResponse(ResponseModel):
    """What the way of ranking is worth for one task type."""

    default: bool = Field(description="Whether it answers unless another strategy is asked for.")
    regret: dict[str, float] = Field(
        description="k → normalised regret of the best of the first k, groups of datasets held out: 0 is the best."
    )
    datasets: int
    groups: int


class MetaLearnerResponse(ResponseModel):
    """A way of ranking."""

    name: str = Field(description="What `strategy` calls it.")
    description: str
    learns_from_results: bool = Field(
        description="Whether its regret is that of choosing one after another, each result told before the next choice."
    )
    knowledge_version: str
    proof: dict[TaskType, ProofResponse]


@router.get("/meta-learners", responses=problem_responses(422))
def list_meta_learners(query: PageParameters, service: ServiceDep) -> Page[MetaLearnerResponse]:
    """Every way of ranking, by name."""
    after = query.after or ""
    one = next(iter(service.knowledge.values()))
    names = [name for name in sorted(STRATEGIES) if name > after][: query.limit]
    return Page(
        items=[
            MetaLearnerResponse(
                name=name,
                description=(inspect.getdoc(STRATEGIES[name]) or "").partition("\n")[0],
                learns_from_results=isinstance(one.learners[name], AdaptiveMetaLearner),
                knowledge_version=one.version,
                proof={
                    task_type: ProofResponse(
                        default=knowledge.report["default"] == name,
                        regret=knowledge.report["regret"][name],
                        datasets=knowledge.report["datasets"],
                        groups=knowledge.report["groups"],
                    )
                    for task_type, knowledge in service.knowledge.items()
                },
            )
            for name in names
        ],
        next_cursor=query.next_cursor(names),
    )
