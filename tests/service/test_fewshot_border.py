"""What few-shot jobs answer on both databases while no worker is there."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from app.main import create_app
from app.store import blobs
from app.store.database import Database
from app.store.tables import Blob, Job, Prediction
from tests.store.test_keeping import _migrate_to as migrate_to

SUPPORT = [{"x": 1.0, "y": "left"}, {"x": 2.0, "y": "right"}]
ASKED: dict[str, Any] = {
    "kind": "few-shot",
    "support": SUPPORT,
    "labels": ["no", "yes"],
    "query": [{"x": 1.5, "y": "left"}],
}


@pytest.fixture
def api(settings: Any) -> Iterator[TestClient]:
    with TestClient(create_app(settings)) as client:
        yield client


def refused(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code), answer.text
    assert problem["advice"]
    return dict(problem.get("evidence", {}))


def test_a_job_keeps_the_rows_until_it_ends(api: TestClient, database: Database) -> None:
    accepted = api.post("/jobs", json=ASKED)
    assert accepted.status_code == 202, accepted.text
    job = accepted.json()
    assert (job["kind"], job["status"], job["dataset_id"]) == ("few-shot", "queued", None)
    assert job["request"] == {
        "method": "auto", "n_support": 2, "n_query": 1, "n_classes": 2, "time_budget_seconds": 60.0,
    }  # fmt: skip
    with database.read() as session:
        held = session.scalars(select(Prediction.input_hash)).one()
        kept = json.loads(b"".join(blobs.chunks(session, held or "")))
    assert kept == {name: ASKED[name] for name in ("support", "labels", "query")}
    predictions = f"{accepted.headers['location']}/predictions"
    refused(api.get(predictions), 409, "prediction_unfinished")
    assert api.get(f"/jobs/{job['id']}/report").status_code == 200
    assert api.post(f"/jobs/{job['id']}/cancel").json()["status"] == "cancelled"
    refused(api.get(predictions), 409, "prediction_cancelled")
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Blob)) == 0


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"labels": ["yes", "yes"]}, "single_class_target"),
        ({"labels": ["yes", "no", "yes"]}, "labels_unfit"),
        ({"query": [{"x": 1.0}]}, "column_missing"),
        ({"query": [{"x": "far", "y": "left"}]}, "value_of_wrong_type"),
        ({"query": [[1.0, 2.0]]}, "ragged_rows"),
        ({"support": [{"x": 1e300, "y": "left"}, SUPPORT[1]]}, "rows_refused"),
        ({"support": [{}, {}]}, "rows_refused"),
        ({"support": SUPPORT[:1], "labels": ["yes"]}, "invalid_request"),
        ({"query": []}, "invalid_request"),
        ({"query": [ASKED["query"][0]] * 1001}, "invalid_request"),
        ({"support": [{"x": [1], "y": "left"}, SUPPORT[1]]}, "invalid_request"),
        ({"method": "magic"}, "invalid_request"),
        ({"dataset_id": "ds"}, "invalid_request"),
    ],
)
def test_rows_that_cannot_be_learned_from_begin_nothing(
    api: TestClient, database: Database, changed: dict[str, Any], code: str
) -> None:
    refused(api.post("/jobs", json={**ASKED, **changed}), 422, code)
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Job)) == 0


def test_numbers_that_are_none_are_no_json(api: TestClient) -> None:
    body = json.dumps({**ASKED, "query": [{"x": float("nan"), "y": "left"}]})
    answer = api.post("/jobs", content=body, headers={"content-type": "application/json"})
    refused(answer, 422, "invalid_json")


def test_more_classes_than_a_network_has_places_for_are_refused(api: TestClient) -> None:
    wide = {"support": [[float(each)] for each in range(11)], "labels": list(range(11)), "query": [[1.0]]}
    evidence = refused(
        api.post("/jobs", json={**ASKED, **wide, "method": "in_context"}), 422, "beyond_method"
    )
    assert evidence == {"most": 10, "n_classes": 11}
    assert api.post("/jobs", json={**ASKED, **wide}).status_code == 202


def test_a_repeat_begins_nothing(api: TestClient, database: Database) -> None:
    keyed = {"json": ASKED, "headers": {"Idempotency-Key": "one"}}
    first, second = (api.post("/jobs", **keyed) for _ in range(2))
    assert first.json()["id"] == second.json()["id"]
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Job)) == 1
    other = {**ASKED, "labels": ["yes", "no"]}
    refused(api.post("/jobs", json=other, headers={"Idempotency-Key": "one"}), 422, "idempotency_mismatch")


def test_a_version_that_knows_no_few_shot_jobs_has_none_left(api: TestClient, database: Database) -> None:
    api.post("/jobs", json=ASKED)
    migrate_to(database, "0011")
    migrate_to(database, "head")
    with database.read() as session:
        for table in (Job, Prediction, Blob):
            assert session.scalar(select(func.count()).select_from(table)) == 0
