"""Imported meta-datasets: recommend among any algorithms, from what somebody else measured."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Response
from pydantic import Field

from app.api.dependencies import Owner, ReadSession, ServiceDep, WriteSession
from app.api.idempotency import OnceDep, as_answer
from app.api.problems import problem_responses
from app.api.schemas import Page, PageParameters, RequestModel, ResponseModel, as_time
from app.failpoints import Step
from app.metalearning.importing.recommendation import recommend_algorithms
from app.store import metadatasets, recommendations
from app.store.database import commit
from app.store.tables import MetaDataset

router = APIRouter(tags=["meta-datasets"])


class MeasureResponse(ResponseModel):
    """What a performance is; run times are in seconds."""

    name: str
    larger_is_better: bool
    is_run_time: bool
    cutoff_seconds: float | None


class OfficialFoldsResponse(ResponseModel):
    """The same figures in the partition that came with the meta-dataset."""

    folds: int
    regret: dict[str, dict[str, float]]
    mean_performance: dict[str, float]
    gap_closed: dict[str, float]


class RegretReportResponse(ResponseModel):
    """What every way of ranking was worth on datasets whose group it had not seen."""

    default_strategy: str
    datasets: int = Field(description="With at least one performance.")
    groups: int
    folds: int = Field(description="Of whole groups, each held out once.")
    regret: dict[str, dict[str, float]] = Field(
        description="Strategy → k → mean normalised regret of the best of the first k; the virtual best has 0."
    )
    mean_performance: dict[str, float] = Field(
        description="Of the first choice, in the measure's unit (PAR10 for run times), beside the best constant "
        "and the virtual best."
    )
    gap_closed: dict[str, float] = Field(
        description="Share of the way from the best constant to the virtual best, in the measure's unit."
    )
    official: OfficialFoldsResponse | None


class MetaDatasetSummary(ResponseModel):
    """An imported meta-dataset in a list."""

    name: str
    version: str = Field(description="Of its content; recommendations quote it.")
    measure: MeasureResponse
    datasets: int
    algorithms: int
    metafeatures: int
    created_at: datetime = Field(description="When it was imported last.")


class ImportedMetaDatasetResponse(ResponseModel):
    """An imported meta-dataset: what is in it, and what recommending from it is worth."""

    name: str
    version: str
    measure: MeasureResponse
    datasets: int
    algorithms: list[str]
    metafeatures: list[str]
    runs: dict[str, int] = Field(description="Runs by how they ended.")
    report: RegretReportResponse
    created_at: datetime


class AlgorithmRequest(RequestModel):
    """A dataset, described by the meta-dataset's metafeatures."""

    metafeatures: dict[str, float | None] = Field(description="By name; any part of them will do.")
    k: int = Field(default=5, ge=1, le=50, description="How many candidates.")
    strategy: str | None = Field(
        default=None, max_length=100, description="A way of ranking; the proven best unless given."
    )


class ExpectedResponse(ResponseModel):
    """A performance with its 90 % interval, in the measure's unit."""

    performance: float
    low: float
    high: float


class RankedAlgorithmResponse(ResponseModel):
    """An algorithm and what to expect of it."""

    rank: int
    algorithm: str
    expected: ExpectedResponse
    expected_regret: float
    probability_beats_single_best: float | None
    expected_seconds: float | None = Field(description="Where run times are known beside the measure.")


class NearDatasetResponse(ResponseModel):
    """A known dataset that the answer rests on."""

    dataset: str
    weight: float
    winner: str | None = Field(description="None where every algorithm ran out of time.")
    winner_performance: float


class AlgorithmRecommendationResponse(ResponseModel):
    """A ranking of algorithms; the version makes it repeatable."""

    id: str
    meta_dataset: str
    measure: MeasureResponse
    strategy: str
    explanation: str
    outside_experience: bool
    candidates: list[RankedAlgorithmResponse]
    neighbours: list[NearDatasetResponse]
    version: str


@router.get("/meta-datasets", responses=problem_responses(422))
def list_meta_datasets(query: PageParameters, session: ReadSession, owner: Owner) -> Page[MetaDatasetSummary]:
    """Every imported meta-dataset, newest first."""
    found = metadatasets.page(session, owner, query.limit, query.after)
    return Page(
        items=[_as_summary(each) for each in found],
        next_cursor=query.next_cursor([each.id for each in found]),
    )


@router.get("/meta-datasets/{name}", responses=problem_responses(404))
def read_meta_dataset(name: str, session: ReadSession, owner: Owner) -> ImportedMetaDatasetResponse:
    """What is in it, and the regret of every way of ranking."""
    found = metadatasets.get(session, owner, name)
    summary, report = found.summary, found.summary["report"]
    return ImportedMetaDatasetResponse(
        **{key: summary[key] for key in ("measure", "datasets", "algorithms", "metafeatures", "runs")},
        name=found.name,
        version=found.version,
        report=RegretReportResponse(default_strategy=report["default"], **_quoted(report)),
        created_at=as_time(found.created_at),
    )


@router.post(
    "/meta-datasets/{name}/recommend",
    response_model=AlgorithmRecommendationResponse,
    responses=problem_responses(404, 409, 410, 422),
)
def recommend_from_meta_dataset(
    name: str,
    asked: AlgorithmRequest,
    service: ServiceDep,
    session: WriteSession,
    owner: Owner,
    once: OnceDep,
) -> Response:
    """Rank the meta-dataset's algorithms for a dataset that its metafeatures describe."""
    with once(asked) as attempt:
        if attempt.replay is not None:
            return attempt.replay
        found = metadatasets.get(session, owner, name, lock=True)
        knowledge = service.imported.get(session, found)
        ranking = recommend_algorithms(knowledge, asked.metafeatures, asked.k, asked.strategy)
        body = {"meta_dataset": name, "measure": asdict(knowledge.matrix.measure), **asdict(ranking)}
        recommendation_id = recommendations.record(
            session, owner=owner, meta_dataset_id=found.id, request=asked.model_dump(mode="json"), body=body
        )
        answer = as_answer(AlgorithmRecommendationResponse(id=recommendation_id, **body), 200)
        attempt.record(answer, about=found.id)
        commit(session, Step.RECOMMEND_ALGORITHMS)
    return answer


@router.delete("/meta-datasets/{name}", status_code=204, responses=problem_responses(404))
def delete_meta_dataset(name: str, session: WriteSession, owner: Owner) -> None:
    """Delete it, with the recommendations that were given from it."""
    metadatasets.delete(session, owner, name)
    commit(session, Step.DELETE_META_DATASET)


def _as_summary(found: MetaDataset) -> MetaDatasetSummary:
    summary = found.summary
    return MetaDatasetSummary(
        name=found.name,
        version=found.version,
        measure=summary["measure"],
        datasets=summary["datasets"],
        algorithms=len(summary["algorithms"]),
        metafeatures=len(summary["metafeatures"]),
        created_at=as_time(found.created_at),
    )


def _quoted(report: dict[str, Any]) -> dict[str, Any]:
    """The parts of a report that are told."""
    return {name: report[name] for name in RegretReportResponse.model_fields if name in report}
