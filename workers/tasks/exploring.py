"""A verification that follows its results: after every experiment, what is most worth measuring next."""

from contextlib import suppress
from functools import lru_cache
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.following import Promoted
from app.metalearning import protocol
from app.metalearning.constraints import Constraints
from app.metalearning.recommendation import Question
from app.metalearning.suggestion import Observation, Suggestion, suggest
from app.metalearning.table import TaskType
from app.store import experiments
from app.store.database import Database
from app.store.experiments import STOPPED_EARLY, Exploration
from app.store.tables import Experiment

log = structlog.get_logger(__name__)


def prepare(database: Database, job_id: str) -> None:
    """Read what choosing needs, if the job chooses, before a transaction is open that waits for it."""
    with database.read() as session:
        if experiments.explores(session, job_id):
            with suppress(Exception):  # whoever chooses meets it again, and ends the exploration
                for task_type in TaskType:
                    _promoted().now(session, task_type)


def go_on(session: Session, job_id: str) -> str | None:
    """Ask for as many experiments as may run at once; the queue of the last, None where nothing more is worth while.

    As many are under way as the job began with. Safe at any time, by anybody.
    """
    exploration = experiments.exploration(session, job_id)
    if exploration is None:
        return None
    queue = None
    for _ in range(min(exploration.tries_left, _width(exploration) - exploration.under_way)):
        found = _suggest(session, exploration)
        if found is None or found.stop or found.next is None:
            break
        configuration = found.next.configuration
        experiments.ask_for(session, exploration.job, configuration, found.next.expected_improvement)
        queue = configuration.algorithm.queue
        exploration = experiments.exploration(session, job_id)
        if exploration is None:
            break
    return queue


def _width(exploration: Exploration) -> int:
    return len(exploration.job.request["configurations"])


def _suggest(session: Session, exploration: Exploration) -> Suggestion | None:
    """What the results so far suggest; None where that cannot be told, which ends the exploration and not the job."""
    job, dataset = exploration.job, exploration.dataset
    task_type, metric = TaskType(dataset.task_type), str(job.request["metric"])
    wishes: dict[str, Any] = {
        name: frozenset(value) if isinstance(value, list) else value
        for name, value in job.request["constraints"].items()
    }
    ended = [each for each in exploration.asked if each.outcome is not None]
    observations = [Observation(each.configuration, _seen(each, metric)) for each in ended]
    if any(
        told.score is None and each.outcome == "ok" for told, each in zip(observations, ended, strict=True)
    ):
        return None  # half A has too few rows for the metric: nothing can be chosen by it
    try:
        return suggest(
            _promoted().now(session, task_type),
            Question(
                task_type,
                dataset.metafeatures,
                metric,
                target_sd=dataset.target_sd,
                constraints=Constraints(**wishes),
            ),
            observations,
            seconds_left=exploration.seconds_left,
            fits=protocol.n_folds(min(dataset.n_rows, protocol.MOST_ROWS)) + len(protocol.ANCHORS),
            pending=[each.configuration for each in exploration.asked if each.outcome is None],
            tries_left=exploration.tries_left,
            most_rows=protocol.MOST_ROWS,
        )
    except SQLAlchemyError:
        raise
    except Exception:  # what was measured is worth more than what might be
        log.exception("exploration_ended", job_id=job.id)
        return None


def _seen(experiment: Experiment, metric: str) -> float | None:
    """The score that is told of it: half A of the rows chooses, half B judges; of what was stopped, what was to be expected."""
    result = experiment.result or {}
    if experiment.outcome == STOPPED_EARLY:
        return float(result["extrapolation"]["score"])
    score = (result.get("scores_a") or {}).get(metric)
    return None if score is None else float(score)


@lru_cache(maxsize=1)
def _promoted() -> Promoted:
    """Read when it is first needed, once per process."""
    return Promoted()
