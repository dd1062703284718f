"""Searches: the trials that were made, what was known before, and how many may be chosen now.

A search that extends another goes on with its trials: they are counted, learned from and stacked as if they were its own.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from app.errors import InvalidRequestError, SearchUnderWayError
from app.metalearning.portfolio import configuration_called
from app.metalearning.protocol import PROTOCOL
from app.metalearning.table import TaskType
from app.store import beginning, experiments, jobs, tasks
from app.store.jobs import TIME_BUDGET_SPENT
from app.store.tables import SEARCH, Dataset, Experiment, Job, Task

PROPOSING = "proposing"  # the kind of the task that chooses trials
_NO_END = 1 << 30
_OVER = "no_more_because"  # in the progress of the task that chose last


@dataclass(frozen=True)
class Search:
    """A search, its trials by number, those of the searches that it extends included, and what ended before all of them.

    A trial that an earlier search did not finish is there only once it is made again.
    """

    job: Job
    trials: tuple[Experiment, ...]
    known: tuple[Experiment, ...]

    @property
    def n_ready(self) -> int:
        """How many trials may be chosen: each by the results of all but the `parallel` - 1 before it."""
        following = max(map(number_of, self.trials), default=-1) + 1
        waiting = min((number_of(each) for each in self.trials if each.outcome is None), default=following)
        begun = sum(each.job_id == self.job.id for each in self.trials)
        wanted = (self.job.request["trials"] or _NO_END) - begun
        return min(wanted, waiting + int(self.job.request["parallel"]) - following)


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
    beginning.with_experiments(session, job, [])
    if request["extends"] is not None:
        _make_again(session, job)
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
    by_number: dict[int, Experiment] = {}
    for each in chain:
        for trial in _trials(session, each):
            if each is job or is_finished(trial):
                by_number[number_of(trial)] = trial
    known = _known(session, chain) if job.request["warm_start"] else ()
    return Search(job, tuple(by_number[number] for number in sorted(by_number)), known)


def number_of(experiment: Experiment) -> int:
    """Of a trial."""
    assert experiment.trial is not None, "every experiment of a search is a trial"
    return int(experiment.trial["number"])


def is_finished(experiment: Experiment) -> bool:
    """Whether it has an outcome that says something of the configuration: what a budget cut off has none."""
    error = (experiment.result or {}).get("error") or {}
    return experiment.outcome is not None and error.get("code") != TIME_BUDGET_SPENT


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
    finished = [each for each in _trials(session, job) if is_finished(each)]
    return "trials" if len(finished) == job.request["trials"] else "time"


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
    """Whether trials are being chosen, or never will be again.

    All tasks that choose are looked at: ids tell the order of what one process writes, not of several.
    """
    choosing = select(Task).where(Task.job_id == job_id, Task.kind == PROPOSING)
    found = session.scalars(choosing.execution_options(populate_existing=True)).all()
    return any(each.status != "succeeded" or _OVER in each.progress for each in found)


def _make_again(session: Session, job: Job) -> None:
    """Write the trials that the searches before did not finish, as many as there may be, under their numbers."""
    chain = _chain(session, job)
    task_type = TaskType(session.scalars(select(Dataset.task_type).where(Dataset.id == job.dataset_id)).one())
    begun = {number_of(each): each for earlier in chain[:-1] for each in _trials(session, earlier)}
    finished = {number_of(each) for each in read(session, job).trials}
    missing = [begun[number] for number in sorted(set(begun) - finished)]
    for each in missing[: job.request["trials"]]:
        assert each.trial is not None, "every experiment of a search is a trial"
        configuration = configuration_called(each.configuration, task_type, each.trial)
        experiments.add(session, job, configuration, trial=each.trial)


def _chain(session: Session, job: Job) -> list[Job]:
    """The first of the searches that extend each other up to this one, in order."""
    chain = [job]
    while (before := chain[0].request.get("extends")) is not None:
        chain.insert(0, session.scalars(select(Job).where(Job.id == before)).one())
    return chain


def _trials(session: Session, job: Job) -> list[Experiment]:
    rows = select(Experiment).where(Experiment.job_id == job.id, Experiment.trial.is_not(None))
    found = session.scalars(rows.execution_options(populate_existing=True)).all()
    return sorted(found, key=number_of)


def _known(session: Session, chain: list[Job]) -> tuple[Experiment, ...]:
    """What ended on the dataset before the first of the searches began, of every configuration the newest, one with scores before others.

    What failed is known too, and what was given up: its learning curve says how far others came.
    """
    rows = (
        select(Experiment)
        .join(Job, Job.id == Experiment.job_id)
        .join(Task, Task.id == Experiment.task_id)
        .where(
            Job.dataset_id == chain[0].dataset_id,
            Experiment.outcome.is_not(None),
            Task.finished_at <= chain[0].created_at,
            Job.id.not_in([each.id for each in chain]),
        )
        .order_by(Experiment.outcome == "ok", Task.finished_at, Experiment.task_id)
    )
    found = (each for each in session.scalars(rows) if is_finished(each) and _is_of_today(each))
    return tuple({each.fingerprint: each for each in found}.values())


def _is_of_today(experiment: Experiment) -> bool:
    """Whether it was measured as it would be now; errors do not say how."""
    return bool((experiment.result or {}).get("protocol", PROTOCOL) == PROTOCOL)
