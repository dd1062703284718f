"""What DELETE erases and what it leaves: every row of the table in docs/operations.md."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import func, select

from app.errors import DatasetInUseError, DatasetNotFoundError, ModelNotFoundError
from app.store import blobs, datasets, events, jobs, models
from app.store.database import Database
from app.store.tables import (
    Blob,
    BlobChunk,
    Dataset,
    Evaluation,
    Job,
    Model,
    Recommendation,
    Task,
)
from tests.store.verified import METAFEATURE, N_ROWS, SCORE, SECRET, begin_job, places, upload, verified


def delete(database: Database, dataset_id: str) -> None:
    with database.write() as session:
        datasets.delete(session, "local", dataset_id)
        session.commit()


def test_owners_words_are_everywhere_before(database: Database, tmp_path: Path) -> None:
    """Without this, none of the tests below would mean much."""
    verified(database, tmp_path, contribute=True)
    assert places(database, SECRET) == {
        *(f"datasets.{name}" for name in ("name", "target", "classes", "columns", "reading", "findings")),
        *("blob_chunks.content", "recommendations.request", "recommendations.body"),
        *("jobs.request", "jobs.result", "jobs.error", "tasks.error", "tasks.progress"),
        *("experiments.result", "evaluations.result", "models.card", "models.script", "job_events.data"),
    }


@pytest.mark.parametrize("contribute", [True, False])
def test_nothing_that_the_owner_wrote_survives(database: Database, tmp_path: Path, contribute: bool) -> None:
    dataset_id = verified(database, tmp_path, contribute=contribute)
    delete(database, dataset_id)
    assert places(database, SECRET) == set()


@pytest.mark.parametrize("contribute", [True, False])
def test_rows_predictions_and_models_go(database: Database, tmp_path: Path, contribute: bool) -> None:
    dataset_id = verified(database, tmp_path, contribute=contribute)
    with database.read() as session:
        model_id = session.scalars(select(Model.id)).one()
        assert session.scalar(select(func.count()).select_from(Blob)) == 3
    delete(database, dataset_id)
    with database.read() as session:
        for table in (Blob, BlobChunk, Model):
            assert session.scalar(select(func.count()).select_from(table)) == 0
        with pytest.raises(ModelNotFoundError):
            models.get(session, "local", model_id)
        with pytest.raises(DatasetNotFoundError):
            datasets.get(session, "local", dataset_id)


def test_contributed_scores_and_metafeatures_stay(database: Database, tmp_path: Path) -> None:
    dataset_id = verified(database, tmp_path, contribute=True)
    delete(database, dataset_id)
    scored = {"jobs.result", "experiments.result", "evaluations.result", "job_events.data"}
    assert places(database, str(SCORE)) == scored
    assert places(database, str(METAFEATURE)) == {"datasets.metafeatures"}
    assert places(database, str(N_ROWS)) == {"datasets.n_rows"}
    with database.read() as session:
        evaluations = session.scalars(select(Evaluation).order_by(Evaluation.experiment_id)).all()
        recommendation = session.scalars(select(Recommendation)).one()
        job = session.scalars(select(Job)).one()
    assert [each.result.get("scores") for each in evaluations] == [{"accuracy": SCORE}, None]
    assert [each.result.get("splits") for each in evaluations] == ["grouped", None]
    assert evaluations[1].result["error"]["code"] == "configuration_failed"
    assert recommendation.body == {"strategy": "portfolio", "candidates": [{"rank": 1}]}
    assert recommendation.request == {"metric": "accuracy"}
    assert job.recommendation_id == recommendation.id
    assert job.result["leaderboard"][0]["scores"] == {"accuracy": SCORE}


def test_without_contribution_scores_and_metafeatures_go_too(database: Database, tmp_path: Path) -> None:
    dataset_id = verified(database, tmp_path, contribute=False)
    delete(database, dataset_id)
    for trace in (str(SCORE), str(METAFEATURE), str(N_ROWS), "lm_tree", "portfolio"):
        assert places(database, trace) == set(), trace
    with database.read() as session:
        assert session.scalars(select(Evaluation)).all() == []
        assert session.scalars(select(Recommendation)).all() == []
        assert session.scalars(select(Job)).one().recommendation_id is None


@pytest.mark.parametrize("contribute", [True, False])
def test_record_of_what_was_done_stays(database: Database, tmp_path: Path, contribute: bool) -> None:
    dataset_id = verified(database, tmp_path, contribute=contribute)
    delete(database, dataset_id)
    with database.read() as session:
        dataset = session.scalars(select(Dataset)).one()
        job = session.scalars(select(Job)).one()
        detail = jobs.detail(session, "local", job.id)
        told = events.after(session, job.id, 0)
        errors = [task.error for task in session.scalars(select(Task))]
    assert (dataset.id, dataset.owner, dataset.task_type) == (dataset_id, "local", "classification")
    assert dataset.created_at <= dataset.used_at <= dataset.deleted_at
    assert (job.status, job.dataset_id) == ("succeeded", dataset_id)
    assert job.request["metric"] == "accuracy"
    assert len(job.request["configurations"]) == 2
    assert [experiment.outcome for experiment, _ in detail.experiments] == ["ok", "failed"]
    assert [event.data.get("outcome") for event in told] == [None, "ok", "failed"]
    assert {error["code"] for error in [*errors, job.error]} == {"configuration_failed"}


def test_other_datasets_lose_nothing(database: Database, tmp_path: Path) -> None:
    kept = verified(database, tmp_path, contribute=False)
    before = places(database, SECRET)
    gone = verified(database, tmp_path, contribute=False)
    delete(database, gone)
    assert places(database, SECRET) == before
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Blob)) == 3
        assert {each.dataset_id for each in session.scalars(select(Evaluation))} == {kept}


def test_rows_that_two_datasets_share_go_with_the_second(database: Database, tmp_path: Path) -> None:
    first, second = (upload(database, tmp_path, content=b"the same rows") for _ in range(2))
    delete(database, first)
    assert places(database, "the same rows") == {"blob_chunks.content"}
    delete(database, second)
    assert places(database, "the same rows") == set()


def test_second_deletion_finds_nothing_and_changes_nothing(database: Database, tmp_path: Path) -> None:
    dataset_id = verified(database, tmp_path, contribute=True)
    delete(database, dataset_id)
    with database.read() as session:
        deleted_at = session.scalars(select(Dataset.deleted_at)).one()
    with pytest.raises(DatasetNotFoundError):
        delete(database, dataset_id)
    with database.read() as session:
        assert session.scalars(select(Dataset.deleted_at)).one() == deleted_at
        assert len(session.scalars(select(Evaluation)).all()) == 2


def test_dataset_that_a_job_needs_is_left_whole(database: Database, tmp_path: Path) -> None:
    dataset_id = upload(database, tmp_path)
    before = places(database, SECRET)
    job_id = begin_job(database, dataset_id)
    with pytest.raises(DatasetInUseError, match=job_id):
        delete(database, dataset_id)
    assert places(database, SECRET) == before


def test_failed_transaction_leaves_no_bytes_behind(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_bytes(b"x" * (blobs.CHUNK_BYTES + 1))
    with database.write() as session:
        blobs.put(session, path)
        assert session.scalar(select(func.count()).select_from(BlobChunk)) == 2
    with database.read() as session:
        assert session.scalars(select(Blob)).all() == []
        assert session.scalar(select(func.count()).select_from(BlobChunk)) == 0


@pytest.mark.parametrize("round_", range(5))
def test_same_rows_may_come_while_they_are_erased(database: Database, tmp_path: Path, round_: int) -> None:
    """Whoever is first, the new dataset has its rows, and neither call fails."""
    content = b"y" * (blobs.CHUNK_BYTES + 1)
    old = upload(database, tmp_path, content)
    together = threading.Barrier(2)

    def come() -> str:
        together.wait()
        return upload(database, tmp_path, content)

    def go() -> None:
        together.wait()
        delete(database, old)

    with ThreadPoolExecutor(2) as pool:
        coming, going = pool.submit(come), pool.submit(go)
        going.result(timeout=30)
        new = coming.result(timeout=30)
    with database.read() as session:
        content_hash = datasets.get(session, "local", new).content_hash
        assert content_hash is not None
        assert b"".join(blobs.chunks(session, content_hash)) == content


def test_erasing_waits_for_an_upload_of_the_same_rows_under_way(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_bytes(b"the same rows")
    old = upload(database, tmp_path, content=b"the same rows")
    with ThreadPoolExecutor(1) as pool, database.write() as session:
        content_hash = blobs.put(session, path)
        going = pool.submit(delete, database, old)
        with pytest.raises(TimeoutError):
            going.result(timeout=0.3)
        session.add(_another(session, old, content_hash))
        session.commit()
        going.result(timeout=30)
    assert places(database, "the same rows") == {"blob_chunks.content"}


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_erased_bytes_leave_the_file_too(database: Database, tmp_path: Path) -> None:
    file = tmp_path / "metaselect.sqlite"
    dataset_id = verified(database, tmp_path, contribute=False)
    for expected in (True, False):
        with database.engine.connect() as connection:
            connection.exec_driver_sql("COMMIT")
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").all()
        assert (SECRET.encode() in file.read_bytes()) is expected
        if expected:
            delete(database, dataset_id)


def _another(session, old: str, content_hash: str) -> Dataset:
    values = {
        column.key: getattr(session.get(Dataset, old), column.key) for column in Dataset.__table__.columns
    }
    return Dataset(**{**values, "id": "ds_another", "content_hash": content_hash})
