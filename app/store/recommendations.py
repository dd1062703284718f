"""Recommendations given, remembered with what was asked."""

from typing import Any

from sqlalchemy.orm import Session

from app.store.ids import new_id
from app.store.tables import Recommendation


def record(
    session: Session,
    *,
    owner: str,
    request: dict[str, Any],
    body: dict[str, Any],
    dataset_id: str | None = None,
    meta_dataset_id: str | None = None,
) -> Recommendation:
    """Remember a recommendation, for a dataset that is known, or from a meta-dataset that was imported."""
    recommendation = Recommendation(
        id=new_id("rec"),
        owner=owner,
        dataset_id=dataset_id,
        meta_dataset_id=meta_dataset_id,
        request=request,
        body=body,
    )
    session.add(recommendation)
    session.flush()
    return recommendation
