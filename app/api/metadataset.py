"""The evidence behind the recommendations: the shipped meta-dataset, for people to judge and services to use."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from app.api.dependencies import Service, ServiceDep
from app.api.problems import problem_responses
from app.api.schemas import Page, PageQuery, ResponseModel
from app.metalearning.contents import TaskContents, load_contents
from app.metalearning.metalearners.embedding import EmbeddedDatasets
from app.metalearning.table import TaskType

router = APIRouter(tags=["meta-dataset"])


class TaskContentsResponse(ResponseModel):
    """Counts of one task type, and what the meta-learners make of them."""

    task_type: TaskType
    datasets: int
    groups: int
    configurations: int
    algorithms: int
    cells: dict[str, int] = Field(description="Evaluations by status.")
    portfolio: int = Field(description="Configurations that there are today, measured or not.")
    measured_share: float = Field(
        description="Of all pairs of a dataset and a configuration of today, those that were tried."
    )
    cpu_hours: float = Field(description="Of all fits and predictions that ended.")
    recommendable: int = Field(description="Configurations tried on enough datasets to be recommended.")
    knowledge_version: str = Field(description="Of what answers, as recommendations quote it.")
    default_strategy: str
    regret: dict[str, dict[str, float]] = Field(
        description="Strategy → k → normalised regret of the best of the first k, groups of datasets held out."
    )


class SpreadResponse(ResponseModel):
    """The range of a number."""

    least: float
    median: float
    most: float


class MetaDatasetResponse(ResponseModel):
    """The meta-dataset in numbers."""

    task_types: list[TaskContentsResponse]
    protocols: dict[int, int] = Field(description="Evaluations by number of the experiment protocol.")
    threads: dict[int, int]
    versions: dict[str, dict[str, int]] = Field(description="Library → version → evaluations.")
    probe_seconds: SpreadResponse = Field(
        description="CPU seconds of a fixed piece of work on the measuring machine."
    )
    bytes: int


class MeasuredDatasetResponse(ResponseModel):
    """One dataset, how far it is measured, and what won there by its headline metric."""

    name: str
    group: str
    task_type: TaskType
    rows: int | None
    rows_used: int
    columns: int | None
    classes: int
    metafeatures: int
    cells: dict[str, int] = Field(description="Evaluations by status.")
    metric: str
    best_configuration: str | None
    best_score: float | None
    licence: str | None
    source: str | None


class AnchorScoresResponse(ResponseModel):
    """A point of a learning curve, on the first fold."""

    anchor: int
    fit_cpu_seconds: float
    scores: dict[str, float | None]


class EvaluationResponse(ResponseModel):
    """One configuration on the dataset: scores of out-of-fold predictions on all rows and on halves A and B."""

    configuration: str
    algorithm: str | None
    fingerprint: str
    protocol: int
    status: str
    error: str | None
    scores: dict[str, float]
    scores_a: dict[str, float]
    scores_b: dict[str, float]
    fold_scores: list[dict[str, float | None]]
    learning_curve: list[AnchorScoresResponse]
    fit_cpu_seconds: float | None
    fit_wall_seconds: float | None
    predict_cpu_seconds_per_1000_rows: float | None
    peak_memory_bytes: int | None
    threads: int
    probe_seconds: float
    versions: dict[str, str]


class DatasetEvaluationsResponse(MeasuredDatasetResponse):
    """A dataset with everything that was measured on it."""

    evaluations: list[EvaluationResponse]


class PlaceResponse(ResponseModel):
    """Where a dataset lies, and what won there."""

    name: str
    x: float
    y: float
    best_configuration: str
    family: str


class MapResponse(ResponseModel):
    """A map of the learned space, in which distances are what counts; the axes have no unit."""

    task_type: TaskType
    knowledge_version: str
    datasets: list[PlaceResponse]


class MeasuredDatasetQuery(PageQuery):
    """Which datasets."""

    task_type: TaskType | None = None


@router.get("/meta-dataset")
def read_meta_dataset(service: ServiceDep) -> MetaDatasetResponse:
    """What the recommendations rest on, and what they are worth on datasets that were held out."""
    contents = load_contents().contents
    return MetaDatasetResponse(
        task_types=[_task_contents(each, service) for each in contents.task_types],
        protocols=contents.protocols,
        threads=contents.threads,
        versions=contents.versions,
        probe_seconds=SpreadResponse.model_validate(contents.probe_seconds),
        bytes=contents.bytes,
    )


@router.get("/meta-dataset/map", responses=problem_responses(422))
def read_map(task_type: TaskType, service: ServiceDep) -> MapResponse:
    """The datasets of the meta-dataset in two dimensions: near ones are those on which the same configurations win."""
    knowledge = service.knowledge[task_type]
    embedded = knowledge.learners["embedding"]
    assert isinstance(embedded, EmbeddedDatasets), "the name is the class's"
    evidence = knowledge.evidence
    winners = evidence.regret.argmin(axis=1)
    # What was learned since is somebody's: it stays where it is, unseen.
    shipped = {each.name for each in load_contents().contents.datasets}
    return MapResponse(
        task_type=task_type,
        knowledge_version=knowledge.version,
        datasets=[
            PlaceResponse(
                name=name,
                x=x,
                y=y,
                best_configuration=knowledge.configurations[winner].id,
                family=knowledge.configurations[winner].algorithm.family,
            )
            for name, (x, y), winner in zip(evidence.datasets, embedded.map, winners, strict=True)
            if name in shipped
        ],
    )


@router.get("/meta-dataset/datasets", responses=problem_responses(422))
def list_measured_datasets(
    query: Annotated[MeasuredDatasetQuery, Query()],
) -> Page[MeasuredDatasetResponse]:
    """Every dataset of the meta-dataset, by name."""
    after = query.after or ""
    found = [
        dataset
        for dataset in load_contents().contents.datasets
        if dataset.name > after and query.task_type in (None, dataset.task_type)
    ][: query.limit]
    return Page(
        items=[MeasuredDatasetResponse.model_validate(each) for each in found],
        next_cursor=query.next_cursor([each.name for each in found]),
    )


@router.get("/meta-dataset/datasets/{name}", responses=problem_responses(404))
def read_measured_dataset(name: str) -> DatasetEvaluationsResponse:
    """One dataset of the meta-dataset with all its evaluations, failures included."""
    known = load_contents()
    dataset = MeasuredDatasetResponse.model_validate(known.dataset(name))
    evaluations = [EvaluationResponse.model_validate(each) for each in known.evaluations_of(name)]
    return DatasetEvaluationsResponse(**dataset.model_dump(), evaluations=evaluations)


def _task_contents(contents: TaskContents, service: Service) -> TaskContentsResponse:
    knowledge = service.knowledge[contents.task_type]
    report = knowledge.report
    return TaskContentsResponse(
        **vars(contents),
        recommendable=len(report["configurations"]),
        knowledge_version=knowledge.version,
        default_strategy=report["default"],
        regret=report["regret"],
    )
