"""How long tasks have waited is told by the database's clock, on both databases."""

import time

import pytest
from sqlalchemy import update

from app.metalearning.portfolio import find_configuration
from app.store import beginning, figures, ids, tasks
from app.store.database import Database, now
from app.store.tables import Dataset, Experiment, Job, JobEvent
from workers.tasks import verification


@pytest.fixture(autouse=True, params=[-3600, 3600])
def wrong_clock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of the machine that makes the ids is an hour slow or fast."""
    right = time.time_ns
    monkeypatch.setattr(ids, "_last_tick", 0)
    monkeypatch.setattr(time, "time_ns", lambda: right() + request.param * 10**9)


@pytest.fixture
def job_id(database: Database) -> str:
    """A job that was accepted 100 seconds ago."""
    with database.write() as session:
        known = {"id": "ds", "owner": "local", "name": "d", "target": "y", "task_type": "classification"}
        described = {"n_rows": 100, "classes": ["a", "b"], "columns": [], "reading": {}, "findings": []}
        measured = {"metafeatures": {}, "metafeature_version": 1, "metafeature_seconds": {}}
        session.add(Dataset(**known, **described, **measured, absent_metafeatures=[]))
        session.flush()
        job = beginning.verification(
            session,
            owner="local",
            dataset_id="ds",
            recommendation_id=None,
            configurations=[find_configuration("clf-knn-5")],
            metric="accuracy",
            time_budget_seconds=300.0,
        )
        session.execute(update(Job).values(created_at=now() - 100.0))
        session.commit()
    return job.id


def ages(database: Database) -> dict[tuple[str, ...], float]:
    with database.read() as session:
        return figures.read(session).oldest_queued_seconds


def test_an_experiment_waits_since_its_job_was_accepted(database: Database, job_id: str) -> None:
    assert ages(database) == {("cpu",): pytest.approx(100.0, abs=20.0)}


def test_a_task_that_runs_does_not_wait_and_a_stack_waits_since_the_experiments_ended(
    database: Database, job_id: str
) -> None:
    with database.write() as session:
        held = tasks.claim(session, "cpu", "tester", 10.0)
        assert held is not None
        session.commit()
    assert ages(database) == {}
    with database.write() as session:
        assert tasks.finish(session, held)
        session.execute(update(Experiment).values(outcome="ok"))
        session.commit()
    with database.write() as session:
        assert verification.advance(session, job_id) == "cpu"
        session.execute(update(JobEvent).where(JobEvent.kind == "phase").values(created_at=now() - 40.0))
        session.commit()
    assert ages(database) == {("cpu",): pytest.approx(40.0, abs=20.0)}
