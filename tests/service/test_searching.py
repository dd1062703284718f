"""Searches over HTTP: the same trials by the same seed, none lost, gone on with, and refused where they contradict themselves."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from app.config import Settings
from app.main import create_app
from tests.deployments import Deployment, wait_until
from tests.service import data

QUICK = ["knn", "lda", "gaussian_nb", "decision_tree"]


def uploaded(deployment: Deployment, folder: Path, content: bytes, target: str) -> str:
    path = folder / "table.csv"
    path.write_bytes(content)
    return str(deployment.client.upload(path, target=target)["id"])


def searched(deployment: Deployment, dataset_id: str | None = None, **wishes: Any) -> dict[str, Any]:
    """A search that has ended."""
    job = deployment.client.search(dataset_id, time_budget_seconds=120, **wishes)
    ended = deployment.client.wait(job["id"], timeout=180)
    assert ended["status"] == "succeeded", (ended["error"], deployment.log()[-3000:])
    return ended


def tried(job: dict[str, Any]) -> list[tuple[int, str, float | None]]:
    """Number, configuration and score of every trial."""
    return [
        (each["trial"]["number"], each["configuration"], (each["scores"] or {}).get("accuracy"))
        for each in job["experiments"]
    ]


def test_a_search_is_repeated_by_its_seed_and_gone_on_with(deployment: Deployment, tmp_path: Path) -> None:
    dataset_id = uploaded(deployment, tmp_path, data.iris(), "species")
    wishes = {"algorithms": QUICK, "metric": "accuracy", "warm_start": False, "seed": 3, "method": "tpe"}
    whole = searched(deployment, dataset_id, trials=12, **wishes)
    assert [number for number, _, _ in tried(whole)] == list(range(12))
    first = searched(deployment, dataset_id, trials=8, **wishes)
    assert tried(first) == tried(whole)[:8]
    rest = searched(deployment, extends=first["id"], trials=4)
    assert tried(rest) == tried(whole)[8:]
    assert rest["result"]["search"]["trials"] == 12
    for job in (whole, rest):
        scores = [row["scores"]["accuracy"] for row in job["result"]["leaderboard"]]
        assert scores == sorted(scores, reverse=True)
        assert len([row for row in job["result"]["leaderboard"] if row["name"] != "stack"]) == 12
    winner = rest["result"]["leaderboard"][0]
    if winner["name"] != "stack":
        assert isinstance(winner["hyperparameters"], dict)
    card = deployment.client.model(rest["result"]["model_id"])["card"]
    assert {each["algorithm"] for each in card["configurations"]} <= set(QUICK)
    script = tmp_path / "model.py"
    deployment.client.artifact(rest["result"]["model_id"], script, format="python")
    compile(script.read_text(), "model.py", "exec")
    page = httpx.get(f"{deployment.url}/jobs/{rest['id']}/report").text
    assert "How the search went" in page
    assert "12 trials by tpe, seed 3" in page


def test_a_warm_search_begins_with_what_is_recommended_and_knows_what_was_measured(
    deployment: Deployment, tmp_path: Path
) -> None:
    dataset_id = uploaded(deployment, tmp_path, data.diabetes(), "progression")
    measured = ["reg-ridge-default", "reg-knn-5"]
    before = deployment.client.measure(dataset_id, measured)
    deployment.client.wait(before["id"], timeout=120)
    job = searched(
        deployment,
        dataset_id,
        algorithms=["ridge", "knn", "elastic_net"],
        trials=12,
        method="gp",
        metric="rmse",
    )
    sources = [each["trial"]["source"] for each in job["experiments"]]
    assert sources[0] == "recommended"
    assert set(sources) == {"recommended", "gp"}, (job["result"]["search"], deployment.log()[-6000:])
    names = {each["configuration"] for each in job["experiments"]}
    assert names.isdisjoint(measured)  # their scores are known
    ranked = {row["name"] for row in job["result"]["leaderboard"]}
    assert ranked - {"stack"} == names | set(measured)
    assert job["result"]["search"]["known_before"] == 2


def test_trials_are_given_up_halfway_and_say_why(deployment: Deployment, tmp_path: Path) -> None:
    dataset_id = uploaded(deployment, tmp_path, data.diabetes(), "progression")
    job = searched(
        deployment, dataset_id, algorithms=["knn", "ridge"], trials=12, method="asha", warm_start=False
    )
    given_up = [each for each in job["experiments"] if each["outcome"] == "stopped_early"]
    assert given_up
    for each in given_up:
        assert each["scores"] is None
        assert each["rung"]["score"] > each["rung"]["needed"]  # of RMSE
        assert each["rung"]["anchor"] in (64, 256)
    assert job["result"]["search"]["outcomes"] == {"ok": 12 - len(given_up), "stopped_early": len(given_up)}
    again = searched(deployment, dataset_id, algorithms=["knn", "ridge"], trials=12, method="asha", seed=1)
    assert again["result"]["search"]["known_before"] == 12
    assert {each["configuration"] for each in again["experiments"]}.isdisjoint(
        each["configuration"] for each in job["experiments"]
    )


@pytest.mark.requirement("R4")
def test_a_killed_worker_costs_a_search_no_trial(deployment: Deployment, tmp_path: Path) -> None:
    dataset_id = uploaded(deployment, tmp_path, data.slow_binary(), "y")
    client = deployment.client
    wishes = {
        "algorithms": ["random_forest", "decision_tree"],
        "trials": 6,
        "parallel": 2,
        "warm_start": False,
    }
    job_id = client.search(dataset_id, method="random", **wishes)["id"]

    def is_in_the_middle() -> bool:
        experiments = client.job(job_id)["experiments"]
        ended = [each for each in experiments if each["outcome"] is not None]
        return bool(ended) and any(each["status"] == "running" for each in experiments)

    wait_until(is_in_the_middle, 90)
    done = {each["configuration"]: each for each in client.job(job_id)["experiments"] if each["outcome"]}
    deployment.kill_worker()
    if not deployment.embedded:
        deployment.start_worker()
    job = client.wait(job_id, timeout=240)
    assert job["status"] == "succeeded", (job["error"], deployment.log()[-3000:])
    assert [each["trial"]["number"] for each in job["experiments"]] == list(range(6))
    for each in job["experiments"]:
        if each["configuration"] in done:
            assert each["scores"] == done[each["configuration"]]["scores"]
            assert each["attempts"] == 1


@pytest.fixture
def api(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings)) as client:
        yield client


@pytest.fixture
def dataset_id(api: TestClient) -> str:
    files = {"file": ("iris.csv", data.iris())}
    return str(api.post("/datasets", files=files, data={"target": "species"}).json()["id"])


@pytest.mark.parametrize(
    ("wishes", "status", "code"),
    [
        ({"space": {"knn": {"n_neighbors": {"low": 9, "high": 3}}}}, 422, "search_space_contradictory"),
        ({"space": {"knn": {"neighbours": {"low": 3}}}}, 422, "search_space_contradictory"),
        ({"space": {"lda": {"solver": {"values": ["svd"]}}}}, 422, "search_space_contradictory"),
        ({"space": {"knn": {"n_neighbors": {}}}}, 422, "invalid_request"),
        ({"space": {"knn": {"n_neighbors": {"low": 3, "values": [3]}}}}, 422, "invalid_request"),
        ({"algorithms": ["nearest"]}, 422, "invalid_request"),
        ({"algorithms": ["ridge"]}, 422, "invalid_request"),
        ({"algorithms": ["realmlp"]}, 409, "no_gpu_worker"),
        ({"algorithms": []}, 422, "invalid_request"),
        ({"trials": 0}, 422, "invalid_request"),
        ({"time_budget_seconds": 0.5}, 422, "invalid_request"),
        ({"method": "annealing"}, 422, "invalid_request"),
        ({"metric": "rmse"}, 422, "unknown_metric"),
        ({"seed": -1}, 422, "invalid_request"),
        ({"extends": "job_1"}, 422, "invalid_request"),
        ({"dataset_id": None, "algorithms": None, "extends": "job_1"}, 422, "invalid_request"),
        ({"dataset_id": "ds_unknown"}, 404, "dataset_not_found"),
    ],
    ids=str,
)
def test_a_search_that_contradicts_itself_is_refused(
    api: TestClient, dataset_id: str, wishes: dict[str, Any], status: int, code: str
) -> None:
    body = {"kind": "search", "dataset_id": dataset_id, "algorithms": ["knn"], **wishes}
    answer = api.post("/jobs", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.json()["advice"]
    assert api.get("/jobs").json()["items"] == []


def test_what_is_extended_must_be_there_and_over(api: TestClient, dataset_id: str) -> None:
    job = api.post("/jobs", json={"kind": "search", "dataset_id": dataset_id}).json()
    assert job["request"]["algorithms"]
    assert "realmlp" not in job["request"]["algorithms"]
    for extends, status, code in ((job["id"], 409, "search_under_way"), ("job_0", 404, "job_not_found")):
        answer = api.post("/jobs", json={"kind": "search", "extends": extends})
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    api.post(f"/jobs/{job['id']}/cancel")
    again = api.post("/jobs", json={"kind": "search", "extends": job["id"], "trials": 3})
    assert again.status_code == 202, again.text
    kept = {**job["request"], "trials": 3, "extends": job["id"]}
    assert again.json()["request"] == kept


def test_a_dataset_that_is_gone_has_no_search_to_go_on_with(api: TestClient, dataset_id: str) -> None:
    job_id = api.post("/jobs", json={"kind": "search", "dataset_id": dataset_id}).json()["id"]
    api.post(f"/jobs/{job_id}/cancel")
    assert api.delete(f"/datasets/{dataset_id}").status_code == 204
    answer = api.post("/jobs", json={"kind": "search", "extends": job_id})
    assert (answer.status_code, answer.json()["code"]) == (404, "dataset_not_found")
