"""Beginning a few-shot job: rows that cannot be learned from are refused before a worker sees them."""

import io
from typing import Any

from sqlalchemy.orm import Session

from app.api.asking import FewShotRequest
from app.metalearning.fewshot.encoding import encode
from app.metalearning.fewshot.methods import choose
from app.store import predictions
from app.store.tables import Job


def begin_few_shot(session: Session, owner: str, request: FewShotRequest, origin: dict[str, Any]) -> Job:
    """Write the job that is asked for; the rows are kept until it ends, and no dataset of them.

    Raises: subclasses of UnusableRowsError and UnusableDatasetError.
    """
    encoded = encode(request.support, request.labels, request.query)
    choose(request.method, encoded.task)
    rows = request.model_dump_json(include={"support", "labels", "query"})
    return predictions.begin_few_shot(
        session,
        owner=owner,
        content=io.BytesIO(rows.encode()),
        request={
            "method": request.method,
            "n_support": len(request.support),
            "n_query": len(request.query),
            "n_classes": encoded.task.n_classes,
        },
        time_budget_seconds=request.time_budget_seconds,
        origin=origin,
    )
