"""Datasets: remembered once, used often, erased for good by their owner or when their time is over."""

from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import DatasetExpiredError, DatasetInUseError, DatasetNotFoundError
from app.store import blobs, erasing, jobs
from app.store.database import now
from app.store.ids import new_id
from app.store.tables import Dataset, Job

_DAY_SECONDS = 86_400.0


def get(session: Session, owner: str, dataset_id: str, *, lock: bool = False) -> Dataset:
    """The owner's dataset; with `lock` no other transaction can erase it or begin a job on it meanwhile.

    Raises: DatasetNotFoundError, DatasetExpiredError.
    """
    dataset = _find(session, owner, dataset_id, lock=lock)
    if dataset.expired_at is not None:
        raise DatasetExpiredError(
            f"The dataset {dataset_id!r} was erased: nothing had been done with it for too long.",
            "Upload it again (POST /datasets); `expires_at` says how long it is kept.",
        )
    return dataset


def page(session: Session, owner: str, limit: int, before: str | None) -> list[Dataset]:
    """The owner's datasets that are still there, newest first, at most `limit`, older than the dataset `before`."""
    query = select(Dataset).where(
        Dataset.owner == owner, Dataset.deleted_at.is_(None), Dataset.expired_at.is_(None)
    )
    query = query.where(Dataset.id < before) if before else query
    return list(session.scalars(query.order_by(Dataset.id.desc()).limit(limit)).all())


def expires_at(dataset: Dataset, retention_days: float) -> float | None:
    """When the dataset will be erased unless a job is begun on it before; None where datasets are kept for ever."""
    return dataset.used_at + retention_days * _DAY_SECONDS if retention_days else None


def record(
    session: Session, *, owner: str, name: str, content: Path, facts: dict[str, Any], contribute: bool
) -> Dataset:
    """Remember a described dataset and its rows."""
    dataset = Dataset(
        id=new_id("ds"),
        owner=owner,
        name=name,
        content_hash=blobs.put(session, content),
        contribute=contribute,
        target=facts["target"],
        task_type=facts["task_type"],
        n_rows=facts["n_rows"],
        classes=facts["classes"],
        target_sd=facts["target_sd"],
        columns=facts["columns"],
        reading=facts["reading"],
        findings=facts["findings"],
        metafeatures=facts["metafeatures"],
        metafeature_version=facts["metafeature_version"],
        metafeature_seconds=facts["metafeature_seconds"],
        absent_metafeatures=facts["absent_metafeatures"],
    )
    session.add(dataset)
    session.flush()
    return dataset


def delete(session: Session, owner: str, dataset_id: str) -> None:
    """Erase the dataset because its owner wants it gone.

    Raises: DatasetNotFoundError, DatasetInUseError.
    """
    dataset = _find(session, owner, dataset_id, lock=True)
    if busy := _active_jobs(session, dataset_id):
        raise DatasetInUseError(
            f"The dataset is in use by {', '.join(busy)}.",
            "Cancel the job (POST /jobs/{id}/cancel) or wait for it, then delete again.",
            jobs=busy,
        )
    dataset.deleted_at = session.scalars(select(now())).one()
    erasing.erase(session, dataset)


def due_to_expire(session: Session, retention_days: float, most: int = 100) -> list[str]:
    """Ids of datasets whose time is over and that no job needs, the longest unused first."""
    if not retention_days:
        return []
    query = select(Dataset.id).where(*_time_is_over(retention_days)).order_by(Dataset.used_at).limit(most)
    return list(session.scalars(query).all())


def expire(session: Session, dataset_id: str, retention_days: float) -> bool:
    """Erase the dataset if its time is over and no job needs it; true for exactly one caller."""
    query = select(Dataset).where(Dataset.id == dataset_id, *_time_is_over(retention_days))
    dataset = session.scalars(query.with_for_update(skip_locked=True)).one_or_none()
    # Asked again under the lock: a job may have been begun since the query's snapshot.
    if dataset is None or _active_jobs(session, dataset_id):
        return False
    dataset.expired_at = session.scalars(select(now())).one()
    erasing.erase(session, dataset)
    return True


def _find(session: Session, owner: str, dataset_id: str, *, lock: bool) -> Dataset:
    query = select(Dataset).where(
        Dataset.id == dataset_id, Dataset.owner == owner, Dataset.deleted_at.is_(None)
    )
    dataset = session.scalars(query.with_for_update() if lock else query).one_or_none()
    if dataset is None:
        raise DatasetNotFoundError(
            f"There is no dataset {dataset_id!r}.", "POST /datasets uploads one and answers with its id."
        )
    return dataset


def _active_jobs(session: Session, dataset_id: str) -> list[str]:
    query = select(Job.id).where(Job.dataset_id == dataset_id, Job.status.in_(jobs.ACTIVE))
    return list(session.scalars(query.limit(5)).all())


def _time_is_over(retention_days: float) -> tuple[Any, ...]:
    needed = select(Job.id).where(Job.dataset_id == Dataset.id, Job.status.in_(jobs.ACTIVE)).exists()
    return (
        Dataset.used_at < now() - retention_days * _DAY_SECONDS,
        Dataset.deleted_at.is_(None),
        Dataset.expired_at.is_(None),
        ~needed,
    )
