"""Retrainings: when one begins, what it is for, and how it ends: on both databases."""

from pathlib import Path

import pytest
from sqlalchemy import select, update

from app.config import Settings
from app.errors import (
    NothingToLearnError,
    RetrainingUnderWayError,
)
from app.store import jobs, learning, retrainings, tasks
from app.store.database import Database
from app.store.tables import (
    Job,
    MetaLearner,
    Task,
)
from tests.store.test_claiming import claim, write
from tests.store.test_learning import CLASSIFICATION, NAMES, fit, lessons, measured, report, trust
from workers.tasks import retraining, verification


def begin(database: Database, *, networks: bool = False) -> str:
    return write(
        database,
        lambda session: (
            retrainings.begin(
                session,
                owner="local",
                task_type=CLASSIFICATION,
                lessons=learning.gather(session, CLASSIFICATION),
                time_budget_seconds=60,
                networks=networks,
            ).id
        ),
    )


def test_one_retraining_at_a_time_and_none_without_lessons(database: Database) -> None:
    with pytest.raises(NothingToLearnError):
        begin(database)
    trust(database, report(database))
    job_id = begin(database)
    with pytest.raises(RetrainingUnderWayError) as refused:
        begin(database)
    assert refused.value.evidence == {"job_id": job_id}
    with database.read() as session:
        detail = jobs.detail(session, "local", job_id)
    assert (detail.job.phase, detail.job.dataset_id, detail.experiments) == ("retraining", None, ())
    held = claim(database)
    assert held is not None
    assert held.kind == "retraining"


def test_networks_are_trained_where_a_gpu_may_be_also_on_what_was_fitted_without(
    database: Database, tmp_path: Path, settings: Settings
) -> None:
    trust(database, report(database))
    learned = fit(database, tmp_path, b"one")
    snapshot = lessons(database).snapshot
    write(database, lambda session: session.execute(update(MetaLearner).values(snapshot=snapshot)))
    with pytest.raises(NothingToLearnError, match=learned):
        begin(database)
    begin(database, networks=True)
    assert claim(database) is None
    held = claim(database, queue="gpu")
    assert held is not None
    folder = settings.scratch_dir / f"{held.task_id}-{held.attempt}"
    folder.mkdir(parents=True)
    with database.read() as session:
        _, payload, _ = retraining.load(session, held, folder, settings)
    assert payload["networks"] == str(settings.scratch_dir / f"{held.task_id}-kept")


def test_retraining_whose_task_was_dropped_ends(database: Database) -> None:
    trust(database, report(database))
    job_id = begin(database)
    write(database, lambda session: session.execute(update(Task).values(status="cancelled")))
    assert write(database, lambda session: verification.advance(session, job_id)) is None
    with database.read() as session:
        job = jobs.get(session, "local", job_id)
    assert (job.status, (job.error or {})["code"]) == ("failed", "time_budget_spent")


def test_so_many_new_evaluations_begin_a_retraining_once(database: Database) -> None:
    trust(database, report(database))
    assert not retraining.begin_due(database, 5)
    assert retraining.begin_due(database, 4)
    assert not retraining.begin_due(database, 4)
    write(database, lambda session: session.execute(update(Job).values(status="failed")))
    assert not retraining.begin_due(database, 4)  # nothing is new: what failed would fail again
    report(database, rows=900)
    assert retraining.begin_due(database, 4)
    with database.read() as session:
        assert len(session.scalars(select(Job)).all()) == 2


def test_how_far_a_retraining_is_can_be_polled(database: Database) -> None:
    trust(database, report(database))
    job_id = begin(database)
    held = claim(database)
    assert held is not None
    told = {"kind": "progress", "phase": "regression, regret", "done": 3, "total": 20}
    write(database, lambda session: tasks.renew(session, held, 10.0, told))
    with database.read() as session:
        assert jobs.detail(session, "local", job_id).step == told


def test_a_retraining_begins_again_after_its_lessons_were_withdrawn(
    database: Database, tmp_path: Path
) -> None:
    """Whether that was seen while it ran, or answered already."""
    trust(database, report(database))
    assert retraining.begin_due(database, 4)
    error = {"code": retrainings.LESSONS_WITHDRAWN}
    write(database, lambda session: session.execute(update(Job).values(status="failed", error=error)))
    assert retraining.begin_due(database, 4)
    write(database, lambda session: session.execute(update(Job).values(status="succeeded", error=None)))
    assert not retraining.begin_due(database, 4)
    doubtful = report(database, source="attic", rows=900, names=NAMES[:3])
    trust(database, doubtful)
    fit(database, tmp_path, b"one", (doubtful,))
    write(database, lambda session: session.execute(update(Job).values(request={"task_type": "classification", "evaluations": 4})))  # fmt: skip
    assert not retraining.begin_due(database, 4)
    trust(database, doubtful, trusted=False)
    assert retraining.begin_due(database, 4)


def test_a_retraining_takes_its_turn_beside_its_owners_experiments(database: Database) -> None:
    """Whatever is in line already: it is the service's, and everybody's."""
    measured(database, "ds_flood", rows=100)
    trust(database, report(database))
    begin(database)
    first = claim(database)
    second = claim(database)
    assert first is not None
    assert second is not None
    assert {first.kind, second.kind} == {"experiment", "retraining"}
