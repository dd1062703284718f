"""Which dataset a request is about: one that is known by id, or one that only its metafeatures tell of."""

from pydantic import Field, model_validator

from app.api.schemas import RequestModel
from app.errors import InvalidRequestError, MetafeatureVersionError
from app.metalearning.metafeatures import SCHEMA_VERSION
from app.metalearning.table import TaskType
from app.store.tables import Dataset

Metafeatures = dict[str, float | None]


class DescribedRequest(RequestModel):
    """A dataset known by id, or only its metafeatures."""

    dataset_id: str | None = Field(default=None, max_length=100)
    metafeatures: Metafeatures | None = Field(
        default=None, description="By name, as `metaselect describe` prints them; any part of them will do."
    )
    metafeature_version: int | None = Field(
        default=None,
        description="The schema version of the metafeatures; refused if it is not the service's.",
    )
    task_type: TaskType | None = Field(default=None, description="Needed with metafeatures.")

    @model_validator(mode="after")
    def _one_dataset(self) -> "DescribedRequest":
        if (self.dataset_id is None) == (self.metafeatures is None):
            raise ValueError("give either dataset_id or metafeatures")
        if self.metafeatures is not None and self.task_type is None:
            raise ValueError("task_type is needed with metafeatures")
        return self

    def described(self, dataset: Dataset | None) -> tuple[TaskType, Metafeatures]:
        """The task type and the metafeatures, of the dataset that the id stands for, or as they were sent.

        Raises: InvalidRequestError, MetafeatureVersionError.
        """
        if dataset is not None:
            task_type, metafeatures = description_of(dataset)
            if self.task_type not in (None, task_type):
                raise InvalidRequestError(
                    f"The dataset's task type is {task_type}.",
                    "Leave task_type out, or upload it again with another.",
                )
            return task_type, metafeatures
        assert self.task_type is not None, "the request was validated"
        _check_version(self.metafeature_version, "Describe the dataset with `metaselect describe` of today.")
        return self.task_type, self.metafeatures or {}


def description_of(dataset: Dataset) -> tuple[TaskType, Metafeatures]:
    """What is known of a stored dataset.

    Raises: MetafeatureVersionError.
    """
    _check_version(dataset.metafeature_version, "Upload the dataset again.")
    return TaskType(dataset.task_type), dataset.metafeatures


def _check_version(version: int | None, advice: str) -> None:
    if version not in (None, SCHEMA_VERSION):
        raise MetafeatureVersionError(
            f"The metafeatures are of schema version {version}, the service's is {SCHEMA_VERSION}.", advice
        )
