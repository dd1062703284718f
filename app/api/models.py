"""Models: the card of a fitted winner, and the files to take home."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal

from fastapi import APIRouter
from fastapi.responses import Response, StreamingResponse

from app.api.cards import as_markdown
from app.api.dependencies import Owner, ReadSession, ServiceDep
from app.api.problems import problem_responses
from app.api.schemas import ResponseModel, as_time
from app.errors import OnnxUnavailableError
from app.store import blobs, models
from app.store.database import Database
from app.store.tables import Model

router = APIRouter(tags=["models"])


class ModelResponse(ResponseModel):
    """A model and its card."""

    id: str
    job_id: str
    dataset_id: str
    card: dict[str, Any]
    artifact: dict[str, str]
    created_at: datetime


@router.get("/models/{model_id}", responses=problem_responses(404))
def read_model(model_id: str, session: ReadSession, owner: Owner) -> ModelResponse:
    """The card: data, configuration, scores, limits, versions."""
    model = models.get(session, owner, model_id)
    formats = ["skops", "python", *(["onnx"] if model.onnx_hash else [])]
    return ModelResponse(
        id=model.id,
        job_id=model.job_id,
        dataset_id=model.dataset_id,
        card=model.card,
        artifact={name: f"/models/{model.id}/artifact?format={name}" for name in formats},
        created_at=as_time(model.created_at),
    )


@router.get(
    "/models/{model_id}/card",
    response_class=Response,
    responses={
        200: {"content": {"text/markdown": {}}, "description": "The card for people"},
        **problem_responses(404),
    },
)
def read_card(model_id: str, session: ReadSession, owner: Owner) -> Response:
    """The same card as Markdown."""
    model = models.get(session, owner, model_id)
    return Response(as_markdown(model.id, model.card), media_type="text/markdown")


@router.get(
    "/models/{model_id}/artifact",
    response_class=Response,
    responses={
        200: {"content": {"application/octet-stream": {}, "text/x-python": {}}, "description": "The file"},
        **problem_responses(404, 409),
    },
)
def read_artifact(
    model_id: str,
    session: ReadSession,
    service: ServiceDep,
    owner: Owner,
    format: Literal["skops", "python", "onnx"] = "skops",  # noqa: A002  the query parameter's natural name
) -> Response:
    """The fitted pipeline as a skops file, as ONNX where it converts, or the script that makes it again."""
    model = models.get(session, owner, model_id)
    name = f"{model.id}.{'py' if format == 'python' else format}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    if format == "python":
        return Response(model.script, media_type="text/x-python", headers=headers)
    content_hash = _onnx_hash(model) if format == "onnx" else model.artifact_hash
    return StreamingResponse(
        chunks_of(service.database, content_hash),
        media_type="application/octet-stream",
        headers={**headers, "X-Content-SHA256": content_hash},
    )


def _onnx_hash(model: Model) -> str:
    """Raises: OnnxUnavailableError."""
    if model.onnx_hash is None:
        told = model.card["artifact"].get("onnx")
        raise OnnxUnavailableError(
            told["reason"] if told else "The model was fitted by a version that did not export to ONNX.",
            f"Download it as skops, or predict here: POST /models/{model.id}/predict.",
        )
    return model.onnx_hash


def chunks_of(database: Database, content_hash: str) -> Iterator[bytes]:
    """The blob's bytes, in a session that lasts as long as the download."""
    with database.read() as session:
        yield from blobs.chunks(session, content_hash)
