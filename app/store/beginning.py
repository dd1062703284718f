"""Jobs begin in the request's transaction: what all kinds have in common, and those that measure what they are told to."""

from typing import Any

from sqlalchemy import update
from sqlalchemy.orm import Session

from app.metalearning.portfolio import Configuration
from app.store import events, experiments
from app.store.database import now
from app.store.experiments import EXPERIMENTING
from app.store.ids import new_id
from app.store.tables import MEASUREMENT, VERIFICATION, Dataset, Job


def verification(
    session: Session,
    *,
    owner: str,
    dataset_id: str,
    recommendation_id: str | None,
    configurations: list[Configuration],
    metric: str,
    time_budget_seconds: float,
    stack: dict[str, Any] | None = None,
    stop_early: bool = False,
    origin: dict[str, Any] | None = None,
    exploring: dict[str, Any] | None = None,
) -> Job:
    """Write a verification job and one experiment per configuration; the dataset counts as used from now.

    `stack` says how it is made (`meta_model`, `layers`, `calibrate`), `stop_early` whether what is hopeless is given up. With
    `exploring` (`most_experiments`, `constraints`) more experiments follow from the results.
    """
    job = Job(
        kind=VERIFICATION,
        owner=owner,
        dataset_id=dataset_id,
        recommendation_id=recommendation_id,
        request={"metric": metric, "stack": stack or {}, "stop_early": stop_early, **(exploring or {})},
        origin=origin or {},
        time_budget_seconds=time_budget_seconds,
    )
    return with_experiments(session, job, configurations)


def measurement(
    session: Session,
    *,
    owner: str,
    dataset_id: str,
    configurations: list[Configuration],
    time_budget_seconds: float,
    origin: dict[str, Any] | None = None,
) -> Job:
    """Write a job that ends with its experiments: nothing is stacked, nothing fitted on all rows."""
    job = Job(
        kind=MEASUREMENT,
        owner=owner,
        dataset_id=dataset_id,
        request={},
        origin=origin or {},
        time_budget_seconds=time_budget_seconds,
    )
    return with_experiments(session, job, configurations)


def with_experiments(session: Session, job: Job, configurations: list[Configuration]) -> Job:
    """Write a job with an experiment for each of these."""
    job.request |= {
        "configurations": [configuration.id for configuration in configurations],
        "time_budget_seconds": job.time_budget_seconds,
    }
    write(session, job, EXPERIMENTING)
    for configuration in configurations:
        experiments.add(session, job, configuration)
    told = {"kind": job.kind, "configurations": job.request["configurations"]}
    events.record(session, job.id, events.QUEUED, told)
    return job


def write(session: Session, job: Job, phase: str) -> None:
    """Write a job that waits for a worker; its dataset, if it has one, counts as used from now."""
    job.id, job.status, job.phase = new_id("job"), "queued", phase
    session.add(job)
    session.flush()
    session.execute(
        update(Dataset)
        .where(Dataset.id == job.dataset_id)
        .values(used_at=now())
        .execution_options(synchronize_session=False)
    )
