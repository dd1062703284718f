"""What the routes of predictions answer on both databases while no worker is there."""

import hashlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select, update

from app.config import Settings
from app.main import create_app
from app.store import jobs
from app.store.database import Database
from app.store.tables import Job, Model, Prediction
from tests.store.verified import verified

CARD = {
    "task_type": "classification",
    "target": "y",
    "classes": ["0", "1"],
    "class_type": "integer",
    "configurations": [{"id": "clf-knn-5", "algorithm": "knn"}],
    "columns": [{"name": "x", "type": "numeric", "source": None}],
}
ROWS = {"rows": [{"x": 1.0}]}
NOW = {"wait": 0}


@pytest.fixture
def api(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings)) as client:
        yield client


@pytest.fixture
def model(database: Database, tmp_path: Path) -> Model:
    verified(database, tmp_path, contribute=False)
    return change(database, card=CARD)


def change(database: Database, **values: Any) -> Model:
    with database.write() as session:
        session.execute(update(Model).values(**values))
        session.commit()
        return session.scalars(select(Model)).one()


def refused(answer: httpx.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.json()["advice"]


def test_a_job_is_begun_watched_and_cancelled(api: TestClient, model: Model, database: Database) -> None:
    accepted = api.post(f"/models/{model.id}/predict", json=ROWS, params=NOW)
    assert accepted.status_code == 202, accepted.text
    job = accepted.json()
    assert (job["kind"], job["status"], job["dataset_id"]) == ("prediction", "queued", model.dataset_id)
    assert job["request"] == {"model_id": model.id, "input": "rows", "time_budget_seconds": 60.0}
    predictions = f"{accepted.headers['location']}/predictions"
    refused(api.get(predictions), 409, "prediction_unfinished")
    assert "Still predicting." in api.get(f"/jobs/{job['id']}/report").text
    refused(api.delete(f"/datasets/{model.dataset_id}"), 409, "dataset_in_use")
    assert api.post(f"/jobs/{job['id']}/cancel").json()["status"] == "cancelled"
    refused(api.get(predictions), 409, "prediction_cancelled")
    with database.read() as session:
        assert session.scalars(select(Prediction.input_hash)).all() == [None]


def test_a_request_waits_no_longer_than_it_says(api: TestClient, model: Model) -> None:
    accepted = api.post(f"/models/{model.id}/predict", files={"file": ("x", b"x\n1\n")}, params={"wait": 0.6})
    assert accepted.status_code == 202
    assert accepted.headers["retry-after"] == "1"
    assert accepted.json()["request"]["input"] == "file"
    refused(api.post(f"/models/{model.id}/predict", json=ROWS, params={"wait": 31}), 422, "invalid_request")


@pytest.mark.requirement("R14")
def test_who_waits_holds_no_connection(api: TestClient, model: Model) -> None:
    pool = api.app.state.service.database.engine.pool
    with ThreadPoolExecutor(5) as requests:
        waiting = [
            requests.submit(api.post, f"/models/{model.id}/predict", json=ROWS, params={"wait": 3})
            for _ in range(5)
        ]
        time.sleep(1.0)
        taken = []
        for _ in range(20):
            taken.append(pool.checkedout())
            time.sleep(0.05)
        assert not any(each.done() for each in waiting)
        assert {each.result().status_code for each in waiting} == {202}
    assert max(taken) <= 1, "the one look on behalf of all"


@pytest.mark.requirement("R11")
def test_a_repeat_is_answered_by_the_job_of_the_first(
    api: TestClient, model: Model, database: Database
) -> None:
    keyed = {"json": ROWS, "params": NOW, "headers": {"Idempotency-Key": "one"}}
    first, second = (api.post(f"/models/{model.id}/predict", **keyed) for _ in range(2))
    assert first.json()["id"] == second.json()["id"]
    assert second.headers["idempotency-replayed"] == "true"
    with database.read() as session:
        of_kind = select(func.count()).where(Job.kind == "prediction")
        assert session.scalar(of_kind) == 1
    api.post(f"/jobs/{first.json()['id']}/cancel")
    api.delete(f"/datasets/{model.dataset_id}")
    refused(api.post(f"/models/{model.id}/predict", **keyed), 410, "idempotency_erased")


def test_models_that_are_not_there_or_somebody_elses_are_not_found(
    api: TestClient, model: Model, database: Database
) -> None:
    refused(api.post("/models/model_unknown/predict", json=ROWS), 404, "model_not_found")
    change(database, owner="somebody")
    refused(api.post(f"/models/{model.id}/predict", json=ROWS), 404, "model_not_found")


def test_a_card_that_tells_too_little_and_a_missing_gpu_are_said(
    api: TestClient, model: Model, database: Database
) -> None:
    change(database, card={**CARD, "configurations": [{"id": "clf-tabm-default", "algorithm": "tabm"}]})
    refused(api.post(f"/models/{model.id}/predict", json=ROWS), 409, "no_gpu_worker")
    change(database, card={name: value for name, value in CARD.items() if name != "class_type"})
    refused(api.post(f"/models/{model.id}/predict", json=ROWS), 409, "model_not_predictable")
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Prediction)) == 0


def test_jobs_of_other_kinds_have_no_predictions(api: TestClient, model: Model) -> None:
    refused(api.get(f"/jobs/{model.job_id}/predictions"), 404, "prediction_not_found")
    refused(api.get("/jobs/job_unknown/predictions"), 404, "job_not_found")


@pytest.mark.parametrize(
    ("code", "status", "told"),
    [
        ("value_of_wrong_type", 422, "value_of_wrong_type"),
        ("prediction_too_large", 422, "prediction_too_large"),
        ("model_not_found", 404, "model_not_found"),
        ("worker_crashed", 500, "prediction_failed"),
        ("time_budget_spent", 500, "prediction_failed"),
        ("internal_error", 500, "prediction_failed"),
    ],
)
def test_what_the_job_ended_with_is_the_answer(
    api: TestClient, model: Model, database: Database, code: str, status: int, told: str
) -> None:
    job = api.post(f"/models/{model.id}/predict", json=ROWS, params=NOW).json()
    error = {"code": code, "detail": "It is so.", "advice": "Do this.", "evidence": {}}
    with database.write() as session:
        assert jobs.fail(session, job["id"], error)
        session.commit()
    refused(api.get(f"/jobs/{job['id']}/predictions"), status, told)


def test_rows_are_stored_as_they_were_sent_and_by_their_hash(
    api: TestClient, model: Model, database: Database
) -> None:
    content = b"x\n1\n2\n"
    api.post(f"/models/{model.id}/predict", files={"file": ("rows.csv", content)}, params=NOW)
    with database.read() as session:
        assert session.scalars(select(Prediction.input_hash)).one() == hashlib.sha256(content).hexdigest()
