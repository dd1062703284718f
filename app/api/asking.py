"""What `POST /jobs` may ask for: a model per kind of job, with the fields that this kind has."""

from typing import Annotated, Any, Literal, get_args

from pydantic import Discriminator, Field, Tag

from app.api.schemas import RequestModel
from app.metalearning.table import TaskType
from app.store.jobs import RETRAINING_SECONDS

DEFAULT_BUDGET_SECONDS = 300.0
_MOST_SECONDS = 86_400

DatasetId = Annotated[str, Field(max_length=100)]
ConfigurationIds = Annotated[list[str], Field(min_length=1, max_length=50)]


class VerificationRequest(RequestModel):
    """Measure a dataset's best candidates, or the configurations that are named, and stack them."""

    kind: Literal["verification"] = "verification"
    dataset_id: DatasetId
    configurations: ConfigurationIds | None = Field(
        default=None, description="The recommended ones unless given."
    )
    k: int = Field(default=5, ge=1, le=50, description="How many candidates, where none are named.")
    metric: str | None = Field(default=None, max_length=100)
    time_budget_seconds: float = Field(
        default=DEFAULT_BUDGET_SECONDS,
        ge=1,
        le=_MOST_SECONDS,
        description="For the whole job, from when a worker takes it up. The last quarter is kept for stacking.",
    )


class MeasurementRequest(RequestModel):
    """Measure the configurations that are named, and no more: it ends with its experiments."""

    kind: Literal["measurement"]
    dataset_id: DatasetId
    configurations: ConfigurationIds
    time_budget_seconds: float = Field(
        default=DEFAULT_BUDGET_SECONDS,
        ge=1,
        le=_MOST_SECONDS,
        description="For the whole job, from when a worker takes it up.",
    )


class RetrainingRequest(RequestModel):
    """Fit the meta-learners of a task type on all that may be learned from."""

    kind: Literal["retraining"]
    task_type: TaskType
    time_budget_seconds: float = Field(default=RETRAINING_SECONDS, ge=1, le=_MOST_SECONDS)


def _kind(asked: Any) -> str | None:
    """The kind that is asked for, a verification where none is; None where it is not a name."""
    kind = asked.get("kind", "verification") if isinstance(asked, dict) else getattr(asked, "kind", None)
    return kind if isinstance(kind, str) else None


_MODELS = (VerificationRequest, MeasurementRequest, RetrainingRequest)
_KINDS = tuple(get_args(model.model_fields["kind"].annotation)[0] for model in _MODELS)

JobRequest = Annotated[
    Annotated[VerificationRequest, Tag("verification")]
    | Annotated[MeasurementRequest, Tag("measurement")]
    | Annotated[RetrainingRequest, Tag("retraining")],
    Discriminator(
        _kind,
        custom_error_type="kind_unknown",
        custom_error_message=f"Send an object whose kind is one of {', '.join(_KINDS)}",
    ),
]
