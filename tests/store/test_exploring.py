"""A verification that follows its results asks for what is worth measuring next: once, in time, and no more than it may."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select, update

from app.metalearning import suggestion
from app.metalearning.knowledge import load_knowledge
from app.metalearning.metafeatures import SCHEMA_VERSION
from app.metalearning.metrics import METRICS
from app.metalearning.portfolio import find_configuration
from app.metalearning.table import TaskType
from app.store import beginning, jobs
from app.store.database import Database, now
from app.store.experiments import STOPPED_EARLY
from app.store.tables import Experiment, Job, JobEvent, Task
from app.store.tasks import Claim
from tests.store.rows import dataset_row
from tests.store.test_claiming import claim, finish_experiment, write
from tests.tables import known_metafeatures
from workers.tasks import experiment, verification

METRIC = METRICS["accuracy"]
EVIDENCE = load_knowledge()[TaskType.CLASSIFICATION].evidence
ROW = 131  # what happens on the dataset is what happened on this one, where the first are far from the best
FIRST = ("clf-lda-shrunk", "clf-knn-5")
NO_WISHES: dict[str, Any] = {"algorithms": [], "interpretable_only": False}


def begin(database: Database, most: int | None = 6, **wishes: Any) -> str:
    """A job that begins with two experiments."""
    exploring = {"most_experiments": most, "constraints": NO_WISHES | wishes} if most is not None else None
    with database.write() as session:
        dataset = dataset_row(
            f"ds_{most}_{len(wishes)}",
            n_rows=500,
            metafeatures=known_metafeatures(EVIDENCE, ROW),
            metafeature_version=SCHEMA_VERSION,
        )
        session.add(dataset)
        session.flush()
        job = beginning.verification(
            session,
            owner="local",
            dataset_id=dataset.id,
            recommendation_id=None,
            configurations=[find_configuration(name) for name in FIRST],
            metric="accuracy",
            time_budget_seconds=300.0,
            exploring=exploring,
        )
        session.commit()
    return job.id


def end(database: Database, held: Claim) -> None:
    """End an experiment with the score that its configuration has on the dataset."""
    [name] = read(database, select(Experiment.configuration).where(Experiment.task_id == held.task_id))
    loss = EVIDENCE.losses["accuracy"][ROW, EVIDENCE.configurations.index(name)]
    assert finish_experiment(database, held)
    result = {"scores_a": {"accuracy": float(METRIC.score(loss))}} if not np.isnan(loss) else {}
    change = update(Experiment).where(Experiment.task_id == held.task_id).values(result=result)
    write(database, lambda session: session.execute(change))


def advance(database: Database, job_id: str) -> str | None:
    return write(database, lambda session: verification.advance(session, job_id))


def read(database: Database, query: Any) -> list[Any]:
    with database.read() as session:
        return list(session.scalars(query).all())


def asked(database: Database, job_id: str) -> list[str]:
    query = select(Experiment.configuration).join(Task, Task.id == Experiment.task_id)
    return read(database, query.where(Experiment.job_id == job_id).order_by(Task.id))


def open_tasks(database: Database, job_id: str, kind: str = "experiment") -> int:
    query = select(Task.id).where(Task.job_id == job_id, Task.kind == kind, Task.status.in_(jobs.UNFINISHED))
    return len(read(database, query))


def never_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suggestion, "mended_probability", lambda *_: 0.0)


def test_every_result_leads_to_the_next_experiment_until_there_were_enough(database, monkeypatch):
    never_enough(monkeypatch)
    job_id = begin(database)
    for ended in range(1, 7):
        end(database, claim(database))
        advance(database, job_id)
        assert len(asked(database, job_id)) == min(6, 2 + ended)
    names = asked(database, job_id)
    assert len(set(names)) == 6
    assert tuple(names[:2]) == FIRST
    assert open_tasks(database, job_id) == 0
    assert open_tasks(database, job_id, "stacking") == 1
    events = read(
        database, select(JobEvent).where(JobEvent.job_id == job_id, JobEvent.kind == "experiment_added")
    )
    assert [each.data["configuration"] for each in events] == names[2:]
    assert all(each.data["expected_improvement"] >= 0 for each in events)


def test_what_was_stopped_early_counts_as_what_was_to_be_expected_of_it(database, monkeypatch):
    """It is not tried again, nor the best so far, and others follow."""
    never_enough(monkeypatch)
    job_id = begin(database)
    hopeless, other = claim(database), claim(database)
    assert finish_experiment(database, hopeless, outcome=STOPPED_EARLY)
    result = {"extrapolation": {"metric": "accuracy", "score": 0.3}}
    change = update(Experiment).where(Experiment.task_id == hopeless.task_id).values(result=result)
    write(database, lambda session: session.execute(change))
    advance(database, job_id)
    end(database, other)
    advance(database, job_id)
    names = asked(database, job_id)
    assert len(names) == len(set(names)) == 4
    assert open_tasks(database, job_id) == 2


def test_what_has_to_be_beaten_is_the_best_so_far(database):
    """By all rows, whoever was lucky on one fold. Where the job gives nothing up, and before anything has ended, there is nothing to beat."""
    job_id = begin(database)
    first, second = claim(database), claim(database)
    stop_early = {"metric": "accuracy", "stop_early": True}

    def to_beat() -> Any:
        with database.read() as session:
            return experiment._best_so_far(session, job_id)

    def request(**changed: Any) -> None:
        write(database, lambda session: session.execute(update(Job).values(request=stop_early | changed)))

    request()
    assert to_beat() is None
    for held, score in ((first, 0.7), (second, 0.8)):
        assert finish_experiment(database, held)
        folds = [{"accuracy": 1.0 - score}, {}, {"accuracy": score}]
        result = {"scores": {"accuracy": score}, "fold_scores": folds}
        change = update(Experiment).where(Experiment.task_id == held.task_id).values(result=result)
        write(database, lambda session, change=change: session.execute(change))
    assert to_beat() == {
        "configuration": asked(database, job_id)[1],
        "metric": "accuracy",
        "fold_scores": [pytest.approx(0.2), 0.8],
    }
    request(stop_early=False)
    assert to_beat() is None


def test_later_experiments_are_better_than_the_first(database, monkeypatch):
    never_enough(monkeypatch)
    job_id = begin(database, most=8)
    while (held := claim(database)) is not None and held.kind == "experiment":
        end(database, held)
        advance(database, job_id)
    losses = [
        EVIDENCE.losses["accuracy"][ROW, EVIDENCE.configurations.index(name)]
        for name in asked(database, job_id)
    ]
    assert np.nanmin(losses[2:]) < np.nanmin(losses[:2])


def test_it_stops_where_nothing_more_is_to_be_gained(database, monkeypatch):
    monkeypatch.setattr(suggestion, "mended_probability", lambda *_: 1.0)
    job_id = begin(database)
    for _ in FIRST:
        end(database, claim(database))
        advance(database, job_id)
    assert asked(database, job_id) == list(FIRST)
    assert open_tasks(database, job_id, "stacking") == 1


def test_workers_that_end_experiments_at_once_choose_no_more_than_may_be_under_way(database, monkeypatch):
    never_enough(monkeypatch)
    job_id = begin(database, most=20)
    for _ in range(4):
        both = [claim(database), claim(database)]
        for held in both:
            end(database, held)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: advance(database, job_id), range(8)))
        assert open_tasks(database, job_id) == 2
        names = asked(database, job_id)
        assert len(names) == len(set(names))


@pytest.mark.requirement("R1")
def test_a_death_between_a_result_and_the_next_choice_costs_nothing(database, monkeypatch):
    never_enough(monkeypatch)
    job_id = begin(database)
    for _ in FIRST:
        end(database, claim(database))  # and nobody advances the job
    with database.read() as session:
        assert jobs.due(session) == [job_id]
    assert advance(database, job_id) == "cpu"
    assert open_tasks(database, job_id) == 2


def test_the_time_that_stacking_has_is_not_explored_away(database, monkeypatch):
    never_enough(monkeypatch)
    job_id = begin(database)
    for _ in FIRST:
        end(database, claim(database))
    late = update(Job).where(Job.id == job_id).values(deadline=now() + 70.0)  # a quarter of 300 is 75
    write(database, lambda session: session.execute(late))
    advance(database, job_id)
    assert asked(database, job_id) == list(FIRST)
    assert open_tasks(database, job_id, "stacking") == 1


def test_a_cancelled_job_explores_no_more(database, monkeypatch):
    never_enough(monkeypatch)
    job_id = begin(database)
    held = claim(database)
    write(database, lambda session: jobs.request_cancel(session, "local", job_id))
    end(database, held)
    advance(database, job_id)
    assert asked(database, job_id) == list(FIRST)
    assert read(database, select(Job.status).where(Job.id == job_id)) == ["cancelled"]


def test_constraints_hold_for_what_is_added(database, monkeypatch):
    never_enough(monkeypatch)
    job_id = begin(database, interpretable_only=True)
    for _ in range(4):
        end(database, claim(database))
        advance(database, job_id)
    assert len(asked(database, job_id)) == 6
    assert all(find_configuration(name).algorithm.interpretable for name in asked(database, job_id)[2:])


def test_what_cannot_be_suggested_ends_the_exploration_and_not_the_job(database):
    job_id = begin(database, algorithms=["no_such_algorithm"])
    for _ in FIRST:
        end(database, claim(database))
        advance(database, job_id)
    assert asked(database, job_id) == list(FIRST)
    assert open_tasks(database, job_id, "stacking") == 1


def test_a_job_that_does_not_explore_measures_its_candidates_alone(database):
    job_id = begin(database, most=None)
    for _ in FIRST:
        end(database, claim(database))
        advance(database, job_id)
    assert asked(database, job_id) == list(FIRST)
