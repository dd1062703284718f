"""Recommendations given, remembered with what was asked."""

from typing import Any

from sqlalchemy.orm import Session

from app.store.database import new_id
from app.store.tables import Recommendation


def record(
    session: Session, *, owner: str, dataset_id: str | None, request: dict[str, Any], body: dict[str, Any]
) -> Recommendation:
    """Remember a recommendation."""
    recommendation = Recommendation(
        id=new_id("rec"), owner=owner, dataset_id=dataset_id, request=request, body=body
    )
    session.add(recommendation)
    session.flush()
    return recommendation
