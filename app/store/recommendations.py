"""Recommendations given, remembered with what was asked."""

import threading
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import RecommendationNotFoundError
from app.failpoints import Step
from app.store.database import PASSING_ERRORS, Database, commit
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
    row = _row(owner, request, body, dataset_id, meta_dataset_id)
    _insert(session, [row])
    return str(row["id"])


class Recorder:
    """Remembers recommendations that are all that their requests write, those of several requests in one transaction.

    Who comes first writes. Whoever comes while that waits for the disk is written next, with all others that came meanwhile
    (group commit), so nobody is told of anything that is not kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._turn, self._guard = threading.Lock(), threading.Lock()
        self._waiting: list[_Waiting] = []

    def record(self, *, owner: str, request: dict[str, Any], body: dict[str, Any]) -> str:
        """Remember a recommendation for which no dataset is known; returns its id once that is committed."""
        row = _row(owner, request, body)
        mine = _Waiting(row)
        with self._guard:
            self._waiting.append(mine)
        with self._turn:
            if not mine.is_over:
                self._write_waiting()
        if mine.trouble is None:
            return str(row["id"])
        if mine.is_final:
            raise mine.trouble
        self._write([row])
        return str(row["id"])

    def _write_waiting(self) -> None:
        """Write what waits, and leave with everybody what came of it."""
        with self._guard:
            together, self._waiting = self._waiting, []
        trouble = None
        try:
            self._write([each.row for each in together])
        except Exception as error:  # noqa: BLE001  everybody has to be told
            trouble = error
        for each in together:
            each.trouble = trouble
            # A row that is refused says nothing about the others; a database that is away will be away for them.
            each.is_final = len(together) == 1 or isinstance(trouble, PASSING_ERRORS)
            each.is_over = True

    def _write(self, rows: list[dict[str, Any]]) -> None:
        with self._database.write() as session:
            _insert(session, rows)
            commit(session, Step.STORE_RECOMMENDATION)


@dataclass
class _Waiting:
    """A row that somebody waits for."""

    row: dict[str, Any]
    is_over: bool = False
    trouble: Exception | None = None
    is_final: bool = False


def _row(
    owner: str,
    request: dict[str, Any],
    body: dict[str, Any],
    dataset_id: str | None = None,
    meta_dataset_id: str | None = None,
) -> dict[str, Any]:
    return {
        "id": new_id("rec"),
        "owner": owner,
        "dataset_id": dataset_id,
        "meta_dataset_id": meta_dataset_id,
        "request": request,
        "body": body,
    }


def _insert(session: Session, rows: list[dict[str, Any]]) -> None:
    """A statement of its own: the call that is answered while somebody waits does not pay for a unit of work."""
    session.execute(_TABLE.insert(), rows)


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
