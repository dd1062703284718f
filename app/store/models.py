"""Models: the fitted winners of jobs."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import ModelNotFoundError
from app.store.tables import Dataset, Model


def get(session: Session, owner: str, model_id: str, *, lock: bool = False) -> Model:
    """The owner's model; with `lock` its dataset cannot be erased meanwhile, nor the model with it.

    Raises: ModelNotFoundError.
    """
    if lock:  # a statement of its own: what another transaction erased while this one waited is seen below
        of_model = select(Dataset.id).join(Model, Model.dataset_id == Dataset.id).where(Model.id == model_id)
        session.execute(of_model.with_for_update(of=Dataset))
    model = session.scalars(select(Model).where(Model.id == model_id, Model.owner == owner)).one_or_none()
    if model is None:
        raise ModelNotFoundError(
            f"There is no model {model_id!r}.",
            "A finished job names its model; a dataset that is deleted or expires takes its models along.",
        )
    return model
