"""Datasets over HTTP: what is told about them, how long they are kept, and what is left when they are gone."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update

from app.config import Settings
from app.main import create_app
from app.metalearning.metafeatures import SCHEMA, SCHEMA_VERSION
from app.store.database import Database
from app.store.tables import Dataset
from tests.deployments import Deployment, wait_until
from tests.service import data
from tests.store.verified import age, places
from workers.retention import erase_expired

SECRET = "Zephyrine"  # in the file's name, in its header, in its cells and in its classes
ROWS = data.iris().replace(b"virginica", SECRET.encode()).replace(b"a,b,", f"a,b {SECRET},".encode(), 1)


@pytest.fixture
def api(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings)) as client:
        yield client


def upload(api: TestClient, rows: bytes = ROWS, **fields: str) -> dict[str, Any]:
    files = {"file": (f"{SECRET}.csv", rows)}
    answer = api.post("/datasets", files=files, data={"target": "species", **fields})
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_answer_to_an_upload_says_how_the_dataset_was_understood(api: TestClient) -> None:
    constant = b"\n".join(b"same," + line for line in ROWS.splitlines())
    dataset = upload(api, rows=constant)
    columns = {each["name"]: (each["type"], each["role"]) for each in dataset["columns"]}
    assert columns["a"] == ("numeric", "feature")
    assert dataset["n_columns"] == len(columns) == 5
    assert [each["advice"] for each in dataset["findings"] if each["column"] == "same"] not in ([], [""])
    assert dataset["metafeatures"]["nr_inst"] == 150
    assert dataset["contribute"] is True
    kept = datetime.fromisoformat(dataset["expires_at"]) - datetime.fromisoformat(dataset["created_at"])
    assert kept.total_seconds() == pytest.approx(30 * 86_400, abs=1)


@pytest.mark.parametrize(("said", "meant"), [("true", True), ("false", False)])
def test_owner_says_whether_to_contribute(api: TestClient, said: str, meant: bool) -> None:
    dataset = upload(api, contribute=said)
    assert dataset["contribute"] is meant
    assert api.get(f"/datasets/{dataset['id']}").json()["contribute"] is meant
    fields = {"target": "species", "contribute": said}
    answer = api.post("/recommend", files={"file": ("d.csv", ROWS)}, data=fields).json()
    assert api.get(f"/datasets/{answer['dataset_id']}").json()["contribute"] is meant


def test_contribution_that_is_neither_yes_nor_no_is_refused(api: TestClient) -> None:
    fields = {"target": "species", "contribute": "perhaps"}
    answer = api.post("/datasets", files={"file": ("d.csv", ROWS)}, data=fields)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert "contribute" in answer.json()["detail"]


def test_metafeatures_come_with_family_meaning_and_cost(api: TestClient) -> None:
    dataset = upload(api)
    body = api.get(f"/datasets/{dataset['id']}/metafeatures").json()
    assert body["dataset_id"] == dataset["id"]
    assert body["metafeature_version"] == SCHEMA_VERSION
    assert {each["name"]: each["value"] for each in body["metafeatures"]} == dataset["metafeatures"]
    meanings = {definition.name: (definition.family, definition.meaning) for definition in SCHEMA}
    assert len(body["metafeatures"]) > 20
    assert all((each["family"], each["meaning"]) == meanings[each["name"]] for each in body["metafeatures"])
    assert set(body["seconds"]) <= {definition.family for definition in SCHEMA}
    assert all(seconds >= 0 for seconds in body["seconds"].values())
    assert body["absent"] == dataset["absent_metafeatures"]


def test_metafeatures_of_another_version_are_answered_as_they_were_stored(
    api: TestClient, database: Database
) -> None:
    dataset = upload(api)
    old = {"nr_inst": 150.0, "of_old": None}
    with database.write() as session:
        session.execute(update(Dataset).values(metafeatures=old, metafeature_version=SCHEMA_VERSION - 1))
        session.commit()
    body = api.get(f"/datasets/{dataset['id']}/metafeatures").json()
    assert body["metafeature_version"] == SCHEMA_VERSION - 1
    found = {each["name"]: each for each in body["metafeatures"]}
    assert found["of_old"] == {
        "name": "of_old",
        "family": None,
        "value": None,
        "meaning": None,
        "seconds": None,
    }
    assert found["nr_inst"]["meaning"]


def test_lost_ids_are_found_again_newest_first_page_by_page(api: TestClient) -> None:
    ids = [upload(api)["id"] for _ in range(3)]
    api.delete(f"/datasets/{ids[1]}")
    found, cursor = [], None
    while cursor is not None or not found:
        page = api.get("/datasets", params={"limit": 1, **({"cursor": cursor} if cursor else {})}).json()
        found += page["items"]
        cursor = page["next_cursor"]
    assert [each["id"] for each in found] == [ids[2], ids[0]]
    assert found[0]["name"] == f"{SECRET}.csv"
    assert found[0]["target"] == "species"
    assert found[0]["expires_at"]


def test_expired_dataset_says_so_wherever_it_is_asked_for(api: TestClient, database: Database) -> None:
    dataset_id = upload(api)["id"]
    assert api.post("/recommend", json={"dataset_id": dataset_id}).status_code == 200
    age(database, dataset_id, 31)
    erase_expired(database, 30)
    asked = {"dataset_id": dataset_id}
    for answer in (
        api.get(f"/datasets/{dataset_id}"),
        api.get(f"/datasets/{dataset_id}/metafeatures"),
        api.post("/jobs", json=asked),
        api.post("/recommend", json=asked),
        api.post("/recommend", json={**asked, "verify": True}),
    ):
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (410, "dataset_expired"), answer.request.url
        assert "Upload it again" in problem["advice"]
    assert api.get("/datasets").json()["items"] == []
    assert places(database, SECRET) == set()
    assert api.delete(f"/datasets/{dataset_id}").status_code == 204
    assert api.get(f"/datasets/{dataset_id}").json()["code"] == "dataset_not_found"


def test_service_told_to_keep_for_ever_announces_no_end(settings: Settings) -> None:
    with TestClient(create_app(settings.model_copy(update={"retention_days": 0.0}))) as api:
        assert upload(api)["expires_at"] is None


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "soon", "1e9"])
def test_retention_that_makes_no_sense_is_refused_at_the_start(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETENTION_DAYS", value)
    with pytest.raises(ValueError, match="retention_days"):
        Settings()


@pytest.mark.parametrize("contribute", [True, False])
def test_verified_and_deleted_dataset_leaves_no_word_of_its_owner(
    deployment: Deployment, contribute: bool
) -> None:
    """Through the whole service: rows, models, worker's copies, and every cell of the database."""
    database = deployment.database()
    fields = {"target": "species", "contribute": str(contribute)}
    files = {"file": (f"{SECRET}.csv", ROWS)}
    answer = httpx.post(f"{deployment.url}/recommend", files=files, data=fields, timeout=60).json()
    quick = ["clf-gaussian_nb-default", "clf-lda-shrunk"]
    job_id = deployment.client.verify(answer["dataset_id"], configurations=quick)["id"]
    job = deployment.client.wait(job_id, timeout=120)
    assert job["status"] == "succeeded", (job["error"], deployment.log()[-3000:])
    before = places(database, SECRET)
    assert {"datasets.classes", "models.card", "models.script"} <= before
    with database.read() as session:
        content_hash = session.get_one(Dataset, answer["dataset_id"]).content_hash
    assert content_hash in _files(deployment.folder)

    deployment.client.delete_dataset(answer["dataset_id"])
    assert places(database, SECRET) == set()
    wait_until(lambda: content_hash not in _files(deployment.folder), 10)
    left = deployment.client.job(job["id"])
    assert left["status"] == "succeeded"
    assert (left["result"] is not None) is contribute
    assert all((each["scores"] is not None) is contribute for each in left["experiments"])
    assert ("evaluations.dataset_id" in places(database, answer["dataset_id"])) is contribute


def test_workers_erase_what_has_expired(deployment: Deployment) -> None:
    files = {"file": (f"{SECRET}.csv", ROWS)}
    answer = httpx.post(f"{deployment.url}/datasets", files=files, data={"target": "species"}, timeout=60)
    address = deployment.url + answer.headers["location"]
    assert httpx.get(address).status_code == 200
    age(deployment.database(), answer.json()["id"], 31)
    wait_until(lambda: httpx.get(address).status_code == 410, 10)


def _files(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*")}
