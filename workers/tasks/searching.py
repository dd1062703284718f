"""A search: choose the next trials by what the ended ones tell, until there are enough, no time, or nothing left to try."""

from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.config import Settings
from app.isolation import Limits, Outcome
from app.metalearning.metrics import METRICS
from app.metalearning.portfolio import CONFIGURATIONS, Configuration, configuration_called, configuration_with
from app.metalearning.search import as_wishes, lies_in, spaces_of
from app.metalearning.table import TaskType
from app.store import budgets, events, experiments, jobs, searches
from app.store.experiments import EXPERIMENTING
from app.store.searches import Search
from app.store.tables import SEARCH, Dataset, Experiment, Job
from app.store.tasks import Claim
from workers.experiments.search import halving

_PROPOSAL_SECONDS = 60.0
_MOST_AT_ONCE = 8  # trials that one task chooses


def go_on(session: Session, job_id: str) -> str | None:
    """Ask for proposals where trials may be chosen; a queue where something waits, None where nothing does.

    Safe at any time, by anybody.
    """
    search = searches.held(session, job_id)
    if search is None:
        return None
    if search.n_ready > 0:
        return searches.ask_for_proposals(session, search)
    return searches.waiting_queue(session, job_id)


def load(
    session: Session,
    held: Claim,
    folder: Path,  # noqa: ARG001  nothing is written there
    settings: Settings,
) -> tuple[str, dict[str, Any], Limits]:
    """The child's function, what it knows, and its limits."""
    search = _search(session, held.job_id)
    request, task_type = search.job.request, _task_type(session, search.job)
    payload = {
        "task_type": str(task_type),
        **{
            name: request[name]
            for name in ("method", "algorithms", "space", "seed", "parallel", "grid_points")
        },
        "recommended": request["recommended"],
        "known": [_told(each, found, request) for each, found in known(session, search)],
        "trials": [_told(each, _configuration(each, task_type), request) for each in search.trials],
        "propose": min(_MOST_AT_ONCE, max(0, search.n_ready)),
    }
    seconds = min(_PROPOSAL_SECONDS, budgets.seconds_for_experiments(session, held.job_id))
    return "workers.tasks.computing:propose", payload, Limits(seconds, settings.memory_bytes)


def apply(session: Session, held: Claim, outcome: Outcome, folder: Path) -> None:  # noqa: ARG001  as every kind's
    """Write the trials that were chosen; where nothing was left, or choosing broke a limit, no more follow."""
    if outcome.value is None:
        is_late = experiments.held(session, held.job_id, SEARCH) is None
        searches.end_choosing(session, held.task_id, "time" if is_late else "failed")
        return
    job = session.scalars(select(Job).where(Job.id == held.job_id)).one()
    task_type = _task_type(session, job)
    for each in outcome.value["proposals"]:
        configuration = configuration_with(each["algorithm"], task_type, each["hyperparameters"])
        experiments.add(session, job, configuration, trial=each)
        told = {"configuration": configuration.id, "number": each["number"], "source": each["source"]}
        events.record(session, held.job_id, events.EXPERIMENT_ADDED, told)
    if outcome.value["exhausted"]:
        searches.end_choosing(session, held.task_id, "exhausted")


def give_up(session: Session, task_id: str) -> None:
    """Nothing: the search ends with the trials that it has."""


def known(session: Session, search: Search) -> list[tuple[Experiment, Configuration]]:
    """What was measured before and lies in the search space, of configurations that still are what they were."""
    request, task_type = search.job.request, _task_type(session, search.job)
    wishes = as_wishes(request["space"])
    spaces = spaces_of(request["algorithms"], task_type, wishes)
    found = []
    for each in search.known:
        if each.trial is None and each.configuration not in CONFIGURATIONS:
            continue  # of a portfolio that was
        configuration = _configuration(each, task_type)
        name = configuration.algorithm.name
        if (
            configuration.fingerprint == each.fingerprint
            and name in spaces
            and lies_in(spaces[name], wishes.get(name, {}), configuration.hyperparameters)
        ):
            found.append((each, configuration))
    return found


def rungs(session: Session, experiment: Experiment) -> dict[str, Any] | None:
    """What an experiment has to be among the best of to go on; None where its search gives nothing up halfway."""
    trial = experiment.trial
    if trial is None or "bracket" not in trial:
        return None
    search = _search(session, experiment.job_id)
    request = search.job.request
    latest = trial["number"] - request["parallel"]
    ended = [each for each in search.trials if searches.number_of(each) <= latest]
    others = [
        *(each for each, _ in known(session, search)),
        *(each for each in ended if (each.trial or {}).get("bracket") == trial["bracket"]),
    ]
    metric = METRICS[request["metric"]]
    losses: dict[str, list[float]] = {str(anchor): [] for anchor in halving.anchors_of(trial["bracket"])}
    for each in others:
        for point in (each.result or {}).get("learning_curve", ()):
            score = point.get(metric.name)
            if score is not None and str(point["anchor"]) in losses:
                losses[str(point["anchor"])].append(float(metric.loss(score)))
    return {"metric": metric.name, "losses": losses}


def finished(session: Session, search: Search) -> list[tuple[Experiment, Configuration]]:
    """What has scores: of the search, of those that it extends, and of what was known before."""
    task_type = _task_type(session, search.job)
    trials = [(each, _configuration(each, task_type)) for each in search.trials]
    return [pair for pair in (*known(session, search), *trials) if pair[0].outcome == "ok"]


def inherited_queue(session: Session, job_id: str) -> str | None:
    """The queue of the workers that can fit what a search has results of; None of other jobs, and where it has none."""
    job = session.scalars(select(Job).where(Job.id == job_id)).one()
    if job.kind != SEARCH or job.phase != EXPERIMENTING or jobs.has_unfinished_tasks(session, job_id):
        return None
    queues = {each.algorithm.queue for _, each in finished(session, searches.read(session, job))}
    return max(queues, default=None)  # gpu, where anything needs one


def summary(session: Session, job: Job) -> dict[str, Any]:
    """What a search's result tells of it."""
    search = searches.read(session, job)
    outcomes: dict[str, int] = {}
    for each in search.trials:
        outcomes[each.outcome or "not_finished"] = outcomes.get(each.outcome or "not_finished", 0) + 1
    return {
        "method": job.request["method"],
        "seed": job.request["seed"],
        "trials": len(search.trials),
        "outcomes": outcomes,
        "known_before": len(known(session, search)),
        "extends": job.request["extends"],
        "ended_because": searches.ended_because(session, job),
    }


def _search(session: Session, job_id: str) -> Search:
    return searches.read(session, session.scalars(select(Job).where(Job.id == job_id)).one())


def _task_type(session: Session, job: Job) -> TaskType:
    return TaskType(session.scalars(select(Dataset.task_type).where(Dataset.id == job.dataset_id)).one())


def _configuration(experiment: Experiment, task_type: TaskType) -> Configuration:
    return configuration_called(experiment.configuration, task_type, experiment.trial)


def _told(experiment: Experiment, configuration: Configuration, request: dict[str, Any]) -> dict[str, Any]:
    """A trial as those who choose see it."""
    score = ((experiment.result or {}).get("scores") or {}).get(request["metric"])
    return {
        "number": (experiment.trial or {}).get("number"),
        "algorithm": configuration.algorithm.name,
        "hyperparameters": configuration.hyperparameters,
        "loss": None if score is None else float(METRICS[request["metric"]].loss(score)),
    }
