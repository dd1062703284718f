"""Datasets: upload once, use often, delete."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter, Response
from pydantic import Field
from sqlalchemy.orm import Session

from app.api.dependencies import Owner, ReadSession, Service, ServiceDep, WriteSession
from app.api.idempotency import OnceDep, as_answer
from app.api.problems import problem_responses
from app.api.schemas import Page, PageParameters, ResponseModel, as_time
from app.api.uploads import DatasetForm, DatasetUpload, Upload, multipart_body
from app.config import Settings
from app.failpoints import Step
from app.metalearning.findings import Severity
from app.metalearning.metafeatures import FAMILIES, SCHEMA
from app.metalearning.table import ColumnType, TaskType
from app.store import datasets
from app.store.database import commit
from app.store.tables import Dataset

router = APIRouter(tags=["datasets"])

_DEFINITIONS = {definition.name: definition for definition in SCHEMA}


class ColumnResponse(ResponseModel):
    """A column beside the target: its type (none where nothing is learned from it), and what it is used as."""

    name: str
    type: ColumnType | None
    role: str = "feature"


class FindingResponse(ResponseModel):
    """Something that preflight noticed."""

    code: str
    severity: Severity
    column: str | None
    detail: str
    advice: str
    evidence: dict[str, Any] = Field(default_factory=dict)


class DatasetSummary(ResponseModel):
    """A dataset in a list."""

    id: str
    name: str
    task_type: TaskType
    target: str
    n_rows: int
    n_columns: int = Field(description="Columns beside the target.")
    contribute: bool = Field(description="Whether scores measured on it may join the evidence.")
    created_at: datetime
    expires_at: datetime | None = Field(
        description="When it is erased unless a job is begun on it before; null where it is kept for ever."
    )


class DatasetResponse(DatasetSummary):
    """A dataset as the service understood it."""

    classes: list[str]
    columns: list[ColumnResponse]
    reading: dict[str, Any]
    findings: list[FindingResponse]
    metafeatures: dict[str, float | None]
    metafeature_version: int
    metafeature_seconds: dict[str, float]
    absent_metafeatures: list[str]


class MetafeatureResponse(ResponseModel):
    """A number that describes the dataset; without a family where today's schema no longer knows it."""

    name: str
    family: str | None
    value: float | None = Field(description="Null where it is not defined for this dataset.")
    meaning: str | None
    seconds: float | None = Field(description="What a landmarker took; other families are timed as a whole.")


class MetafeaturesResponse(ResponseModel):
    """A dataset's metafeatures as they were extracted when it was uploaded."""

    dataset_id: str
    metafeature_version: int
    metafeatures: list[MetafeatureResponse]
    seconds: dict[str, float] = Field(description="What each family took.")
    absent: list[str] = Field(description="Left out because time was over.")


@router.post(
    "/datasets",
    status_code=201,
    response_model=DatasetResponse,
    responses=problem_responses(408, 409, 410, 413, 415, 422, 503),
    openapi_extra={"requestBody": {"required": True, "content": multipart_body(DatasetForm)}},
)
def create_dataset(
    upload: DatasetUpload, service: ServiceDep, session: WriteSession, owner: Owner, once: OnceDep
) -> Response:
    """Upload a dataset: it is typed, checked and described."""
    with once(upload) as attempt:
        if attempt.replay is not None:
            return attempt.replay
        dataset = record_upload(upload, service, session, owner)
        answer = as_answer(_as_response(dataset, service.settings), 201)
        answer.headers["Location"] = f"/datasets/{dataset.id}"
        attempt.record(answer, about=dataset.id)
        commit(session, Step.STORE_DATASET)
    return answer


@router.get("/datasets")
def list_datasets(
    service: ServiceDep, session: ReadSession, owner: Owner, query: PageParameters
) -> Page[DatasetSummary]:
    """Datasets that are still there, newest first."""
    found = datasets.page(session, owner, query.limit, query.after)
    return Page(
        items=[DatasetSummary(**_summary(each, service.settings)) for each in found],
        next_cursor=query.next_cursor([each.id for each in found]),
    )


@router.get("/datasets/{dataset_id}", responses=problem_responses(404, 410))
def read_dataset(dataset_id: str, service: ServiceDep, session: ReadSession, owner: Owner) -> DatasetResponse:
    """One dataset with its types, findings and metafeatures."""
    return _as_response(datasets.get(session, owner, dataset_id), service.settings)


@router.get("/datasets/{dataset_id}/metafeatures", responses=problem_responses(404, 410))
def read_metafeatures(dataset_id: str, session: ReadSession, owner: Owner) -> MetafeaturesResponse:
    """What the recommender sees of a dataset, with meanings and costs."""
    dataset = datasets.get(session, owner, dataset_id)
    return MetafeaturesResponse(
        dataset_id=dataset.id,
        metafeature_version=dataset.metafeature_version,
        metafeatures=[
            _metafeature(name, value, dataset.metafeature_seconds)
            for name, value in dataset.metafeatures.items()
        ],
        seconds={name: value for name, value in dataset.metafeature_seconds.items() if name in FAMILIES},
        absent=dataset.absent_metafeatures,
    )


@router.delete("/datasets/{dataset_id}", status_code=204, responses=problem_responses(404, 409))
def delete_dataset(dataset_id: str, session: WriteSession, owner: Owner) -> None:
    """Erase a dataset's rows, predictions, models and names; refused while a job needs it.

    Scores and metafeatures stay as evidence unless the dataset was uploaded with `contribute=false`.
    """
    datasets.delete(session, owner, dataset_id)
    commit(session, Step.DELETE_DATASET)


def record_upload(upload: Upload, service: Service, session: Session, owner: str) -> Dataset:
    """Read and describe an upload, and remember it; the caller commits.

    Raises: subclasses of UnusableDatasetError, OverloadedError.
    """
    with service.describer.describe(upload.file, upload.form.declaration) as description:
        return datasets.record(
            session,
            owner=owner,
            name=upload.name,
            content=description.file,
            facts=description.facts,
            contribute=upload.form.contribute,
        )


def _as_response(dataset: Dataset, settings: Settings) -> DatasetResponse:
    summary = _summary(dataset, settings)
    details = DatasetResponse.model_fields.keys() - summary.keys()
    return DatasetResponse(**summary, **{name: getattr(dataset, name) for name in details})


def _summary(dataset: Dataset, settings: Settings) -> dict[str, Any]:
    return {
        "id": dataset.id,
        "name": dataset.name,
        "task_type": dataset.task_type,
        "target": dataset.target,
        "n_rows": dataset.n_rows,
        "n_columns": len(dataset.columns),
        "contribute": dataset.contribute,
        "created_at": as_time(dataset.created_at),
        "expires_at": as_time(datasets.expires_at(dataset, settings.retention_days)),
    }


def _metafeature(name: str, value: float | None, seconds: dict[str, float]) -> MetafeatureResponse:
    known = _DEFINITIONS.get(name)
    return MetafeatureResponse(
        name=name,
        family=known.family if known else None,
        value=value,
        meaning=known.meaning if known else None,
        seconds=seconds.get(name.partition(".")[0]),
    )
