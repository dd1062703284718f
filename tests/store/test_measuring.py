"""A measurement's transitions on both databases: it ends with its last experiment, once, whatever came of them."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select, update

from app.errors import JobNotFoundError
from app.metalearning.portfolio import find_configuration
from app.store import beginning, jobs, tasks
from app.store.database import Database, now
from app.store.tables import Experiment, Job, Task
from tests.store.rows import dataset_row
from workers.tasks import verification

NAMES = ("clf-gaussian_nb-default", "clf-knn-5")


@pytest.fixture
def job_id(database: Database) -> str:
    with database.write() as session:
        dataset = dataset_row("ds")
        session.add(dataset)
        session.flush()
        job = beginning.measurement(
            session,
            owner="local",
            dataset_id="ds",
            configurations=[find_configuration(name) for name in NAMES],
            time_budget_seconds=300.0,
        )
        session.commit()
    return job.id


def finish_one(database: Database, outcome: str) -> None:
    with database.write() as session:
        held = tasks.claim(session, "cpu", "tester", 10.0)
        assert held is not None
        assert tasks.finish(session, held)
        session.execute(
            update(Experiment).where(Experiment.task_id == held.task_id).values(outcome=outcome, result={})
        )
        session.commit()


def advance(database: Database, job_id: str) -> str | None:
    with database.write() as session:
        queue = verification.advance(session, job_id)
        session.commit()
    return queue


def job_of(database: Database, job_id: str) -> Job:
    with database.read() as session:
        return jobs.get(session, "local", job_id)


def test_measurement_runs_until_its_last_experiment(database, job_id):
    finish_one(database, "ok")
    assert advance(database, job_id) is None
    assert job_of(database, job_id).status == "running"
    finish_one(database, "failed")
    assert advance(database, job_id) is None
    ended = job_of(database, job_id)
    assert (ended.status, ended.phase, ended.result) == ("succeeded", "done", {})
    with database.read() as session:
        assert set(session.scalars(select(Task.kind))) == {"experiment"}  # nothing is stacked


def test_measurement_of_failures_alone_is_no_failure(database, job_id):
    for _ in NAMES:
        finish_one(database, "timeout")
    advance(database, job_id)
    assert job_of(database, job_id).status == "succeeded"


def test_measurement_ends_once_however_many_look(database, job_id):
    for _ in NAMES:
        finish_one(database, "ok")

    def end(_: int) -> bool:
        with database.write() as session:
            ended = jobs.end_measurement(session, job_id)
            session.commit()
        return ended

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(end, range(4))) == [False, False, False, True]


def test_cancelled_measurement_stays_cancelled(database, job_id):
    finish_one(database, "ok")
    with database.write() as session:
        jobs.request_cancel(session, "local", job_id)
        session.commit()
    advance(database, job_id)
    assert job_of(database, job_id).status == "cancelled"


def test_late_measurement_ends_with_what_it_has(database, job_id):
    finish_one(database, "ok")
    with database.write() as session:
        session.execute(update(Job).where(Job.id == job_id).values(deadline=now() - 1))
        session.commit()
    advance(database, job_id)
    assert job_of(database, job_id).status == "succeeded"
    with database.read() as session:
        found = jobs.ended_experiments(session, "local", job_id, 50, "")
    assert [experiment.outcome for experiment, _ in found] == ["ok"]


def test_verification_is_never_ended_as_a_measurement(database, job_id):
    with database.write() as session:
        session.execute(update(Job).where(Job.id == job_id).values(kind="verification"))
        session.commit()
    for _ in NAMES:
        finish_one(database, "ok")
    with database.write() as session:
        assert not jobs.end_measurement(session, job_id)
        session.rollback()
    assert advance(database, job_id) == "cpu"  # it stacks


def test_ended_experiments_come_in_pages_to_their_owner(database, job_id):
    for _ in NAMES:
        finish_one(database, "ok")
    with database.read() as session:
        first = jobs.ended_experiments(session, "local", job_id, 1, "")
        second = jobs.ended_experiments(session, "local", job_id, 1, first[0][1].id)
        assert sorted(each.configuration for each, _ in (*first, *second)) == sorted(NAMES)
        assert jobs.ended_experiments(session, "local", job_id, 1, second[0][1].id) == []
        with pytest.raises(JobNotFoundError):
            jobs.ended_experiments(session, "somebody else", job_id, 1, "")
