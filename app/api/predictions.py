"""Predictions of a model that the service fitted: asked for over HTTP, made by a worker as a job, kept for a day.

This process has none of the libraries that a model consists of, and none of the memory. So the rows become a job: whatever
holds for jobs (limits, retries after a death, cancelling, keys) holds for them, and a request is no more than a patient
watcher. What was predicted is a blob beside the job, not a part of its result: jobs are listed, watched and polled, and
would carry megabytes along each time.
"""

import io
from collections.abc import AsyncIterator
from typing import Annotated, Any, BinaryIO

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import Field
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from app.api import jobs as jobs_api
from app.api.dependencies import Owner, Service, ServiceDep, WriteSession
from app.api.idempotency import Once, OnceDep, as_answer
from app.api.jobs import JobResponse, announce, as_response
from app.api.models import chunks_of
from app.api.problems import problem_responses
from app.api.schemas import RequestModel, ResponseModel
from app.api.uploads import Upload, media_type, multipart_body, read_form, read_json
from app.api.watching import LONGEST_WAIT_SECONDS, until_ended
from app.errors import (
    ModelNotPredictableError,
    NoGpuWorkerError,
    PredictionCancelledError,
    PredictionErasedError,
    PredictionFailedError,
    PredictionUnfinishedError,
    ServiceError,
    from_dict,
)
from app.failpoints import Step
from app.metalearning.expected import expected_by
from app.metalearning.newrows import Cell
from app.metalearning.portfolio import ALGORITHMS
from app.metalearning.table import TaskType
from app.store import jobs, models, predictions, workers
from app.store.database import commit
from app.store.tables import Model

router = APIRouter(tags=["models"])

_WAIT_SECONDS = 20.0
_BUDGET_SECONDS = 60.0
_MOST_SECONDS = 3600.0
_REPLAYED = {"Idempotency-Replayed": "true"}

Seconds = Annotated[
    float, Field(ge=1, le=_MOST_SECONDS, description="For predicting, from when a worker takes it up.")
]
Wait = Annotated[
    float,
    Query(
        ge=0,
        le=LONGEST_WAIT_SECONDS,
        description="Seconds to wait for the predictions; what takes longer is answered by its job.",
    ),
]


class PredictRequest(RequestModel):
    """Rows to predict, each with a value for every column that the model was fitted on."""

    rows: list[dict[str, Cell | int]] = Field(
        description="Objects of columns and values. Null, or a name that a row lacks, is a missing value."
    )
    time_budget_seconds: Seconds = _BUDGET_SECONDS


class PredictForm(RequestModel):
    """The field beside the file."""

    time_budget_seconds: Seconds = _BUDGET_SECONDS


class UnknownCategoriesResponse(ResponseModel):
    """Categories of a column that training has not seen: predicted as the rare or missing ones of training."""

    values: list[str] = Field(description="At most twenty of them.")
    n_values: int
    n_rows: int


class PredictionResponse(ResponseModel):
    """What was predicted, row by row in the order of the request."""

    model_id: str
    job_id: str
    task_type: TaskType
    target: str
    n_rows: int
    classes: list[str | int | float | bool] | None = Field(description="Null of a regression.")
    predictions: list[str | int | float | bool | None] = Field(
        description="Labels as they were in the training file, or numbers; null where the model gives no finite number."
    )
    probabilities: list[list[float]] | None = Field(description="Per row, in the order of `classes`.")
    ignored_columns: list[str] = Field(description="That the model was not fitted on.")
    target_ignored: bool = Field(description="Whether the rows held the target too.")
    unknown_categories: dict[str, UnknownCategoriesResponse]
    unchecked_columns: list[str] = Field(
        description="With so many categories that the card does not keep them: whether a value is new cannot be told."
    )


class FewShotResponse(ResponseModel):
    """What a few-shot job says of its queries, in their order."""

    job_id: str
    method: str
    because: str = Field(description="Why this method.")
    n_support: int
    n_query: int
    n_features: int = Field(description="After every category became one.")
    ignored_columns: list[str] = Field(description="Without a value in the labelled rows; twenty of them.")
    unknown_categories: dict[str, int] = Field(
        description="By column, how many queries have a category that no labelled row has."
    )
    classes: list[str | int | float | bool]
    predictions: list[str | int | float | bool]
    confidence: list[float] = Field(description="The probability of what is predicted.")
    probabilities: list[list[float]] = Field(description="Per query, in the order of `classes`.")


async def _read_request(request: Request) -> AsyncIterator[PredictRequest | Upload]:
    if media_type(request, "application/json", "multipart/form-data") == "application/json":
        yield await read_json(request, PredictRequest)
        return
    async for upload in read_form(request, PredictForm):
        yield upload


@router.post(
    "/models/{model_id}/predict",
    response_class=Response,
    responses={
        200: {"model": PredictionResponse, "description": "The predictions"},
        202: {"model": JobResponse, "description": "It takes longer: the job to watch"},
        **problem_responses(404, 408, 409, 410, 413, 415, 422, 500, 503),
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/PredictRequest"}},
                **multipart_body(PredictForm),
            },
        }
    },
)
async def predict(
    model_id: str,
    request: Request,
    asked: Annotated[PredictRequest | Upload, Depends(_read_request)],
    service: ServiceDep,
    session: WriteSession,
    owner: Owner,
    once: OnceDep,
    wait: Wait = _WAIT_SECONDS,
) -> Response:
    """Predict rows, sent as JSON or as a file of any format that datasets come in.

    A worker does it as a job; 202 and `Location` where that takes longer than `wait`.
    """
    job_id, is_repeat = await run_in_threadpool(_begin, service, session, owner, model_id, asked, once)
    await until_ended(request, service, owner, job_id, wait)
    answer = await run_in_threadpool(_answer, service, owner, job_id)
    answer.headers.update(_REPLAYED if is_repeat else {})
    return answer


@router.get(
    "/jobs/{job_id}/predictions",
    response_class=Response,
    responses={
        200: {"model": PredictionResponse | FewShotResponse, "description": "The predictions"},
        **problem_responses(404, 409, 410, 422, 500),
    },
)
def read_predictions(job_id: str, service: ServiceDep, owner: Owner) -> Response:
    """What a prediction's job predicted, or a few-shot one, for a day after its end."""
    answer = _answer(service, owner, job_id)
    if answer.status_code == 202:
        raise PredictionUnfinishedError(
            "The job has not ended.", f"Wait for it: GET /jobs/{job_id}?wait=20, then ask again."
        )
    return answer


def _begin(
    service: Service, session: Session, owner: str, model_id: str, asked: PredictRequest | Upload, once: Once
) -> tuple[str, bool]:
    """The id of the job that predicts, and whether an earlier request with the same key began it."""
    with once(asked) as attempt:
        if attempt.replay is not None:
            return attempt.replay.headers["Location"].rpartition("/")[2], True
        model = models.get(session, owner, model_id, lock=True)
        _check_predictable(model)
        queue = _queue(session, model)
        form, content = _content(asked)
        job = predictions.begin(
            session,
            owner=owner,
            model=model,
            content=content,
            form=form,
            queue=queue,
            time_budget_seconds=(asked.form if isinstance(asked, Upload) else asked).time_budget_seconds,
            origin=jobs_api.origin(),
        )
        attempt.record(_accepted(session, owner, job.id), about=model.dataset_id)
        commit(session, Step.ACCEPT_JOB)
    service.doorbell.ring(queue)
    return job.id, False


def _check_predictable(model: Model) -> None:
    if expected_by(model.card) is None:
        raise ModelNotPredictableError(
            "The model was fitted by a version whose cards do not tell how its columns were read.",
            f"Verify the dataset again (POST /jobs with dataset_id {model.dataset_id}), or download the model.",
        )


def _queue(session: Session, model: Model) -> str:
    """The queue of the workers that have the libraries of the model.

    Raises: NoGpuWorkerError.
    """
    algorithms = {each["algorithm"] for each in model.card["configurations"]}
    if all(ALGORITHMS[name].queue != "gpu" for name in algorithms):
        return "cpu"
    if not workers.has_gpu(session):
        raise NoGpuWorkerError(
            "The model predicts only where there is a GPU, and no worker with one is running.",
            "Start a worker with WORKER_QUEUE=gpu and the extra `deep`.",
        )
    return "gpu"


def _content(asked: PredictRequest | Upload) -> tuple[str, BinaryIO]:
    if isinstance(asked, Upload):
        return "file", asked.file
    return "rows", io.BytesIO(asked.model_dump_json(include={"rows"}).encode())


def _answer(service: Service, owner: str, job_id: str) -> Response:
    """The predictions; 202 and the job while there are none.

    Raises: JobNotFoundError, PredictionNotFoundError, PredictionErasedError, and what the job ended with.
    """
    with service.database.read() as session:
        job = jobs.get(session, owner, job_id)
        prediction = predictions.of_job(session, job_id)
        if job.status in jobs.ACTIVE:
            return _accepted(session, owner, job_id)
    if prediction.output_hash is None:
        raise _why_none(job.status, job.error, job_id)
    return StreamingResponse(
        chunks_of(service.database, prediction.output_hash),
        media_type="application/json",
        headers={"Content-Location": f"/jobs/{job_id}/predictions"},
    )


def _accepted(session: Session, owner: str, job_id: str) -> Response:
    answer = as_answer(as_response(jobs.detail(session, owner, job_id)), 202)
    announce(answer, job_id)
    return answer


def _why_none(status: str, error: dict[str, Any] | None, job_id: str) -> ServiceError:
    if status == "cancelled":
        return PredictionCancelledError("The job was cancelled.", "Send the rows again.", job_id=job_id)
    if status == "succeeded":
        return PredictionErasedError(
            "The predictions were kept for a day, or went with the dataset of their model.",
            "Send the rows again.",
        )
    told = from_dict({"code": "", "detail": "", "advice": "", "evidence": {}, **(error or {})})
    if (
        type(told) is ServiceError
    ):  # a crash, a lost worker, a spent budget, a defect: the job's page tells which
        return PredictionFailedError(
            "Predicting failed, for no reason that lies in the rows.",
            f"Try again; GET /jobs/{job_id} tells what happened.",
            job_id=job_id,
            error=(error or {}).get("code"),
        )
    return told
