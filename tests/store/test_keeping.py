"""Blobs and migrations on both databases."""

from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import inspect, select, update
from sqlalchemy.exc import StatementError

from app.config import Settings
from app.store import blobs, datasets, events, promotions, tasks
from app.store.database import Database
from app.store.migrating import current_revision, head_revision
from app.store.tables import Base, Blob, Dataset, Job, JobEvent, Recommendation, Task
from tests.store.verified import age, begin_job, upload, verified


def test_blob_of_several_chunks_comes_back_unchanged(database: Database, tmp_path: Path) -> None:
    content = bytes(range(256)) * 10_000
    path = tmp_path / "file"
    path.write_bytes(content)
    with database.write() as session:
        content_hash = blobs.put(session, path)
        assert blobs.put(session, path) == content_hash
        session.commit()
    with database.read() as session:
        assert b"".join(blobs.chunks(session, content_hash)) == content
        assert blobs.fetch(session, content_hash, tmp_path / "cache").read_bytes() == content
        assert session.scalars(select(Blob)).one().size == len(content)


def test_blob_that_nothing_refers_to_is_discarded(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x")
    with database.write() as session:
        content_hash = blobs.put(session, path)
        blobs.discard_unreferenced(session, [content_hash])
        session.commit()
        assert session.scalars(select(Blob)).all() == []


def test_json_that_is_no_json_is_refused(database: Database) -> None:
    with database.write() as session:
        session.add(Recommendation(id="r", owner="o", request={"x": float("nan")}, body={}))
        with pytest.raises((StatementError, ValueError), match="Out of range float"):
            session.flush()


def test_migrations_go_down_and_up_again(settings: Settings, database: Database) -> None:
    assert current_revision(database.engine) == head_revision()
    for revision, expected in (("base", set()), ("head", set(Base.metadata.tables))):
        _migrate_to(database, revision)
        assert set(inspect(database.engine).get_table_names()) - {"alembic_version"} == expected


def test_migration_of_retention_keeps_every_row(database: Database, tmp_path: Path) -> None:
    dataset_id = verified(database, tmp_path, contribute=False)
    idle_id, expired_id = upload(database, tmp_path), upload(database, tmp_path)
    age(database, expired_id, 31)
    with database.write() as session:
        assert datasets.expire(session, expired_id, 30)
        session.commit()
    age(database, dataset_id, 20)
    before = _counts(database)
    with database.read() as session:
        job_began = session.scalars(select(Job.created_at)).one()

    _migrate_to(database, "0001")
    first_tables = _counts(database)
    assert first_tables.items() <= before.items()
    assert {"datasets", "jobs", "experiments", "evaluations"} <= first_tables.keys()
    assert "used_at" not in {each["name"] for each in inspect(database.engine).get_columns("datasets")}
    _migrate_to(database, "head")

    assert _counts(database) == before | {"job_events": 1}
    with database.read() as session:
        rows = {each.id: each for each in session.scalars(select(Dataset))}
    assert all(each.contribute for each in rows.values())
    assert rows[dataset_id].used_at == job_began
    assert rows[idle_id].used_at == rows[idle_id].created_at
    assert rows[expired_id].deleted_at is not None
    with database.write() as session:
        datasets.delete(session, "local", dataset_id)
        session.commit()


def test_jobs_that_ended_before_there_were_events_have_their_last_one(
    database: Database, tmp_path: Path
) -> None:
    verified(database, tmp_path, contribute=True)
    active_id = begin_job(database, upload(database, tmp_path))
    _migrate_to(database, "0003")
    _migrate_to(database, "head")
    with database.read() as session:
        event = session.scalars(select(JobEvent)).one()
        versions = {job.id: job.version for job in session.scalars(select(Job))}
    assert (event.position, event.kind, event.data) == (1, "ended", {"status": "succeeded"})
    assert versions == {event.job_id: 1, active_id: 0}


def test_tasks_from_before_there_was_fairness_have_the_owner_and_class_of_their_job(
    database: Database, tmp_path: Path
) -> None:
    dataset_id = upload(database, tmp_path)
    interactive, long = begin_job(database, dataset_id), begin_job(database, dataset_id)
    with database.write() as session:
        session.execute(
            update(Job).where(Job.id == long).values(time_budget_seconds=3600.0, owner="somebody else")
        )
        session.commit()
    _migrate_to(database, "0004")
    _migrate_to(database, "head")
    with database.read() as session:
        found = {tuple(row) for row in session.execute(select(Task.job_id, Task.owner, Task.priority))}
    assert found == {(interactive, "local", 0), (long, "somebody else", 1)}


def _migrate_to(database: Database, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parents[2] / "migrations"))
    step = command.upgrade if revision == "head" else command.downgrade
    with database.engine.connect() as connection:
        config.attributes["connection"] = connection
        step(config, revision)
        connection.commit()


def _counts(database: Database) -> dict[str, int]:
    """Rows of every table that there is at the database's revision."""
    present = set(inspect(database.engine).get_table_names()) & set(Base.metadata.tables)
    with database.engine.connect() as connection:
        return {
            name: connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar_one() for name in present
        }


def test_migration_of_learning_takes_jobs_without_dataset_back(database: Database, tmp_path: Path) -> None:
    verified(database, tmp_path, contribute=True)
    before = _counts(database)
    with database.write() as session:
        job = Job(
            id="job_zzz", owner="local", kind="retraining", status="queued", phase="retraining",
            request={"task_type": "regression"}, time_budget_seconds=1.0,
        )  # fmt: skip
        session.add(job)
        session.flush()
        tasks.add(session, job, "retraining", "cpu")
        events.record(session, job.id, events.QUEUED, {})
        content = tmp_path / "knowledge"
        content.write_bytes(b"fitted")
        learner = promotions.record(
            session, task_type="regression", job_id=job.id, snapshot="", shipped="", n_datasets=1, n_evaluations=3,
            reports=[], content_hash=blobs.put(session, content), proof={}, verdict={},
        )  # fmt: skip
        promotions.promote(session, learner, "tested")
        session.commit()
    _migrate_to(database, "0008")
    _migrate_to(database, "head")
    assert _counts(database) == before
    with database.read() as session:
        assert all(session.scalars(select(Job.dataset_id)))
