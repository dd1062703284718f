"""Datasets whose time is over: erased once, by whoever looks first, never while a job needs them."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from app.errors import DatasetExpiredError, DatasetNotFoundError
from app.store import datasets, jobs
from app.store.database import Database
from app.store.experiments import EXPERIMENTING
from app.store.tables import Blob, Dataset, Evaluation, Job, Task
from tests.store.verified import METAFEATURE, SECRET, age, begin_job, places, upload, verified
from workers.retention import erase_expired

DAYS = 30.0


def get(database: Database, dataset_id: str) -> Dataset:
    with database.read() as session:
        return datasets.get(session, "local", dataset_id)


def test_dataset_is_kept_until_its_time_and_erased_after(database: Database, tmp_path: Path) -> None:
    dataset_id = upload(database, tmp_path)
    age(database, dataset_id, DAYS - 0.01)
    erase_expired(database, DAYS)
    assert get(database, dataset_id).content_hash
    age(database, dataset_id, 0.02)
    erase_expired(database, DAYS)
    with pytest.raises(DatasetExpiredError) as gone:
        get(database, dataset_id)
    assert "Upload it again" in gone.value.advice
    assert places(database, SECRET) == set()


def test_date_that_was_announced_is_the_date_that_counts(database: Database, tmp_path: Path) -> None:
    dataset = get(database, upload(database, tmp_path))
    assert datasets.expires_at(dataset, DAYS) == pytest.approx(dataset.created_at + DAYS * 86_400, abs=1.0)
    assert datasets.expires_at(dataset, 0) is None


def test_retention_of_zero_days_keeps_for_ever(database: Database, tmp_path: Path) -> None:
    dataset_id = upload(database, tmp_path)
    age(database, dataset_id, 20_000)
    erase_expired(database, 0)
    assert get(database, dataset_id).content_hash


@pytest.mark.parametrize("contribute", [True, False])
def test_expiry_erases_what_deletion_erases(database: Database, tmp_path: Path, contribute: bool) -> None:
    dataset_id = verified(database, tmp_path, contribute=contribute)
    age(database, dataset_id, DAYS + 1)
    erase_expired(database, DAYS)
    assert places(database, SECRET) == set()
    assert places(database, str(METAFEATURE)) == ({"datasets.metafeatures"} if contribute else set())
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Blob)) == 0
        assert session.scalar(select(func.count()).select_from(Evaluation)) == (2 if contribute else 0)


def test_beginning_a_job_counts_as_use(database: Database, tmp_path: Path) -> None:
    dataset_id = upload(database, tmp_path)
    age(database, dataset_id, DAYS - 0.01)
    job_id = begin_job(database, dataset_id)
    _end(database, job_id)
    age(database, dataset_id, 1)
    erase_expired(database, DAYS)
    assert get(database, dataset_id).content_hash


@pytest.mark.parametrize("status", jobs.ACTIVE)
def test_expiry_waits_for_the_job_that_needs_the_rows(
    database: Database, tmp_path: Path, status: str
) -> None:
    dataset_id = upload(database, tmp_path)
    job_id = begin_job(database, dataset_id)
    with database.write() as session:
        session.execute(update(Job).values(status=status))
        session.commit()
    age(database, dataset_id, DAYS + 1)
    erase_expired(database, DAYS)
    assert get(database, dataset_id).content_hash
    _end(database, job_id)
    erase_expired(database, DAYS)
    with pytest.raises(DatasetExpiredError):
        get(database, dataset_id)


@pytest.mark.parametrize("round_", range(3))
def test_many_workers_at_once_erase_once(database: Database, tmp_path: Path, round_: int) -> None:
    ids = [verified(database, tmp_path, contribute=True) for _ in range(3)]
    for dataset_id in ids:
        age(database, dataset_id, DAYS + 1)
    together = threading.Barrier(6)

    def look() -> list[str]:
        together.wait()
        erased = []
        for dataset_id in ids:
            with database.write() as session:
                if datasets.expire(session, dataset_id, DAYS):
                    erased.append(dataset_id)
                session.commit()
        return erased

    with ThreadPoolExecutor(6) as pool:
        found = [pool.submit(look) for _ in range(6)]
    assert sorted(each for look in found for each in look.result()) == sorted(ids)
    assert places(database, SECRET) == set()


@pytest.mark.parametrize("round_", range(5))
def test_job_begun_at_the_last_moment_has_its_rows_or_is_refused(
    database: Database, tmp_path: Path, round_: int
) -> None:
    dataset_id = upload(database, tmp_path)
    age(database, dataset_id, DAYS + 1)
    together = threading.Barrier(2)

    def ask() -> bool:
        together.wait()
        try:
            with database.write() as session:
                datasets.get(session, "local", dataset_id, lock=True)
                session.add(Job(**_job(dataset_id)))
                session.commit()
        except DatasetExpiredError:
            return False
        return True

    def look() -> None:
        together.wait()
        erase_expired(database, DAYS)

    with ThreadPoolExecutor(2) as pool:
        asking, looking = pool.submit(ask), pool.submit(look)
        looking.result(timeout=30)
        accepted = asking.result(timeout=30)
    with database.read() as session:
        kept = session.scalars(select(Dataset.content_hash)).one() is not None
    assert kept is accepted


@pytest.mark.parametrize("settings", ["postgres"], indirect=True)  # on SQLite there is one writer at a time
def test_worker_that_sees_a_locked_dataset_goes_on_to_the_next(database: Database, tmp_path: Path) -> None:
    locked, free = (upload(database, tmp_path) for _ in range(2))
    for dataset_id in (locked, free):
        age(database, dataset_id, DAYS + 1)
    with database.write() as session:
        datasets.get(session, "local", locked, lock=True)
        erase_expired(database, DAYS)
    assert get(database, locked).content_hash
    with pytest.raises(DatasetExpiredError):
        get(database, free)


def test_expired_dataset_can_still_be_deleted_and_is_then_unknown(database: Database, tmp_path: Path) -> None:
    dataset_id = upload(database, tmp_path)
    age(database, dataset_id, DAYS + 1)
    erase_expired(database, DAYS)
    with database.write() as session:
        datasets.delete(session, "local", dataset_id)
        session.commit()
    with pytest.raises(DatasetNotFoundError):
        get(database, dataset_id)


def test_somebody_elses_expired_dataset_is_unknown(database: Database, tmp_path: Path) -> None:
    dataset_id = upload(database, tmp_path, owner="somebody else")
    age(database, dataset_id, DAYS + 1)
    erase_expired(database, DAYS)
    with pytest.raises(DatasetNotFoundError):
        get(database, dataset_id)


def test_lists_hold_what_is_still_there_newest_first(database: Database, tmp_path: Path) -> None:
    ids = sorted(upload(database, tmp_path) for _ in range(5))  # within a millisecond, ids are unordered
    upload(database, tmp_path, owner="somebody else")
    age(database, ids[1], DAYS + 1)
    erase_expired(database, DAYS)
    with database.write() as session:
        datasets.delete(session, "local", ids[3])
        session.commit()
    with database.read() as session:
        assert [each.id for each in datasets.page(session, "local", 10, None)] == [ids[4], ids[2], ids[0]]
        assert [each.id for each in datasets.page(session, "local", 1, ids[4])] == [ids[2]]


def _end(database: Database, job_id: str) -> None:
    with database.write() as session:
        session.execute(update(Task).where(Task.job_id == job_id).values(status="cancelled"))
        assert jobs.fail(session, job_id, {"code": "ended"})
        session.commit()


def _job(dataset_id: str) -> dict:
    """As little as a job needs: it does not renew the dataset's time, so that the active job alone protects it."""
    return {
        "id": "job_last",
        "owner": "local",
        "kind": "verification",
        "status": "queued",
        "phase": EXPERIMENTING,
        "dataset_id": dataset_id,
        "request": {},
        "time_budget_seconds": 60.0,
    }
