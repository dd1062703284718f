"""Recommendations given, remembered with what was asked."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import RecommendationNotFoundError
from app.store.ids import new_id
from app.store.tables import Job, Recommendation

_TABLE = Recommendation.metadata.tables[Recommendation.__tablename__]


def record(
    session: Session,
    *,
    owner: str,
    request: dict[str, Any],
    body: dict[str, Any],
    dataset_id: str | None = None,
    meta_dataset_id: str | None = None,
) -> str:
    """Remember a recommendation, for a dataset that is known, or from a meta-dataset that was imported.

    Returns: its id.
    """
    recommendation_id = new_id("rec")
    # A statement of its own: the call that is answered while somebody waits does not pay for a unit of work.
    session.execute(
        _TABLE.insert(),
        {
            "id": recommendation_id,
            "owner": owner,
            "dataset_id": dataset_id,
            "meta_dataset_id": meta_dataset_id,
            "request": request,
            "body": body,
        },
    )
    return recommendation_id


def get(session: Session, owner: str, recommendation_id: str) -> Recommendation:
    """A recommendation of the owner's from the shipped meta-dataset.

    Raises: RecommendationNotFoundError.
    """
    found = session.get(Recommendation, recommendation_id)
    if found is None or found.owner != owner or found.meta_dataset_id is not None:
        raise RecommendationNotFoundError(
            f"There is no recommendation {recommendation_id[:100]!r}.",
            "Its id is in the answer of POST /recommend.",
        )
    return found


def job_of(session: Session, recommendation: Recommendation) -> str | None:
    """The id of the job that verifies it, if one was begun."""
    return session.scalar(select(Job.id).where(Job.recommendation_id == recommendation.id))
