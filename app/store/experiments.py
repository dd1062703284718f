"""Experiments: what a job measures; more of them while it runs, where it follows its results."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.metalearning.metafeatures import SCHEMA_VERSION
from app.metalearning.portfolio import Configuration
from app.store import budgets, events, tasks
from app.store.database import now
from app.store.tables import VERIFICATION, Dataset, Experiment, Job, Task

EXPERIMENTING = "experimenting"
STOPPED_EARLY = "stopped_early"  # the outcome of an experiment whose learning curve left no hope


@dataclass(frozen=True)
class Exploration:
    """A running job that may still choose what to measure: so far it asked for `asked`, of which some are under way."""

    job: Job
    dataset: Dataset
    asked: tuple[Experiment, ...]
    seconds_left: float

    @property
    def under_way(self) -> int:
        """Experiments without an outcome."""
        return sum(each.outcome is None for each in self.asked)

    @property
    def tries_left(self) -> int:
        """How many more may be asked for."""
        return int(self.job.request["most_experiments"]) - len(self.asked)


def add(
    session: Session, job: Job, configuration: Configuration, trial: dict[str, Any] | None = None
) -> None:
    """Write an experiment of the job, and its task; `trial` is its part in a search."""
    task = tasks.add(session, job, "experiment", configuration.algorithm.queue)
    session.add(
        Experiment(
            task_id=task.id,
            job_id=job.id,
            configuration=configuration.id,
            fingerprint=configuration.fingerprint,
            **({"trial": trial} if trial else {}),  # JSON has a null of its own
        )
    )
    session.flush()


def held(session: Session, job_id: str, kind: str) -> Job | None:
    """The job, locked, if it is of this kind and still has time for experiments."""
    return session.scalars(
        select(Job)
        .where(
            Job.id == job_id,
            Job.kind == kind,
            Job.status == "running",
            Job.phase == EXPERIMENTING,
            Job.cancel_requested_at.is_(None),
            now() < budgets.EXPERIMENTS_END,
        )
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one_or_none()


def explores(session: Session, job_id: str) -> bool:
    """Whether the job follows its results."""
    request = session.scalar(select(Job.request).where(Job.id == job_id))
    return request is not None and "most_experiments" in request


def exploration(session: Session, job_id: str) -> Exploration | None:
    """The job, held until the transaction ends, if it follows its results and has time and tries left.

    Whoever holds it is alone in choosing: two workers that end experiments at once do not both choose the same.
    """
    job = held(session, job_id, VERIFICATION)
    if job is None or not explores(session, job_id):
        return None
    end = budgets.experiments_end(job)
    assert end is not None, "what runs was taken up"
    rows = session.execute(
        select(Experiment)
        .join(Task, Task.id == Experiment.task_id)
        .where(Experiment.job_id == job_id)
        .order_by(Task.id)
        .execution_options(populate_existing=True)
    )
    dataset = session.scalars(select(Dataset).where(Dataset.id == job.dataset_id)).one()
    seconds_left = end - session.scalars(select(now())).one()
    found = Exploration(job, dataset, tuple(rows.scalars()), seconds_left)
    known = dataset.metafeature_version == SCHEMA_VERSION  # values of another one mean something else
    return found if found.tries_left > 0 and known else None


def ask_for(
    session: Session, job: Job, configuration: Configuration, expected_improvement: float | None
) -> None:
    """Add an experiment to a running job, and tell those who watch why."""
    add(session, job, configuration)
    told = {"configuration": configuration.id, "expected_improvement": expected_improvement}
    events.record(session, job.id, events.EXPERIMENT_ADDED, told)
