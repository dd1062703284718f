"""A search chooses its trials from what ended, keeps to its budget, and goes on from another."""

from typing import Any

import pytest
from sqlalchemy import select, update

from app.errors import InvalidRequestError, JobNotFoundError, SearchUnderWayError
from app.isolation import Ending, Outcome
from app.metalearning.portfolio import find_configuration
from app.metalearning.protocol import PROTOCOL
from app.store import beginning, jobs, searches
from app.store.database import Database, now
from app.store.experiments import STOPPED_EARLY
from app.store.tables import Evaluation, Experiment, Job, Task
from tests.store.rows import dataset_row
from tests.store.test_claiming import claim, write
from workers.tasks import searching, verification

ASKED: dict[str, Any] = {
    "method": "random",
    "algorithms": ["knn", "svm"],
    "space": {},
    "metric": "accuracy",
    "trials": 5,
    "parallel": 2,
    "seed": 0,
    "grid_points": 3,
    "recommended": [],
    "warm_start": True,
    "extends": None,
    "expected_trial_seconds": 1.5,
    "stack": {},
}


def begin(database: Database, dataset: str = "ds_1", **wishes: Any) -> str:
    def change(session: Any) -> str:
        if session.get(type(dataset_row("")), dataset) is None:
            session.add(dataset_row(dataset))
            session.flush()
        job = searches.begin(
            session, owner="local", dataset_id=dataset, request=ASKED | wishes, time_budget_seconds=300.0
        )
        return job.id

    return write(database, change)


def propose(database: Database, *points: tuple[str, dict[str, Any]], exhausted: bool = False) -> int:
    """Do the waiting task that chooses trials as a worker would: how many it was asked for."""
    held = claim(database)
    assert held.kind == searches.PROPOSING

    def change(session: Any) -> int:
        search = searching._search(session, held.job_id)
        chosen = [
            {
                "number": max(map(searches.number_of, search.trials), default=-1) + 1 + index,
                "algorithm": name,
                "hyperparameters": values,
                "source": "random",
            }
            for index, (name, values) in enumerate(points)
        ]
        ready = search.n_ready
        assert jobs.tasks.finish(session, held)
        found = {"proposals": chosen, "exhausted": exhausted}
        searching.apply(session, held, Outcome(Ending.OK, found), None)
        return ready

    return write(database, change)


def knn(n_neighbors: int) -> tuple[str, dict[str, Any]]:
    return "knn", {"n_neighbors": n_neighbors}


def end(database: Database, accuracy: float | None, outcome: str = "ok", **result: Any) -> None:
    """Do the experiment whose turn it is."""
    held = claim(database)
    assert held.kind == "experiment"

    def change(session: Any) -> None:
        assert jobs.tasks.finish(session, held)
        scores = {} if accuracy is None else {"scores": {"accuracy": accuracy}}
        session.execute(
            update(Experiment)
            .where(Experiment.task_id == held.task_id)
            .values(outcome=outcome, result={**scores, **result})
        )

    write(database, change)


def advance(database: Database, job_id: str) -> str | None:
    return write(database, lambda session: verification.advance(session, job_id))


def search_of(database: Database, job_id: str) -> searches.Search:
    with database.read() as session:
        return searches.read(session, session.scalars(select(Job).where(Job.id == job_id)).one())


def open_tasks(database: Database, job_id: str) -> list[str]:
    with database.read() as session:
        query = select(Task.kind).where(Task.job_id == job_id, Task.status.in_(jobs.UNFINISHED))
        return list(session.scalars(query.order_by(Task.id)))


def job_of(database: Database, job_id: str) -> Job:
    with database.read() as session:
        return session.scalars(select(Job).where(Job.id == job_id)).one()


def test_trials_are_chosen_as_others_end_until_there_are_enough(database):
    job_id = begin(database)
    assert open_tasks(database, job_id) == ["proposing"]
    assert propose(database, knn(1), knn(2)) == 2
    assert advance(database, job_id) == "cpu"  # experiments wait: whoever looks is told
    assert open_tasks(database, job_id) == ["experiment"] * 2
    end(database, 0.5)
    advance(database, job_id)
    assert open_tasks(database, job_id) == ["experiment", "proposing"]
    advance(database, job_id)  # again changes nothing
    assert open_tasks(database, job_id) == ["experiment", "proposing"]
    assert propose(database, knn(3)) == 1
    end(database, 0.6)
    end(database, 0.7)
    advance(database, job_id)
    assert propose(database, knn(4), knn(5)) == 2
    end(database, 0.8)
    end(database, 0.8)
    advance(database, job_id)
    assert open_tasks(database, job_id) == ["stacking"]
    found = search_of(database, job_id)
    assert [each.trial["number"] for each in found.trials] == [0, 1, 2, 3, 4]
    assert len({each.configuration for each in found.trials}) == 5
    with database.read() as session:
        assert searching.summary(session, job_of(database, job_id)) == {
            "method": "random",
            "seed": 0,
            "trials": 5,
            "outcomes": {"ok": 5},
            "known_before": 0,
            "extends": None,
            "ended_because": "trials",
        }


def test_a_later_trial_that_ends_first_is_not_learned_from_before_its_turn(database):
    """Of two at once the third waits for the first, whatever the second does."""
    job_id = begin(database)
    propose(database, knn(1), knn(2))
    first = claim(database)
    end(database, 0.9)
    advance(database, job_id)
    assert open_tasks(database, job_id) == ["experiment"]
    assert search_of(database, job_id).n_ready == 0
    write(database, lambda session: jobs.tasks.finish(session, first))
    ended = update(Experiment).where(Experiment.task_id == first.task_id).values(outcome="failed")
    write(database, lambda session: session.execute(ended))
    assert search_of(database, job_id).n_ready == 2


def test_where_nothing_is_left_to_try_the_search_ends_with_what_it_has(database):
    job_id = begin(database)
    propose(database, knn(1), exhausted=True)
    end(database, 0.5)
    advance(database, job_id)
    assert open_tasks(database, job_id) == ["stacking"]
    with database.read() as session:
        assert searches.ended_because(session, job_of(database, job_id)) == "exhausted"


@pytest.mark.parametrize(
    ("points", "code"),
    [((), "search_space_exhausted"), ((knn(1),), "no_configuration_succeeded")],
    ids=["nothing to try", "everything failed"],
)
def test_a_search_without_a_score_says_why(database, points, code):
    job_id = begin(database, trials=1, parallel=1)
    propose(database, *points, exhausted=not points)
    for _ in points:
        end(database, None, outcome="failed", error={"code": "configuration_failed"})
    advance(database, job_id)
    job = job_of(database, job_id)
    assert (job.status, job.error["code"]) == ("failed", code)
    assert job.error["advice"]


def test_a_budget_too_small_for_one_trial_is_told_with_what_would_do(database):
    job_id = begin(database)
    propose(database, knn(1), knn(2))
    late = update(Job).where(Job.id == job_id).values(deadline=now() - 10.0)
    write(database, lambda session: session.execute(late))
    advance(database, job_id)
    job = job_of(database, job_id)
    assert (job.status, job.error["code"]) == ("failed", "budget_too_small")
    assert "1.5 s of CPU" in job.error["detail"]


def test_a_proposal_that_nobody_survives_ends_the_search_with_what_it_has(database):
    job_id = begin(database)
    propose(database, knn(1), knn(2))
    end(database, 0.5)
    advance(database, job_id)
    held = claim(database)  # the other experiment comes after what chooses
    assert held.kind == searches.PROPOSING
    write(database, lambda session: jobs.tasks.fail(session, held, {"code": "worker_crashed", "detail": ""}))
    end(database, 0.6)
    advance(database, job_id)
    assert open_tasks(database, job_id) == ["stacking"]
    with database.read() as session:
        assert searches.ended_because(session, job_of(database, job_id)) == "failed"


def run(database: Database, job_id: str, *accuracies: float) -> None:
    """A whole search of as many trials, one after another, cancelled at its end."""
    for index, accuracy in enumerate(accuracies):
        propose(database, knn(index + 1 + 10 * len(search_of(database, job_id).trials)))
        end(database, accuracy)
        advance(database, job_id)
    write(database, lambda session: jobs.request_cancel(session, "local", job_id))


def test_a_search_goes_on_from_the_trials_of_another(database):
    first = begin(database, parallel=1)
    run(database, first, 0.5, 0.6)
    second = begin(database, parallel=1, extends=first, trials=3)
    found = search_of(database, second)
    assert [each.trial["number"] for each in found.trials] == [0, 1]
    assert found.n_ready == 1
    run(database, second, 0.7)
    third = begin(database, extends=second, trials=1)
    assert [each.result["scores"]["accuracy"] for each in search_of(database, third).trials] == [
        0.5,
        0.6,
        0.7,
    ]
    with database.read() as session:
        assert len(searching.summary(session, job_of(database, third))["outcomes"]) == 1


def test_only_an_ended_search_of_ones_own_can_be_extended(database):
    job_id = begin(database)
    with database.write() as session:
        with pytest.raises(SearchUnderWayError):
            searches.to_extend(session, "local", job_id)
        with pytest.raises(JobNotFoundError):
            searches.to_extend(session, "somebody", job_id)
        other = beginning.measurement(
            session,
            owner="local",
            dataset_id="ds_1",
            configurations=[find_configuration("clf-knn-5")],
            time_budget_seconds=60.0,
        )
        with pytest.raises(InvalidRequestError, match="is a measurement"):
            searches.to_extend(session, "local", other.id)


def test_what_a_search_did_not_finish_the_next_one_makes_again(database):
    """It was cancelled while trial 1 ran, trial 2 had ended, and trial 3 was cut off by the budget."""
    first = begin(database, parallel=4)
    propose(database, knn(1), knn(2), knn(3), knn(4))
    end(database, 0.5)
    claim(database)
    end(database, 0.7)
    end(database, None, outcome="timeout", error={"code": "time_budget_spent"})
    write(database, lambda session: jobs.request_cancel(session, "local", first))
    second = begin(database, parallel=4, extends=first, trials=3)
    again = [each for each in search_of(database, second).trials if each.job_id == second]
    assert [(each.trial["number"], each.trial["hyperparameters"]["n_neighbors"]) for each in again] == [
        (1, 2),
        (3, 4),
    ]
    assert [each.trial["number"] for each in search_of(database, second).trials] == [0, 1, 2, 3]
    assert search_of(database, second).n_ready == 1
    assert propose(database, knn(5)) == 1  # what chooses comes first
    with database.read() as session:
        numbers = [each.trial["number"] for each in searches.read(session, job_of(database, second)).trials]
    assert numbers == [0, 1, 2, 3, 4]


def test_an_extension_that_adds_no_score_is_stacked_from_what_there_was(database):
    first = begin(database, parallel=1)
    run(database, first, 0.5)
    second = begin(database, parallel=1, extends=first, trials=1)
    propose(database, knn(99))
    end(database, None, outcome=STOPPED_EARLY)
    advance(database, second)
    assert open_tasks(database, second) == ["stacking"]


def test_clocks_that_differ_do_not_make_a_search_choose_twice(database):
    """The first task that chooses came from a machine whose clock runs ahead, so that its id is the last."""
    job_id = begin(database)
    renamed = update(Task).where(Task.job_id == job_id).values(id="task_ffffffffffffffffffffffff")
    write(database, lambda session: session.execute(renamed))
    propose(database, knn(1), knn(2))
    end(database, 0.5)
    for _ in range(3):
        advance(database, job_id)
    assert open_tasks(database, job_id).count("proposing") == 1
    propose(database, exhausted=True)
    end(database, 0.6)
    for _ in range(3):
        advance(database, job_id)
    assert open_tasks(database, job_id) == ["stacking"]


def test_trials_that_the_budget_cut_off_were_not_made(database):
    job_id = begin(database, trials=2)
    propose(database, knn(1), knn(2))
    for _ in range(2):
        end(database, None, outcome="timeout", error={"code": "time_budget_spent"})
    advance(database, job_id)
    assert job_of(database, job_id).error["code"] == "budget_too_small"


def measured(database: Database, name: str, accuracy: float, outcome: str = "ok") -> None:
    """A measurement of the dataset that has ended."""

    def change(session: Any) -> None:
        job = beginning.measurement(
            session,
            owner="local",
            dataset_id="ds_1",
            configurations=[find_configuration(name)],
            time_budget_seconds=60.0,
        )
        each = session.scalars(select(Experiment).where(Experiment.job_id == job.id)).one()
        each.outcome, each.result = outcome, {"scores": {"accuracy": accuracy}} if outcome == "ok" else {}
        session.add(
            Evaluation(
                experiment_id=each.task_id,
                owner="local",
                dataset_id="ds_1",
                configuration=name,
                fingerprint=each.fingerprint,
                protocol=PROTOCOL,
                status="ok",
                result=each.result,
            )
        )
        session.execute(
            update(Task).where(Task.job_id == job.id).values(status="succeeded", finished_at=now())
        )
        session.execute(update(Job).where(Job.id == job.id).values(status="succeeded"))

    write(database, change)


def test_what_was_measured_before_is_known_where_the_space_holds_it(database):
    with database.write() as session:
        session.add(dataset_row("ds_1"))
        session.commit()
    for name, accuracy in (
        ("clf-knn-5", 0.7),
        ("clf-knn-5", 0.8),
        ("clf-lda-shrunk", 0.9),
        ("clf-svm-rbf", 0.6),
    ):
        measured(database, name, accuracy)
    measured(database, "clf-knn-12_manhattan", 0.0, outcome=STOPPED_EARLY)
    job_id = begin(database, space={"svm": {"C": {"low": 10.0}}})
    measured(database, "clf-knn-25_weighted", 0.75)  # too late to be known
    cold = begin(database, warm_start=False)
    with database.read() as session:
        found = searching.known(session, search_of(database, job_id))
        assert searching.known(session, search_of(database, cold)) == []
    assert [(each.configuration, each.result.get("scores")) for each, _ in found] == [
        ("clf-knn-12_manhattan", None),
        ("clf-knn-5", {"accuracy": 0.8}),
    ]


def test_rungs_are_those_of_the_bracket_that_ended_in_time(database):
    job_id = begin(database, method="hyperband", trials=6, parallel=2)

    def curve(*scores: float) -> list[dict[str, float]]:
        return [
            {"anchor": anchor, "accuracy": score} for anchor, score in zip((64, 256), scores, strict=False)
        ]

    held = claim(database)
    brackets = (0, 0, 1, 0)

    def change(session: Any) -> None:
        jobs.tasks.finish(session, held)
        proposals = [
            {
                "number": number,
                "algorithm": "knn",
                "hyperparameters": {"n_neighbors": number + 1},
                "source": "hyperband",
                "bracket": bracket,
            }
            for number, bracket in enumerate(brackets)
        ]
        found = {"proposals": proposals, "exhausted": False}
        searching.apply(session, held, Outcome(Ending.OK, found), None)

    write(database, change)
    end(database, 0.9, learning_curve=curve(0.7, 0.8))
    end(database, None, outcome=STOPPED_EARLY, learning_curve=curve(0.6))
    end(database, 0.9, learning_curve=curve(0.1, 0.2))
    last = search_of(database, job_id).trials[3]
    with database.read() as session:
        told = searching.rungs(session, last)
    assert told["losses"] == {
        "64": [pytest.approx(0.3), pytest.approx(0.4)],
        "256": [pytest.approx(0.2)],
        "1024": [],
    }
