"""Datasets: upload once, use often, delete."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter, Response
from pydantic import Field

from app.api.dependencies import Owner, ReadSession, ServiceDep, WriteSession
from app.api.problems import problem_responses
from app.api.schemas import ResponseModel, as_time
from app.api.uploads import DatasetForm, DatasetUpload, multipart_body
from app.metalearning.findings import Severity
from app.metalearning.table import ColumnType, TaskType
from app.store import datasets
from app.store.tables import Dataset

router = APIRouter(tags=["datasets"])


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


class DatasetResponse(ResponseModel):
    """A dataset as the service understood it."""

    id: str
    name: str
    task_type: TaskType
    target: str
    classes: list[str]
    n_rows: int
    columns: list[ColumnResponse]
    reading: dict[str, Any]
    findings: list[FindingResponse]
    metafeatures: dict[str, float | None]
    metafeature_version: int
    metafeature_seconds: dict[str, float]
    absent_metafeatures: list[str]
    created_at: datetime


@router.post(
    "/datasets",
    status_code=201,
    responses=problem_responses(413, 415, 422, 503),
    openapi_extra={"requestBody": {"required": True, "content": multipart_body(DatasetForm)}},
)
def create_dataset(
    upload: DatasetUpload, service: ServiceDep, session: WriteSession, owner: Owner, response: Response
) -> DatasetResponse:
    """Upload a dataset: it is typed, checked and described."""
    with service.describer.describe(upload.file, upload.form.declaration) as description:
        dataset = datasets.record(
            session, owner=owner, name=upload.name, content=description.file, facts=description.facts
        )
        session.commit()
    response.headers["Location"] = f"/datasets/{dataset.id}"
    return as_response(dataset)


@router.get("/datasets/{dataset_id}", responses=problem_responses(404))
def read_dataset(dataset_id: str, session: ReadSession, owner: Owner) -> DatasetResponse:
    """One dataset with its types, findings and metafeatures."""
    return as_response(datasets.get(session, owner, dataset_id))


@router.delete("/datasets/{dataset_id}", status_code=204, responses=problem_responses(404, 409))
def delete_dataset(dataset_id: str, session: WriteSession, owner: Owner) -> None:
    """Erase a dataset's rows, predictions and models; refused while a job needs it."""
    datasets.erase(session, owner, dataset_id)
    session.commit()


def as_response(dataset: Dataset) -> DatasetResponse:
    """The dataset as it is shown."""
    values = {name: getattr(dataset, name) for name in DatasetResponse.model_fields if name != "created_at"}
    return DatasetResponse(**values, created_at=as_time(dataset.created_at))
