"""What the API answers where nothing is wrong."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.config import Settings
from app.main import create_app
from tests.service import data

OPENAPI = Path(__file__).parents[2] / "openapi.json"


@pytest.fixture
def api(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings)) as client:
        yield client


def test_metafeatures_alone_are_enough(api: TestClient) -> None:
    values = {"nr_inst": 800, "nr_attr": 12, "nr_num": 12, "nr_cat": 0, "nr_class": 2, "cat_share": 0.0}
    asked = {"task_type": "classification", "metafeatures": values, "k": 4}
    answer = api.post("/recommend", json=asked)
    assert answer.status_code == 200
    body = answer.json()
    assert [each["rank"] for each in body["candidates"]] == [1, 2, 3, 4]
    assert len({each["configuration"] for each in body["candidates"]}) == 4
    for each in body["candidates"]:
        assert each["expected"]["low"] <= each["expected"]["score"] <= each["expected"]["high"]
        assert each["fit_cpu_seconds"] > 0
        compile(each["snippet"], "snippet", "exec")
    assert not body["outside_experience"]
    assert len(body["neighbours"]) == len(body["similar"]) == 3


def test_dataset_nothing_like_the_known_ones_gets_the_portfolio(api: TestClient) -> None:
    asked = {"task_type": "regression", "metafeatures": {"nr_inst": 5e7, "nr_attr": 9000}}
    body = api.post("/recommend", json=asked).json()
    assert body["outside_experience"]
    assert body["strategy"] == "portfolio"


def test_uploaded_dataset_is_described_and_recommended_for_by_id(api: TestClient) -> None:
    files = {"file": ("../../etc/iris.csv", data.iris())}
    created = api.post("/datasets", files=files, data={"target": "species"})
    assert created.status_code == 201
    dataset = created.json()
    assert created.headers["location"] == f"/datasets/{dataset['id']}"
    assert dataset["classes"] == ["setosa", "versicolor", "virginica"]
    assert dataset["metafeatures"]["nr_inst"] == 150
    assert dataset == api.get(f"/datasets/{dataset['id']}").json()
    answer = api.post("/recommend", json={"dataset_id": dataset["id"], "strategy": "portfolio"}).json()
    assert answer["strategy"] == "portfolio"
    assert answer["metric"] == "log_loss"


@pytest.mark.requirement("A6")
def test_verification_is_accepted_only_with_a_place_to_watch_it(api: TestClient) -> None:
    answer = api.post(
        "/recommend",
        files={"file": ("d.csv", data.diabetes())},
        data={"target": "progression", "verify": "true"},
    )
    assert answer.status_code == 202
    job = api.get(answer.headers["location"])
    assert job.json()["status"] == "queued"
    assert job.headers["retry-after"]
    assert job.json()["recommendation_id"] == answer.json()["id"]


@pytest.mark.requirement("R6")
def test_cancel_without_any_worker_ends_the_job_at_once(api: TestClient) -> None:
    files = {"file": ("d.csv", data.diabetes())}
    dataset_id = api.post("/datasets", files=files, data={"target": "progression"}).json()["id"]
    job_id = api.post("/jobs", json={"dataset_id": dataset_id}).json()["id"]
    assert api.post(f"/jobs/{job_id}/cancel").json()["status"] == "cancelled"
    assert {each["status"] for each in api.get(f"/jobs/{job_id}").json()["experiments"]} == {"cancelled"}


def test_lists_are_paged_to_the_end_without_repeats(api: TestClient) -> None:
    files = {"file": ("d.csv", data.diabetes())}
    dataset_id = api.post("/datasets", files=files, data={"target": "progression"}).json()["id"]
    ids = [api.post("/jobs", json={"dataset_id": dataset_id, "k": 1}).json()["id"] for _ in range(5)]
    assert _all_pages(api, "/jobs", limit=2) == ids[::-1]
    names = _all_pages(api, "/configurations", limit=7)
    assert len(names) == len(set(names)) > 30
    only = api.get("/configurations", params={"task_type": "regression"}).json()["items"]
    assert {each["task_type"] for each in only} == {"regression"}


def test_algorithms_tell_their_search_spaces_and_what_they_need(api: TestClient) -> None:
    algorithms = {each["name"]: each for each in api.get("/algorithms").json()["items"]}
    assert _all_pages(api, "/algorithms", limit=5, key="name") == sorted(algorithms)
    svm = algorithms["svm"]
    assert svm["estimators"] == {"classification": "sklearn.svm.SVC", "regression": "sklearn.svm.SVR"}
    spaces = {kind: {each["name"]: each for each in space} for kind, space in svm["search_spaces"].items()}
    assert spaces["classification"].keys() == spaces["regression"].keys() - {"epsilon"}
    assert spaces["regression"]["C"] == {
        "name": "C", "type": "real", "low": 0.01, "high": 1000.0, "log": True,
        "values": None, "default": 1.0, "when": None,
    }  # fmt: skip
    assert spaces["regression"]["degree"]["when"] == {"name": "kernel", "values": ["poly"]}
    assert svm["requirements"]["most_rows"] == 20_000
    assert algorithms["tabm"]["requirements"]["gpu"]
    listed = {
        name for each in algorithms.values() for names in each["configurations"].values() for name in names
    }
    assert listed == set(_all_pages(api, "/configurations", limit=50))
    (one,) = [
        each for each in api.get("/configurations?limit=500").json()["items"] if each["id"] == "reg-svm-poly"
    ]
    assert one["search_space"] == svm["search_spaces"]["regression"]
    assert one["requirements"] == svm["requirements"]


def test_committed_openapi_document_is_the_one_served(api: TestClient) -> None:
    assert json.loads(OPENAPI.read_text()) == api.get("/openapi.json").json(), "make openapi writes it anew"


def test_docs_page_needs_nothing_from_elsewhere(api: TestClient) -> None:
    page = api.get("/docs").text
    assert "/openapi.json" in page
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert addresses
    assert all(address.startswith("/") and api.get(address).status_code == 200 for address in addresses)


def test_api_process_imports_no_training_library() -> None:
    code = (
        "import sys, app.main; app.main.create_app();"
        "print([name for name in ('sklearn', 'scipy', 'pandas', 'lightgbm', 'xgboost', 'catboost', 'skops', 'torch')"
        " if name in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == "[]"


def _all_pages(api: TestClient, path: str, limit: int, key: str = "id") -> list[str]:
    found: list[str] = []
    cursor = None
    while True:
        page = api.get(path, params={"limit": limit, **({"cursor": cursor} if cursor else {})}).json()
        found += [each[key] for each in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            return found
