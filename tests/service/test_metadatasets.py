"""Recommendations from imported meta-datasets over HTTP, and through the client."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from app.api import imported
from app.client import Client, ProblemError
from app.config import Settings
from app.main import create_app
from app.metalearning.importing.knowledge import dump, load, summarise
from app.metalearning.importing.matrix import PerformanceMatrix
from app.metalearning.metalearners import STRATEGIES
from app.store import metadatasets
from app.store.database import Database
from app.store.tables import Recommendation
from tests.growing import grow_few_trees
from tests.scenarios import RUN_TIME, decided
from workers.training import importing

EVEN = {f"f{column}": 0.5 for column in range(8)} | {"f0": 1.1}
ODD = EVEN | {"f0": 0.1}


@pytest.fixture(scope="module")
def fit():
    """Fit a matrix quickly: its bytes and its summary."""

    def fit(given: PerformanceMatrix):
        fitted = importing.fit_imported(given)
        return dump(given, fitted), summarise(given, fitted)

    with pytest.MonkeyPatch.context() as patch:
        grow_few_trees(patch)
        patch.setattr(importing, "MOST_FOLDS", 5)
        yield fit


@pytest.fixture(scope="module")
def accuracies(fit):
    return fit(decided())


@pytest.fixture(scope="module")
def run_times(fit):
    return fit(decided(measure=RUN_TIME))


@pytest.fixture
def put(database: Database, tmp_path: Path):
    """Store what was fitted under a name."""

    def put(name: str, fitted) -> None:
        content, summary = fitted
        (tmp_path / "content").write_bytes(content)
        with database.write() as session:
            metadatasets.record(session, owner="local", name=name, path=tmp_path / "content", summary=summary)
            session.commit()

    return put


@pytest.fixture
def api(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings)) as client:
        yield client


def ask(api: TestClient, name: str = "solvers", **body):
    return api.post(f"/meta-datasets/{name}/recommend", json={"metafeatures": EVEN, **body})


def test_algorithms_are_ranked_by_what_won_on_datasets_like_this(api, put, accuracies):
    put("solvers", accuracies)
    for metafeatures, winner in ((EVEN, "a0"), (ODD, "a1")):
        body = ask(api, metafeatures=metafeatures, k=2).json()
        first = body["candidates"][0]
        assert (first["rank"], first["algorithm"]) == (1, winner)
        assert len(body["candidates"]) == 2
        for each in body["candidates"]:
            expected = each["expected"]
            assert 0 <= expected["low"] <= expected["performance"] <= expected["high"] <= 1
        assert {each["winner"] for each in body["neighbours"]} == {winner}
        assert body["measure"]["name"] == "accuracy"
        assert not body["outside_experience"]
        assert body["version"] == load(accuracies[0]).version


def test_recommendation_is_remembered_with_what_was_asked(api, put, accuracies, database):
    put("solvers", accuracies)
    body = ask(api, k=1, strategy="nearest").json()
    with database.read() as session:
        row = session.scalars(select(Recommendation)).one()
        owner = metadatasets.get(session, "local", "solvers").id
    assert (row.id, row.meta_dataset_id) == (body["id"], owner)
    assert row.request == {"metafeatures": EVEN, "k": 1, "strategy": "nearest"}
    assert {"id": row.id, **row.body} == body


def test_what_is_imported_is_listed_and_told_with_its_proof(api, put, accuracies, run_times):
    put("classifiers", accuracies)
    put("solvers", run_times)
    listed = api.get("/meta-datasets").json()["items"]
    assert [each["name"] for each in listed] == ["solvers", "classifiers"]
    assert (listed[0]["datasets"], listed[0]["algorithms"], listed[0]["metafeatures"]) == (40, 3, 8)
    first = api.get("/meta-datasets", params={"limit": 1}).json()
    second = api.get("/meta-datasets", params={"limit": 1, "cursor": first["next_cursor"]}).json()
    assert [first["items"][0], second["items"][0]] == listed
    told = api.get("/meta-datasets/solvers").json()
    assert told["measure"] == {
        "name": "seconds",
        "larger_is_better": False,
        "is_run_time": True,
        "cutoff_seconds": 100.0,
    }
    assert told["algorithms"] == ["a0", "a1", "a2"]
    assert told["runs"] == {"ok": 120}
    report = told["report"]
    assert set(report["regret"]) == set(STRATEGIES)
    assert report["default_strategy"] in report["regret"]
    assert report["gap_closed"]["forest"] > 0.5
    assert {"best_constant", "virtual_best"} < set(report["mean_performance"])
    assert told["version"] == listed[0]["version"]


def test_content_is_read_once_and_a_new_import_is_noticed(api, put, accuracies, run_times, monkeypatch):
    reads = []
    monkeypatch.setattr(imported, "load", lambda content: reads.append(1) or load(content))
    put("solvers", accuracies)
    versions = [ask(api).json()["version"] for _ in range(3)]
    assert len(reads) == 1
    put("solvers", run_times)
    changed = ask(api).json()
    assert len(reads) == 2
    assert len(set(versions)) == 1
    assert changed["version"] not in versions
    assert changed["measure"]["name"] == "seconds"


def test_deleted_meta_dataset_answers_no_more(api, put, accuracies):
    put("solvers", accuracies)
    assert ask(api).status_code == 200
    assert api.delete("/meta-datasets/solvers").status_code == 204
    for answer in (ask(api), api.get("/meta-datasets/solvers"), api.delete("/meta-datasets/solvers")):
        assert (answer.status_code, answer.json()["code"]) == (404, "meta_dataset_not_found")
    assert api.get("/meta-datasets").json()["items"] == []


def test_dataset_nothing_like_the_known_ones_gets_the_portfolio(api, put, accuracies):
    put("solvers", accuracies)
    for metafeatures in ({}, dict.fromkeys(EVEN), dict.fromkeys(EVEN, 1e9)):
        body = ask(api, metafeatures=metafeatures).json()
        assert (body["outside_experience"], body["strategy"]) == (True, "portfolio")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ('{"metafeatures": {"f99": 1}}', "unknown_metafeature"),
        ('{"metafeatures": {"f1": NaN}}', "invalid_json"),
        ('{"metafeatures": {"f1": Infinity}}', "invalid_json"),
        ('{"metafeatures": {"f1": "large"}}', "invalid_request"),
        ('{"metafeatures": {"f1": [1]}}', "invalid_request"),
        ('{"metafeatures": [1]}', "invalid_request"),
        ('{"metafeatures": {}, "k": 0}', "invalid_request"),
        ('{"metafeatures": {}, "strategy": "magic"}', "invalid_request"),
        ('{"metafeatures": {}, "metric": "accuracy"}', "invalid_request"),
        ("{}", "invalid_request"),
        ("{", "invalid_json"),
    ],
)
def test_bad_questions_are_refused_with_their_code(api, put, accuracies, body, code):
    put("solvers", accuracies)
    headers = {"content-type": "application/json"}
    answer = api.post("/meta-datasets/solvers/recommend", content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert answer.json()["advice"]


def test_client_asks_lists_and_deletes(api, put, accuracies):
    put("solvers", accuracies)
    client = Client("http://testserver")
    client._http = api
    answer = client.recommend_algorithms("solvers", EVEN, k=1, strategy=None)
    assert [each["algorithm"] for each in answer["candidates"]] == ["a0"]
    assert [each["name"] for each in client.meta_datasets()] == ["solvers"]
    assert client.imported_meta_dataset("solvers")["datasets"] == 40
    client.delete_meta_dataset("solvers")
    with pytest.raises(ProblemError) as refused:
        client.imported_meta_dataset("solvers")
    assert refused.value.code == "meta_dataset_not_found"
