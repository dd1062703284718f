"""Who can rank, and how good each has been on datasets that it had not seen."""

import inspect
from datetime import datetime

from fastapi import APIRouter, Response
from pydantic import Field

from app.api.dependencies import OperatorOnly, ReadSession, ServiceDep, WriteSession
from app.api.idempotency import OnceDep, as_answer
from app.api.problems import problem_responses
from app.api.schemas import Page, PageParameters, RequestModel, ResponseModel, as_time
from app.failpoints import Step
from app.metalearning.knowledge import version_of
from app.metalearning.metalearners import NEURAL_STRATEGIES, STRATEGIES, AdaptiveMetaLearner
from app.metalearning.table import TaskType
from app.store import promotions
from app.store.database import commit
from app.store.tables import MetaLearner

router = APIRouter(tags=["meta-learners"])


class ProofResponse(ResponseModel):
    """What the way of ranking is worth for one task type."""

    default: bool = Field(description="Whether it answers unless another strategy is asked for.")
    regret: dict[str, float] = Field(
        description="k → normalised regret of the best of the first k, groups of datasets held out: 0 is the best."
    )
    datasets: int
    groups: int
    knowledge_version: str = Field(description="What this was seen of, as recommendations quote it.")


class MetaLearnerResponse(ResponseModel):
    """A way of ranking."""

    name: str = Field(description="What `strategy` calls it.")
    description: str
    learns_from_results: bool = Field(
        description="Whether its regret is that of choosing one after another, each result told before the next choice."
    )
    proof: dict[TaskType, ProofResponse]


class VerdictResponse(ResponseModel):
    """The judgement on fitted meta-learners: mean regret of the best of the first 1, 3, 5 and 10, groups held out."""

    promoted: bool
    because: str
    candidate: float = Field(description="Of what was fitted.")
    current: float = Field(description="Of what answered at that time.")
    portfolio: float = Field(description="Of the best that knows no metafeatures.")


class VersionResponse(ResponseModel):
    """Meta-learners that a retraining fitted."""

    id: str
    version: str | None = Field(
        description="As recommendations quote it; null where it never answered, or was withdrawn."
    )
    task_type: TaskType
    job_id: str
    answers: bool = Field(description="Whether these answer now.")
    datasets: int = Field(description="Learned from beside the shipped ones.")
    evaluations: int
    verdict: VerdictResponse
    snapshot: str = Field(description="Hash of all that they were fitted on.")
    created_at: datetime
    withdrawn_at: datetime | None = Field(
        description="When reports that they rest on were removed, or trusted no more."
    )


class RollBackRequest(RequestModel):
    """What to roll back."""

    task_type: TaskType


class AnsweringResponse(ResponseModel):
    """What answers from now on."""

    task_type: TaskType
    meta_learner_id: str | None = Field(description="Null where what ships answers.")
    knowledge_version: str


@router.get("/meta-learners", responses=problem_responses(422))
def list_meta_learners(query: PageParameters, service: ServiceDep) -> Page[MetaLearnerResponse]:
    """Every way of ranking, by name."""
    after = query.after or ""
    one = next(iter(service.knowledge.values()))
    names = [name for name in sorted(one.learners) if name > after][: query.limit]
    return Page(
        items=[
            MetaLearnerResponse(
                name=name,
                description=(inspect.getdoc((STRATEGIES | NEURAL_STRATEGIES)[name]) or "").partition("\n")[0],
                learns_from_results=isinstance(one.learners[name], AdaptiveMetaLearner),
                proof={
                    task_type: ProofResponse(
                        default=knowledge.report["default"] == name,
                        regret=knowledge.report["regret"][name],
                        datasets=knowledge.report["datasets"],
                        groups=knowledge.report["groups"],
                        knowledge_version=knowledge.version,
                    )
                    for task_type, knowledge in service.knowledge.items()
                },
            )
            for name in names
        ],
        next_cursor=query.next_cursor(names),
    )


@router.get("/meta-learners/versions", responses=problem_responses(422))
def list_versions(query: PageParameters, session: ReadSession) -> Page[VersionResponse]:
    """What retrainings fitted, newest first, with the scores that decided whether it answers."""
    found = promotions.page(session, query.limit, query.after)
    answering = {
        current.id for each in TaskType if (current := promotions.current(session, each)) is not None
    }
    return Page(
        items=[_as_version(each, answers=each.id in answering) for each in found],
        next_cursor=query.next_cursor([each.id for each in found]),
    )


@router.post(
    "/meta-learners/rollback",
    dependencies=[OperatorOnly],
    response_model=AnsweringResponse,
    responses=problem_responses(403, 409, 422),
)
def roll_back(asked: RollBackRequest, service: ServiceDep, session: WriteSession, once: OnceDep) -> Response:
    """Have what answered before answer again, within two seconds in every process; for operators."""
    with once(asked) as attempt:
        if attempt.replay is not None:
            return attempt.replay
        learner = promotions.roll_back(session, asked.task_type)
        answering = AnsweringResponse(
            task_type=asked.task_type,
            meta_learner_id=learner.id if learner else None,
            knowledge_version=service.knowledge.promoted.now(session, asked.task_type).version,
        )
        answer = attempt.record(as_answer(answering, 200), about=None)
        commit(session, Step.ROLL_BACK)
    return answer


def _as_version(learner: MetaLearner, *, answers: bool) -> VersionResponse:
    content_hash = learner.content_hash
    return VersionResponse(
        id=learner.id,
        version=None if content_hash is None else version_of(content_hash),
        task_type=TaskType(learner.task_type),
        job_id=learner.job_id,
        answers=answers,
        datasets=learner.n_datasets,
        evaluations=learner.n_evaluations,
        verdict=VerdictResponse.model_validate(learner.verdict),
        snapshot=learner.snapshot,
        created_at=as_time(learner.created_at),
        withdrawn_at=as_time(learner.withdrawn_at),
    )
