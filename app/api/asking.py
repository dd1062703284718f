"""What `POST /jobs` may ask for: a model per kind of job, with the fields that this kind has."""

from typing import Annotated, Any, Literal, get_args

from pydantic import Discriminator, Field, Tag, model_validator

from app.api.schemas import RequestModel
from app.errors import InvalidRequestError
from app.metalearning.fewshot.methods import Method as FewShotMethod
from app.metalearning.newrows import Cell
from app.metalearning.search import Method
from app.metalearning.table import TaskType
from app.store import retrainings
from app.store.tables import Dataset

DEFAULT_BUDGET_SECONDS = 300.0
_MOST_SECONDS = 86_400
_FEWEST_TO_CALIBRATE = 10  # rows of every class: half of them are in every fold that calibrates, at the least

STOP_EARLY = (
    "Give up what its learning curve leaves no hope for: its experiment ends as `stopped_early`, without a score. "
    "With false everything is measured in full."
)

DatasetId = Annotated[str, Field(max_length=100)]
_Row = dict[str, Cell | int] | list[float]
LabelledRows = Annotated[list[_Row], Field(min_length=2, max_length=500)]
Rows = Annotated[list[_Row], Field(min_length=1, max_length=1_000)]
ConfigurationIds = Annotated[list[str], Field(min_length=1, max_length=50)]


class StackRequest(RequestModel):
    """How the stack is made, and whether the probabilities of what is delivered are calibrated."""

    meta_model: Literal["selection", "least_squares", "linear", "boosting"] | None = Field(
        default=None,
        description="Greedy ensemble selection, non-negative least squares, logistic or ridge regression, or small boosted "
        "trees; which of the first two is better on half of the rows unless given.",
    )
    layers: Literal[1, 2] = Field(
        default=1,
        description="With 2 a line, boosted trees and a forest learn from the predictions, and the meta-model weighs them.",
    )
    calibrate: Literal["sigmoid", "isotonic", "temperature"] | None = Field(
        default=None, description="Classification only."
    )

    @model_validator(mode="after")
    def _weighs_the_second_layer(self) -> "StackRequest":
        if self.layers > 1 and self.meta_model in ("linear", "boosting"):
            raise ValueError("with 2 layers meta_model is selection or least_squares: it weighs the second")
        return self

    def check(self, dataset: Dataset) -> None:
        """Refuse what cannot be done honestly with the dataset.

        Raises: InvalidRequestError.
        """
        splits_at_random = self.layers > 1 or self.meta_model in ("linear", "boosting") or self.calibrate
        if splits_at_random and any(each["role"] in ("group", "time") for each in dataset.columns):
            raise InvalidRequestError(
                "stack: rows of this dataset belong together, or follow each other in time, and scikit-learn would split "
                "them at random to fit this.",
                "Ask for the meta_model selection or least_squares, in one layer, not calibrated.",
            )
        if self.calibrate is None:
            return
        if dataset.task_type != TaskType.CLASSIFICATION:
            raise InvalidRequestError(
                "stack.calibrate: a regression has no probabilities.", "Leave calibrate out."
            )
        share = dataset.metafeatures.get("freq_class.min")
        if share is not None and round(share * dataset.n_rows) < _FEWEST_TO_CALIBRATE:
            raise InvalidRequestError(
                f"stack.calibrate: a class has fewer than {_FEWEST_TO_CALIBRATE} rows.",
                "Leave calibrate out, or merge rare classes.",
            )


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
    stop_early: bool = Field(default=True, description=STOP_EARLY)
    stack: StackRequest = Field(default_factory=StackRequest)


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


class RangeRequest(RequestModel):
    """A narrower range of a hyperparameter: ends, or the only values that it may have."""

    low: float | None = None
    high: float | None = None
    values: Annotated[list[Any], Field(min_length=1, max_length=100)] | None = None

    @model_validator(mode="after")
    def _says_one_thing(self) -> "RangeRequest":
        if (self.low is None and self.high is None) == (self.values is None):
            raise ValueError("give either values, or low or high or both")
        return self


class SearchRequest(RequestModel):
    """Tune hyperparameters on a dataset, of one algorithm or many; the best is stacked and refitted as in a verification."""

    kind: Literal["search"]
    dataset_id: DatasetId | None = None
    extends: Annotated[str, Field(max_length=100)] | None = Field(
        default=None,
        description="The id of a search that has ended, be it by its budget or cancelled: go on with its trials, method, "
        "space and seed. Then only trials, time_budget_seconds and stack are said anew.",
    )
    method: Method = Field(
        default=Method.TPE,
        description="random and grid; tpe and gp model what was seen; asha and hyperband draw at random and give trials up "
        "after few rows.",
    )
    algorithms: Annotated[list[str], Field(min_length=1, max_length=50)] | None = Field(
        default=None, description="Names from `GET /algorithms`; all that fit the dataset unless given."
    )
    space: dict[str, dict[str, RangeRequest]] = Field(
        default={},
        description="Narrower ranges, by algorithm and hyperparameter, inside those of `GET /algorithms`.",
    )
    metric: str | None = Field(default=None, max_length=100)
    trials: int | None = Field(
        default=None, ge=1, le=500, description="As many as there is time for unless given."
    )
    time_budget_seconds: float = Field(
        default=DEFAULT_BUDGET_SECONDS,
        ge=1,
        le=_MOST_SECONDS,
        description="For the whole job, from when a worker takes it up. The last quarter is kept for stacking.",
    )
    warm_start: bool = Field(
        default=True,
        description="Begin with what is recommended for the dataset, and learn from what was measured on it before.",
    )
    parallel: int = Field(
        default=4,
        ge=1,
        le=32,
        description="How many trials may run at once. Each is chosen by the results of all but the last of these, so the same "
        "seed makes the same trials, however many workers there are.",
    )
    grid_points: int = Field(default=3, ge=1, le=20, description="Of every range, where the method is grid.")
    seed: int = Field(default=0, ge=0, lt=2**31)
    stack: StackRequest = Field(default_factory=StackRequest)

    @model_validator(mode="after")
    def _is_of_one_thing(self) -> "SearchRequest":
        if (self.dataset_id is None) == (self.extends is None):
            raise ValueError("give either dataset_id, or the search that this one extends")
        if self.extends is not None:
            said = self.model_fields_set - {"kind", "extends", "trials", "time_budget_seconds", "stack"}
            if said:
                raise ValueError(f"a search that extends another has its {', '.join(sorted(said))}")
        return self


class RetrainingRequest(RequestModel):
    """Fit the meta-learners of a task type on all that may be learned from."""

    kind: Literal["retraining"]
    task_type: TaskType
    networks: bool = Field(
        default=False,
        description="Train the networks that rank too, on a worker of the queue gpu; those that ship stay otherwise.",
    )
    time_budget_seconds: float = Field(
        default=retrainings.SECONDS,
        ge=1,
        le=_MOST_SECONDS,
        description=f"Unless given, {retrainings.SECONDS_WITH_NETWORKS:g} where networks are trained.",
    )

    @model_validator(mode="after")
    def _has_time_for_networks(self) -> "RetrainingRequest":
        if self.networks and "time_budget_seconds" not in self.model_fields_set:
            self.time_budget_seconds = retrainings.SECONDS_WITH_NETWORKS
        return self


class FewShotRequest(RequestModel):
    """Label rows by a handful of labelled ones; nothing of them is kept but the answer, for a day."""

    kind: Literal["few-shot"]
    support: LabelledRows = Field(
        description="The labelled rows: all objects of columns and values, or all vectors."
    )
    labels: list[str | int | float | bool] = Field(description="Of each labelled row, in their order.")
    query: Rows = Field(description="The rows to label, of the same form and with the same columns.")
    method: FewShotMethod = Field(
        default=FewShotMethod.AUTO,
        description="auto takes what was measured to be the best with so many rows per class and features.",
    )
    time_budget_seconds: float = Field(
        default=60.0, ge=1, le=3600, description="For the whole job, from when a worker takes it up."
    )


def _kind(asked: Any) -> str | None:
    """The kind that is asked for, a verification where none is; None where it is not a name."""
    kind = asked.get("kind", "verification") if isinstance(asked, dict) else getattr(asked, "kind", None)
    return kind if isinstance(kind, str) else None


_MODELS = (VerificationRequest, MeasurementRequest, SearchRequest, RetrainingRequest, FewShotRequest)
_KINDS = tuple(get_args(model.model_fields["kind"].annotation)[0] for model in _MODELS)

JobRequest = Annotated[
    Annotated[VerificationRequest, Tag("verification")]
    | Annotated[MeasurementRequest, Tag("measurement")]
    | Annotated[SearchRequest, Tag("search")]
    | Annotated[RetrainingRequest, Tag("retraining")]
    | Annotated[FewShotRequest, Tag("few-shot")],
    Discriminator(
        _kind,
        custom_error_type="kind_unknown",
        custom_error_message=f"Send an object whose kind is one of {', '.join(_KINDS)}",
    ),
]
