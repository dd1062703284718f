"""Predictions as rows, on both databases: nothing is lost while they run, and nothing stays longer than it should."""

import io
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from app.config import Settings
from app.errors import DatasetInUseError, ModelNotFoundError, PredictionNotFoundError
from app.isolation import Ending, Outcome
from app.store import blobs, datasets, jobs, models, predictions, tasks
from app.store.database import Database, now
from app.store.tables import Blob, Job, Model, Prediction, Task
from app.store.tasks import Claim
from tests.store.test_claiming import begin_job as begin_verification
from tests.store.test_claiming import claim, write
from tests.store.test_keeping import _migrate_to as migrate_to
from tests.store.verified import SECRET, places, verified
from workers.experiments.contract import ANSWER_FILE
from workers.retention import erase_expired
from workers.tasks import prediction, verification

ROWS = f'{{"rows": [{{"column": "{SECRET}"}}]}}'.encode()


def model_of(database: Database, folder: Path) -> Model:
    """A model, its dataset, and the two blobs that they and a prediction take."""
    verified(database, folder, contribute=False)
    with database.read() as session:
        return session.scalars(select(Model)).one()


def begin(database: Database, model: Model, content: bytes = ROWS, budget: float = 60.0) -> str:
    def change(session: Any) -> str:
        locked = models.get(session, "local", model.id, lock=True)
        return predictions.begin(
            session,
            owner="local",
            model=locked,
            content=io.BytesIO(content),
            form="rows",
            queue="cpu",
            time_budget_seconds=budget,
            origin={},
        ).id

    return str(write(database, change))


def apply(database: Database, held: Claim, outcome: Outcome, folder: Path) -> None:
    def change(session: Any) -> None:
        assert tasks.finish(session, held)
        prediction.apply(session, held, outcome, folder)

    write(database, change)


def answered(folder: Path, content: str = f'{{"predictions": ["{SECRET}"]}}') -> Outcome:
    (folder / ANSWER_FILE).write_text(content)
    return Outcome(Ending.OK, value={"n_rows": 1, "unknown_categories": {"colour": {"values": [SECRET]}}})


def held_hashes(database: Database, job_id: str) -> tuple[str | None, str | None]:
    with database.read() as session:
        found = predictions.of_job(session, job_id)
        return found.input_hash, found.output_hash


def n_blobs(database: Database) -> int:
    with database.read() as session:
        return session.scalars(select(func.count()).select_from(Blob)).one()


def job_of(database: Database, job_id: str) -> Job:
    with database.read() as session:
        return jobs.get(session, "local", job_id)


def test_rows_go_with_the_end_of_the_job_and_the_answer_stays(database: Database, tmp_path: Path) -> None:
    model = model_of(database, tmp_path)
    before = n_blobs(database)
    job_id = begin(database, model)
    assert n_blobs(database) == before + 1
    held = claim(database)
    assert (held.kind, held.job_id) == ("predicting", job_id)
    apply(database, held, answered(tmp_path), tmp_path)
    job = job_of(database, job_id)
    assert (job.status, job.dataset_id) == ("succeeded", model.dataset_id)
    assert job.result["predictions"] == f"/jobs/{job_id}/predictions"
    assert (job.result["model_id"], job.result["n_rows"]) == (model.id, 1)
    rows, answer = held_hashes(database, job_id)
    assert rows is None
    with database.read() as session:
        assert b"".join(blobs.chunks(session, answer)).decode() == (tmp_path / ANSWER_FILE).read_text()
    assert n_blobs(database) == before + 1


@pytest.mark.parametrize("ending", ["failed", "cancelled", "late"])
def test_rows_go_however_the_job_ends(database: Database, tmp_path: Path, ending: str) -> None:
    model = model_of(database, tmp_path)
    before = n_blobs(database)
    job_id = begin(database, model)
    if ending == "failed":
        error = {"code": "column_missing", "detail": "no", "advice": "", "evidence": {}}
        apply(database, claim(database), Outcome(Ending.ERROR, error=error), tmp_path)
    elif ending == "cancelled":
        write(database, lambda session: jobs.request_cancel(session, "local", job_id))
    else:
        held = claim(database)
        assert write(database, lambda session: tasks.release(session, held))
        write(database, lambda session: session.execute(update(Job).values(deadline=now() - 10)))
        write(database, lambda session: verification.advance(session, job_id))
    job = job_of(database, job_id)
    assert job.status == ("cancelled" if ending == "cancelled" else "failed")
    assert job.error is None if ending == "cancelled" else job.error["code"]
    assert held_hashes(database, job_id) == (None, None)
    assert n_blobs(database) == before


def test_what_two_predict_from_stays_until_both_have_ended(database: Database, tmp_path: Path) -> None:
    model = model_of(database, tmp_path)
    first, second = begin(database, model), begin(database, model)
    write(database, lambda session: jobs.request_cancel(session, "local", first))
    kept = held_hashes(database, second)[0]
    with database.read() as session:
        assert b"".join(blobs.chunks(session, kept)) == ROWS
    write(database, lambda session: jobs.request_cancel(session, "local", second))
    with database.read() as session:
        assert not blobs.stored(session, [kept])


def test_a_dead_workers_prediction_is_taken_again(database: Database, tmp_path: Path) -> None:
    job_id = begin(database, model_of(database, tmp_path))
    lost = claim(database, lease=-1.0)
    assert [each.task_id for each in write(database, tasks.reap)] == [lost.task_id]
    assert held_hashes(database, job_id)[0] is not None
    again = claim(database)
    assert (again.task_id, again.attempt) == (lost.task_id, 2)
    assert not write(database, lambda session: tasks.finish(session, lost))
    apply(database, again, answered(tmp_path), tmp_path)
    assert job_of(database, job_id).status == "succeeded"


def test_a_task_that_kills_every_worker_fails_its_job(database: Database, tmp_path: Path) -> None:
    job_id = begin(database, model_of(database, tmp_path))
    with database.read() as session:
        task = session.scalars(select(Task).where(Task.job_id == job_id)).one()
    error = {"code": "worker_crashed", "detail": "It died.", "advice": ""}
    write(database, lambda session: session.execute(update(Task).values(error=error)))
    write(database, lambda session: prediction.give_up(session, task.id))
    assert job_of(database, job_id).error["code"] == "worker_crashed"


def test_the_dataset_cannot_be_erased_meanwhile_and_takes_the_predictions_along_after(
    database: Database, tmp_path: Path
) -> None:
    model = model_of(database, tmp_path)
    running = begin(database, model)
    with pytest.raises(DatasetInUseError) as refused:
        write(database, lambda session: datasets.delete(session, "local", model.dataset_id))
    assert refused.value.evidence["jobs"] == [running]
    apply(database, claim(database), answered(tmp_path), tmp_path)
    write(database, lambda session: datasets.delete(session, "local", model.dataset_id))
    assert held_hashes(database, running) == (None, None)
    assert n_blobs(database) == 0
    assert places(database, SECRET) == set()
    with database.write() as session, pytest.raises(ModelNotFoundError):
        models.get(session, "local", model.id, lock=True)


def test_a_model_that_is_gone_ends_the_job_with_the_reason(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    model = model_of(database, tmp_path)
    begin(database, model)
    held = claim(database)
    write(database, lambda session: session.delete(session.merge(model)))
    with database.read() as session, pytest.raises(ModelNotFoundError, match=model.id):
        prediction.load(session, held, tmp_path, settings)


def test_answers_are_kept_for_a_day(database: Database, tmp_path: Path) -> None:
    model = model_of(database, tmp_path)
    job_id = begin(database, model)
    apply(database, claim(database), answered(tmp_path), tmp_path)
    before = n_blobs(database)
    erase_expired(database, 30)
    assert held_hashes(database, job_id)[1] is not None
    write(
        database,
        lambda session: session.execute(update(Prediction).values(kept_until=Prediction.kept_until - 86_401)),
    )
    erase_expired(database, 30)
    assert held_hashes(database, job_id) == (None, None)
    assert n_blobs(database) == before - 1
    assert job_of(database, job_id).status == "succeeded"


def test_somebody_elses_model_is_not_there_and_a_verification_predicts_nothing(
    database: Database, tmp_path: Path
) -> None:
    model = model_of(database, tmp_path)
    with database.write() as session, pytest.raises(ModelNotFoundError):
        models.get(session, "somebody", model.id, lock=True)
    with database.read() as session, pytest.raises(PredictionNotFoundError):
        predictions.of_job(session, model.job_id)


def test_a_version_that_knows_no_predictions_has_none_left(database: Database, tmp_path: Path) -> None:
    model = model_of(database, tmp_path)
    before = n_blobs(database)
    (tmp_path / "onnx").write_bytes(b"a graph")
    write(
        database,
        lambda session: session.execute(
            update(Model).values(onnx_hash=blobs.put(session, tmp_path / "onnx"))
        ),
    )
    done, waiting = begin(database, model), begin(database, model, b"other rows")
    apply(database, claim(database), answered(tmp_path), tmp_path)
    assert n_blobs(database) == before + 3
    migrate_to(database, "0009")
    migrate_to(database, "head")
    assert n_blobs(database) == before
    with database.read() as session:
        left = set(session.scalars(select(Job.id)))
        assert session.scalars(select(Model.onnx_hash)).all() == [None]
        assert session.scalar(select(func.count()).select_from(Prediction)) == 0
    assert left == {model.job_id}
    assert {done, waiting}.isdisjoint(left)


def test_a_prediction_goes_before_the_owners_experiments(database: Database, tmp_path: Path) -> None:
    begin_verification(database, 2)
    job_id = begin(database, model_of(database, tmp_path))
    assert claim(database).job_id == job_id
    assert claim(database).kind == "experiment"
