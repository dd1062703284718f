"""Models: the fitted winners of jobs."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import ModelNotFoundError
from app.store.tables import Model


def get(session: Session, owner: str, model_id: str) -> Model:
    """The owner's model.

    Raises: ModelNotFoundError.
    """
    model = session.scalars(select(Model).where(Model.id == model_id, Model.owner == owner)).one_or_none()
    if model is None:
        raise ModelNotFoundError(
            f"There is no model {model_id!r}.",
            "A finished job names its model; a dataset that is deleted or expires takes its models along.",
        )
    return model
