"""Requests that carry a file: multipart forms, spooled to disk by the framework, never named by the client on ours."""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any, BinaryIO

from fastapi import Depends, Request
from pydantic import Field, Json, TypeAdapter, ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from app.api.problems import as_invalid_request
from app.api.schemas import RequestModel
from app.errors import InvalidRequestError, UnsupportedMediaTypeError
from app.metalearning.columns import Declaration
from app.metalearning.table import ColumnType, TaskType

_MOST_FIELDS = 20
_FIELD_BYTES = 64 << 10


class DatasetForm(RequestModel):
    """The fields beside the file."""

    target: str = Field(min_length=1, max_length=500, description="Name of the column to predict.")
    task_type: TaskType | None = Field(default=None, description="Inferred from the target unless given.")
    name: str | None = Field(default=None, max_length=200, description="What to call the dataset.")
    column_types: Json[dict[str, ColumnType]] = Field(
        default_factory=dict, description='Types by column, inferred for the others: {"zip": "categorical"}.'
    )
    group: str | None = Field(
        default=None, min_length=1, max_length=500, description="Column whose equal values belong together."
    )
    time: str | None = Field(
        default=None, min_length=1, max_length=500, description="Column by which the future is predicted."
    )
    contribute: bool = Field(
        default=True,
        description="Whether scores measured on this dataset may join the evidence, and outlive the dataset.",
    )

    @property
    def declaration(self) -> Declaration:
        """What the client says about the columns."""
        return Declaration(self.target, self.task_type, self.column_types, self.group, self.time)


@dataclass(frozen=True)
class Upload:
    """A file with its validated fields."""

    file: BinaryIO
    name: str
    form: Any


def multipart_body(form: type[RequestModel]) -> dict[str, Any]:
    """The documentation of a multipart form: the model's fields and the file."""
    schema = form.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)
    schema["properties"] = {
        "file": {
            "type": "string",
            "format": "binary",
            "description": "CSV, TSV, Parquet, ARFF or JSON lines, also gzip or zstd.",
        },
        **schema["properties"],
    }
    schema["required"] = ["file", *schema.get("required", [])]
    return {"multipart/form-data": {"schema": schema}}


async def read_form(request: Request, model: type[RequestModel]) -> AsyncIterator[Upload]:
    """The upload of a multipart request; its file is closed afterwards.

    Raises: InvalidRequestError.
    """
    try:
        async with request.form(max_files=1, max_fields=_MOST_FIELDS, max_part_size=_FIELD_BYTES) as form:
            file = form.get("file")
            if not isinstance(file, UploadFile):
                raise InvalidRequestError(
                    "The form has no file.", "Send the dataset in the field `file`: curl -F file=@data.csv."
                )
            given = Counter(key for key, _ in form.multi_items())
            if repeated := [key[:100] for key, count in given.items() if count > 1]:
                raise InvalidRequestError(
                    f"The form has the field {repeated[0]!r} more than once.", "Send every field once."
                )
            fields = {key: value for key, value in form.multi_items() if key != "file"}
            try:
                parsed = TypeAdapter(model).validate_python(fields)
            except ValidationError as error:
                raise as_invalid_request(error.errors()) from error
            name = getattr(parsed, "name", None) or file.filename or "dataset"
            yield Upload(file.file, name.replace("\x00", "")[:200], parsed)
    except HTTPException as error:  # how the framework reports a malformed form
        raise InvalidRequestError(
            f"The form could not be read: {error.detail}.", "Send multipart/form-data with the field `file`."
        ) from error


async def read_json(request: Request, model: type[RequestModel]) -> Any:
    """The validated JSON body.

    Raises: InvalidRequestError, InvalidJsonError.
    """
    try:
        return model.model_validate_json(await request.body())
    except ValidationError as error:
        raise as_invalid_request(error.errors(include_url=False)) from error


def media_type(request: Request, *expected: str) -> str:
    """The request's media type, if it is one of those expected.

    Raises: UnsupportedMediaTypeError.
    """
    given = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if given not in expected:
        raise UnsupportedMediaTypeError(
            f"The content type is {given or 'missing'!r}.", f"Send {' or '.join(expected)}."
        )
    return given


async def _dataset_upload(request: Request) -> AsyncIterator[Upload]:
    media_type(request, "multipart/form-data")
    async for upload in read_form(request, DatasetForm):
        yield upload


DatasetUpload = Annotated[Upload, Depends(_dataset_upload)]
