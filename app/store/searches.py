"""Searches: the trials that were made, what was known before, and how many may be chosen now.

A search that extends another goes on with its trials: they are counted, learned from and stacked as if they were its own.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from app.errors import InvalidRequestError, SearchUnderWayError
from app.metalearning.protocol import PROTOCOL
from app.store import experiments, jobs, tasks
from app.store.tables import SEARCH, Evaluation, Experiment, Job, Task

PROPOSING = "proposing"  # the kind of the task that chooses trials
_NO_END = 1 << 30
_OVER = "no_more_because"  # in the progress of the task that chose last


@dataclass(frozen=True)
class Search:
    """A search, its trials in order, those of the searches that it extends first, and what was measured before all of them."""

    job: Job
    trials: tuple[Experiment, ...]
    known: tuple[Experiment, ...]

    @property
    def n_ready(self) -> int:
        """How many trials may be chosen: each by the results of all but the `parallel` - 1 before it."""
        ended = next(
            (index for index, each in enumerate(self.trials) if each.outcome is None), len(self.trials)
        )
        begun = sum(each.job_id == self.job.id for each in self.trials)
        wanted = (self.job.request["trials"] or _NO_END) - begun
        return min(wanted, ended + int(self.job.request["parallel"]) - len(self.trials))


def begin(
    session: Session,
    *,
    owner: str,
    dataset_id: str,
    request: dict[str, Any],
    time_budget_seconds: float,
    origin: dict[str, Any] | None = None,
) -> Job:
    """Write a search and the task that chooses its first trials; the dataset counts as used from now.

    `request` says what is searched and how: `method`, `algorithms`, `space`, `metric`, `trials` (None for as many as there is
    time for), `parallel`, `seed`, `grid_points`, `recommended`, `warm_start`, `extends`, `stack`.
    """
    job = Job(
        kind=SEARCH,
        owner=owner,
        dataset_id=dataset_id,
        request=request,
        origin=origin or {},
        time_budget_seconds=time_budget_seconds,
    )
    jobs.begin(session, job, [])
    tasks.add(session, job, PROPOSING, "cpu")
    return job


def to_extend(session: Session, owner: str, job_id: str) -> Job:
    """The owner's search, if it has ended.

    Raises: JobNotFoundError, InvalidRequestError, SearchUnderWayError.
    """
    job = jobs.get(session, owner, job_id)
    if job.kind != SEARCH:
        raise InvalidRequestError(
            f"extends: {job_id} is a {job.kind}, and only a search can be extended.",
            "Name the id of a search, or leave extends out.",
        )
    if job.status in jobs.ACTIVE:
        raise SearchUnderWayError(
            f"The search {job_id} has not ended.",
            f"Wait for GET /jobs/{job_id}, or cancel it.",
            job_id=job_id,
        )
    return job


def read(session: Session, job: Job) -> Search:
    """The search as it is now."""
    chain = _chain(session, job)
    trials = tuple(
        trial
        for each in chain
        for trial in _trials(session, each)
        if each is job or trial.outcome is not None  # what an earlier search did not finish is not counted
    )
    known = _known(session, chain) if job.request["warm_start"] else ()
    return Search(job, trials, known)


def held(session: Session, job_id: str) -> Search | None:
    """The search, held until the transaction ends, if it may choose trials; None where it may not, or chooses right now.

    Whoever holds it is alone in asking for proposals.
    """
    job = experiments.held(session, job_id, SEARCH)
    if job is None or _is_done(session, job_id):
        return None
    return read(session, job)


def ask_for_proposals(session: Session, search: Search) -> str:
    """Write the task that chooses trials; its queue."""
    return tasks.add(session, search.job, PROPOSING, "cpu").queue


def end_choosing(session: Session, task_id: str, because: str) -> None:
    """Note at the task that chose last why no more trials follow."""
    session.get_one(Task, task_id).progress = {_OVER: because}


def waiting_queue(session: Session, job_id: str) -> str | None:
    """The queue of one of its tasks that waits for a worker."""
    waiting = select(Task.queue).where(Task.job_id == job_id, Task.status == "queued").limit(1)
    return session.scalar(waiting)


def ended_because(session: Session, job: Job) -> str:
    """Why no more trials follow: `trials`, `exhausted`, `failed` (nobody survived choosing them) or `time`."""
    choosing = session.scalars(
        select(Task).where(Task.job_id == job.id, Task.kind == PROPOSING).order_by(Task.id.desc())
    ).all()
    if any(each.status == "failed" for each in choosing):
        return "failed"
    noted = next((str(each.progress[_OVER]) for each in choosing if _OVER in each.progress), None)
    if noted is not None:
        return noted
    made = select(Experiment.task_id).where(Experiment.job_id == job.id)
    return "trials" if len(session.scalars(made).all()) == job.request["trials"] else "time"


def why_nothing(session: Session, job_id: str) -> dict[str, Any] | None:
    """The error of a search without a single score; None of any other job, and where every trial failed."""
    job = session.scalars(select(Job).where(Job.id == job_id)).one()
    if job.kind != SEARCH:
        return None
    because = ended_because(session, job)
    if because == "time":
        expected = job.request["expected_trial_seconds"]
        told = f" A trial is expected to take about {expected:.3g} s of CPU." if expected else ""
        return {
            "code": "budget_too_small",
            "detail": f"No trial ended within the time budget of {job.time_budget_seconds:g} s.{told}",
            "advice": "Ask for a larger time_budget_seconds, quicker algorithms, or a smaller dataset.",
        }
    if because == "exhausted" and not session.scalar(select(exists().where(Experiment.job_id == job_id))):
        return {
            "code": "search_space_exhausted",
            "detail": "Everything in the search space was tried before.",
            "advice": "Widen the space, or name more algorithms.",
        }
    return None


def _is_done(session: Session, job_id: str) -> bool:
    """Whether trials are being chosen, or never will be again."""
    choosing = select(Task).where(Task.job_id == job_id, Task.kind == PROPOSING).order_by(Task.id.desc())
    newest = session.scalars(choosing.execution_options(populate_existing=True)).first()
    return newest is not None and (newest.status != "succeeded" or _OVER in newest.progress)


def _chain(session: Session, job: Job) -> list[Job]:
    """The first of the searches that extend each other up to this one, in order."""
    chain = [job]
    while (before := chain[0].request.get("extends")) is not None:
        chain.insert(0, session.scalars(select(Job).where(Job.id == before)).one())
    return chain


def _trials(session: Session, job: Job) -> list[Experiment]:
    rows = select(Experiment).where(Experiment.job_id == job.id, Experiment.trial.is_not(None))
    found = session.scalars(rows.execution_options(populate_existing=True)).all()
    return sorted(found, key=lambda each: int((each.trial or {})["number"]))


def _known(session: Session, chain: list[Job]) -> tuple[Experiment, ...]:
    """What was measured on the dataset before the first of the searches began, the newest of every configuration."""
    rows = (
        select(Experiment)
        .join(Evaluation, Evaluation.experiment_id == Experiment.task_id)
        .where(
            Evaluation.dataset_id == chain[0].dataset_id,
            Evaluation.protocol == PROTOCOL,
            Evaluation.status == "ok",
            Evaluation.created_at <= chain[0].created_at,
            Experiment.job_id.not_in([each.id for each in chain]),
        )
        .order_by(Experiment.task_id)
    )
    return tuple({each.fingerprint: each for each in session.scalars(rows)}.values())
