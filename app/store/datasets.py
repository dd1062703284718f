"""Datasets: remembered once, used often, deleted for good."""

from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import DatasetInUseError, DatasetNotFoundError
from app.store import blobs, jobs
from app.store.database import new_id, now
from app.store.tables import Dataset, Experiment, Job, Model


def get(session: Session, owner: str, dataset_id: str, *, lock: bool = False) -> Dataset:
    """The owner's dataset; with `lock` no other transaction can delete it or begin a job on it meanwhile.

    Raises: DatasetNotFoundError.
    """
    query = select(Dataset).where(
        Dataset.id == dataset_id, Dataset.owner == owner, Dataset.deleted_at.is_(None)
    )
    dataset = session.scalars(query.with_for_update() if lock else query).one_or_none()
    if dataset is None:
        raise DatasetNotFoundError(
            f"There is no dataset {dataset_id!r}.", "POST /datasets uploads one and answers with its id."
        )
    return dataset


def erase(session: Session, owner: str, dataset_id: str) -> None:
    """Delete the rows, the out-of-fold predictions and the models; scores and metafeatures stay as evidence.

    Raises: DatasetNotFoundError, DatasetInUseError.
    """
    dataset = get(session, owner, dataset_id, lock=True)
    busy = session.scalars(
        select(Job.id).where(Job.dataset_id == dataset_id, Job.status.in_(jobs.ACTIVE)).limit(5)
    ).all()
    if busy:
        raise DatasetInUseError(
            f"The dataset is in use by {', '.join(busy)}.",
            "Cancel the job (POST /jobs/{id}/cancel) or wait for it, then delete again.",
            jobs=list(busy),
        )
    hashes = [dataset.content_hash] if dataset.content_hash else []
    dataset.content_hash = None
    dataset.deleted_at = session.scalars(select(now())).one()
    experiments = session.scalars(
        select(Experiment).join(Job, Job.id == Experiment.job_id).where(Job.dataset_id == dataset_id)
    )
    for experiment in experiments:
        hashes += [experiment.predictions_hash] if experiment.predictions_hash else []
        experiment.predictions_hash = None
    for model in session.scalars(select(Model).where(Model.dataset_id == dataset_id)):
        hashes.append(model.artifact_hash)
        session.delete(model)
    session.flush()
    blobs.discard_unreferenced(session, hashes)


def record(session: Session, *, owner: str, name: str, content: Path, facts: dict[str, Any]) -> Dataset:
    """Remember a described dataset and its rows."""
    dataset = Dataset(
        id=new_id("ds"),
        owner=owner,
        name=name,
        content_hash=blobs.put(session, content),
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
