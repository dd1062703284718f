"""A worker's disk holds no rows that the database no longer holds, and nothing that a killed process left behind."""

import os
import time
from pathlib import Path

import pytest
from sqlalchemy import update

from app.config import Settings
from app.store import blobs, datasets, tasks
from app.store.database import Database
from app.store.tables import Task
from tests.store.verified import SECRET, begin_job, upload
from workers.experiments.calibration import PROBE_FILE
from workers.retention import remove_copies

HOUR = 3600.0


@pytest.fixture
def own(settings: Settings, tmp_path: Path) -> Settings:
    """A worker with a folder of its own."""
    return settings.model_copy(update={"data_dir": tmp_path / "worker"})


def fetch(database: Database, own: Settings, dataset_id: str) -> Path:
    with database.read() as session:
        content_hash = datasets.get(session, "local", dataset_id).content_hash
        assert content_hash is not None
        return blobs.fetch(session, content_hash, own.cache_dir)


def test_cached_rows_go_with_the_dataset(database: Database, own: Settings, tmp_path: Path) -> None:
    kept_id, gone_id = upload(database, tmp_path), upload(database, tmp_path)
    kept, gone = fetch(database, own, kept_id), fetch(database, own, gone_id)
    remove_copies(database, own)
    assert {kept, gone} == set(own.cache_dir.iterdir())
    with database.write() as session:
        datasets.delete(session, "local", gone_id)
        session.commit()
    remove_copies(database, own)
    assert [kept] == list(own.cache_dir.iterdir())


def test_more_copies_than_fit_into_one_query_are_told_apart(
    database: Database, own: Settings, tmp_path: Path
) -> None:
    kept = fetch(database, own, upload(database, tmp_path))
    for number in range(1200):
        (own.cache_dir / f"{number:064x}").touch()
    remove_copies(database, own)
    assert list(own.cache_dir.iterdir()) == [kept]


def test_unfinished_copy_is_removed_once_nobody_can_be_writing_it(database: Database, own: Settings) -> None:
    own.cache_dir.mkdir(parents=True)
    new, old = (own.cache_dir / f"{blobs.FETCHING}_{name}" for name in ("new", "old"))
    new.touch()
    old.touch()
    _age(old, 2 * HOUR)
    remove_copies(database, own)
    assert list(own.cache_dir.iterdir()) == [new]


def test_folder_of_a_dead_process_is_removed_and_that_of_a_running_task_never(
    database: Database, own: Settings, tmp_path: Path
) -> None:
    begin_job(database, upload(database, tmp_path))
    with database.write() as session:
        running, ended = (tasks.claim(session, "cpu", "worker", 600.0) for _ in range(2))
        session.execute(update(Task).where(Task.id == ended.task_id).values(status="queued"))
        session.commit()
    names = {
        "running": f"{running.task_id}-{running.attempt}",
        "earlier": f"{running.task_id}-{running.attempt - 1}",
        "ended": f"{ended.task_id}-{ended.attempt}",
        "upload": "upload_0123",
        "fresh": "upload_4567",
        "kept": f"{running.task_id}-kept",
        "kept by the ended": f"{ended.task_id}-kept",
    }
    for case, name in names.items():
        folder = own.scratch_dir / name
        folder.mkdir(parents=True)
        (folder / "table.parquet").write_text(SECRET)
        if case != "fresh":
            _age(folder, 2 * HOUR)
    remove_copies(database, own)
    assert {path.name for path in own.scratch_dir.iterdir()} == {
        names["running"],
        names["fresh"],
        names["kept"],
    }


def test_probe_that_a_dead_process_did_not_finish_is_removed_and_the_finished_one_never(
    database: Database, own: Settings
) -> None:
    own.scratch_dir.mkdir(parents=True)
    kept, fresh, old = (own.scratch_dir / name for name in (PROBE_FILE, "probe.1", "probe.2"))
    for path in (kept, fresh, old):
        path.write_text("{}")
    for path in (kept, old):
        _age(path, 2 * HOUR)
    remove_copies(database, own)
    assert set(own.scratch_dir.iterdir()) == {kept, fresh}


def test_worker_without_any_folder_has_nothing_to_remove(database: Database, own: Settings) -> None:
    remove_copies(database, own)
    assert not own.data_dir.exists()


def _age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))
