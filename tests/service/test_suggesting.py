"""Constraints, suggestions, and recommendations read again, over HTTP."""

import dataclasses
import statistics
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.config import Settings
from app.main import create_app
from app.metalearning.metalearners import NEURAL_STRATEGIES, STRATEGIES
from tests.service import data

VALUES = {"nr_inst": 800, "nr_attr": 12, "nr_num": 12, "nr_cat": 0, "nr_class": 2, "cat_share": 0.0}
ASKED = {"task_type": "classification", "metafeatures": VALUES}
SELECTING = ("1", "3", "5", "10")  # the numbers of tries over whose mean the default is the best


@pytest.fixture
def api(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings)) as client:
        yield client


def refused(answer: Any, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    problem: dict[str, Any] = answer.json()
    assert problem["code"] == code
    assert problem["advice"]
    return problem


def test_candidates_keep_to_the_constraints(api: TestClient) -> None:
    wishes = {"interpretable_only": True, "without_families": ["tree"], "max_fit_cpu_seconds": 5.0}
    body = api.post("/recommend", json={**ASKED, "k": 50, "constraints": wishes}).json()
    algorithms = {each["name"]: each for each in api.get("/algorithms").json()["items"]}
    for each in body["candidates"]:
        assert algorithms[each["algorithm"]]["interpretable"]
        assert each["fit_cpu_seconds"] <= 5
        assert each["family"] != "tree"
        assert 0 <= each["probability_best"] <= 1
    assert sum(each["probability_best"] for each in body["candidates"]) == pytest.approx(1)
    assert any("interpretable" in reason for reason in body["excluded"].values())


def test_an_answer_without_reasons_is_the_same_ranking(api: TestClient) -> None:
    whole, short = (
        api.post("/recommend", json={**ASKED, "explain": explain}).json() for explain in (True, False)
    )
    for one, other in zip(whole["candidates"], short["candidates"], strict=True):
        assert other["snippet"] is other["probability_best"] is None
        assert one | {"snippet": None, "probability_best": None} == other
    assert short["neighbours"] == short["similar"] == []
    assert api.get(f"/recommendations/{short['id']}?recompute=true").json()["recomputed"]["same"]


def test_nothing_feasible_tells_what_each_constraint_excludes(api: TestClient) -> None:
    wishes = {"interpretable_only": True, "max_memory_bytes": 1}
    problem = refused(api.post("/recommend", json={**ASKED, "constraints": wishes}), 422, "nothing_feasible")
    assert set(problem["evidence"]["excluded_by"]) == {"interpretable_only", "max_memory_bytes"}
    assert refused(api.post("/suggest", json={**ASKED, "constraints": wishes}), 422, "nothing_feasible")


@pytest.mark.parametrize(
    "constraints",
    [{"algorithms": ["lightgbmm"]}, {"max_fit_cpu_seconds": 0}, {"best_only": True}, {"families": "tree"}],
)
def test_constraints_that_there_are_not_are_refused(api: TestClient, constraints: dict[str, Any]) -> None:
    refused(api.post("/recommend", json={**ASKED, "constraints": constraints}), 422, "invalid_request")


def test_an_upload_has_constraints_too(api: TestClient) -> None:
    wishes = {"target": "species", "constraints": '{"algorithms": ["lda", "knn"]}'}
    body = api.post("/recommend", files={"file": ("iris.csv", data.iris())}, data=wishes).json()
    assert {each["algorithm"] for each in body["candidates"]} == {"lda", "knn"}
    wishes["constraints"] = '{"algorithms": ["nonsense"]}'
    answer = api.post("/recommend", files={"file": ("iris.csv", data.iris())}, data=wishes)
    refused(answer, 422, "invalid_request")


def test_a_recommendation_is_read_again_and_repeated(api: TestClient) -> None:
    given = api.post(
        "/recommend", json={**ASKED, "k": 3, "constraints": {"without_algorithms": ["catboost"]}}
    ).json()
    again = api.get(f"/recommendations/{given['id']}").json()
    assert {**again, "created_at": None, "recomputed": None} == {
        **given,
        "created_at": None,
        "recomputed": None,
    }
    assert again["created_at"].endswith("Z")
    repeated = api.get(f"/recommendations/{given['id']}?recompute=true").json()
    assert repeated["recomputed"] == {"same": True, "largest_difference": 0.0}
    refused(api.get("/recommendations/rec_nothing"), 404, "recommendation_not_found")


def test_a_recommendation_for_an_upload_is_repeated_from_what_was_stored(api: TestClient) -> None:
    files = {"file": ("iris.csv", data.iris())}
    given = api.post("/recommend", files=files, data={"target": "species", "metric": "accuracy"}).json()
    repeated = api.get(f"/recommendations/{given['id']}?recompute=true").json()
    assert repeated["recomputed"]["same"]
    assert repeated["metric"] == "accuracy"
    assert api.delete(f"/datasets/{given['dataset_id']}").status_code == 204
    left = api.get(f"/recommendations/{given['id']}").json()
    assert (left["findings"], left["explanation"]) == ([], "")
    refused(api.get(f"/recommendations/{given['id']}?recompute=true"), 404, "dataset_not_found")


def test_other_knowledge_cannot_repeat_it(api: TestClient) -> None:
    given = api.post("/recommend", json=ASKED).json()
    knowledge = api.app.state.service.knowledge  # type: ignore[attr-defined]
    others = {each: dataclasses.replace(known, version="another") for each, known in knowledge.items()}
    knowledge.promoted.shipped = others
    knowledge.look()
    problem = refused(api.get(f"/recommendations/{given['id']}?recompute=true"), 409, "not_repeatable")
    assert given["knowledge_version"] in problem["detail"]
    assert "another" in problem["detail"]


def test_suggestions_lead_from_results_to_what_to_try_next(api: TestClient) -> None:
    observations: list[dict[str, Any]] = []
    for score in (0.8, None, 0.83, 0.79):
        body = api.post("/suggest", json={**ASKED, "observations": observations}).json()
        assert body["next"]["configuration"] not in {each["configuration"] for each in observations}
        assert body["next"]["expected"]["unit"] == body["metric"] == "roc_auc"
        compile(body["next"]["snippet"], "snippet", "exec")
        observations.append({"configuration": body["next"]["configuration"], "score": score})
    assert 0 <= body["probability_nearly_best"] <= 1
    assert body["next"]["expected_improvement"] >= 0
    same = api.post("/suggest", json={**ASKED, "observations": observations[:3]}).json()
    assert same == body


def test_suggestions_for_a_known_dataset(api: TestClient) -> None:
    files = {"file": ("iris.csv", data.iris())}
    dataset = api.post("/datasets", files=files, data={"target": "species"}).json()["id"]
    body = api.post(
        "/suggest", json={"dataset_id": dataset, "metric": "accuracy", "seconds_left": 60, "fits": 5}
    ).json()
    assert body["next"]["cpu_seconds"] <= 60
    assert body["metric"] == "accuracy"
    refused(api.post("/suggest", json={"dataset_id": "ds_none"}), 404, "dataset_not_found")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"observations": [{"configuration": "clf-none", "score": 0.5}]}, "unknown_configuration"),
        ({"observations": [{"configuration": "clf-lda-default", "score": 1.5}]}, "score_out_of_range"),
        ({"observations": [{"configuration": "clf-lda-default"}]}, "invalid_request"),
        ({"observations": [{"configuration": "clf-lda-default", "score": 0.5}] * 501}, "invalid_request"),
        ({"metric": "rmse"}, "unknown_metric"),
        ({"seconds_left": 0}, "invalid_request"),
        ({"fits": 0}, "invalid_request"),
        ({"metafeatures": {"nr_instances": 5}}, "unknown_metafeature"),
        ({"metafeature_version": 1}, "metafeature_version_unsupported"),
        ({"dataset_id": "ds_1"}, "invalid_request"),
    ],
)
def test_suggestions_that_cannot_be_made_say_why(api: TestClient, changes: dict[str, Any], code: str) -> None:
    refused(api.post("/suggest", json={**ASKED, **changes}), 422, code)


def test_meta_learners_show_their_regret(api: TestClient) -> None:
    listed = {each["name"]: each for each in api.get("/meta-learners").json()["items"]}
    assert set(listed) == {*STRATEGIES, *NEURAL_STRATEGIES}
    for task_type in ("classification", "regression"):
        proofs = {name: each["proof"][task_type] for name, each in listed.items()}
        (default,) = (name for name, proof in proofs.items() if proof["default"])
        means = {
            name: statistics.mean(proof["regret"][k] for k in SELECTING) for name, proof in proofs.items()
        }
        assert means[default] == pytest.approx(min(means.values()), abs=1e-4)  # they are told rounded
        assert proofs["hybrid"]["regret"]["1"] < proofs["single_best"]["regret"]["1"]
        assert proofs["hybrid"]["regret"]["5"] < proofs["portfolio"]["regret"]["5"]
    assert listed["hybrid"]["learns_from_results"]
    assert not listed["portfolio"]["learns_from_results"]
    assert all(each["description"] for each in listed.values())
    first = api.get("/meta-learners?limit=3").json()
    then = api.get(f"/meta-learners?limit=50&cursor={first['next_cursor']}").json()
    names = [each["name"] for page in (first, then) for each in page["items"]]
    assert len(first["items"]) == 3
    assert names == sorted(listed)


@pytest.mark.parametrize("strategy", [*STRATEGIES, *NEURAL_STRATEGIES])
def test_every_strategy_answers(api: TestClient, strategy: str) -> None:
    body = api.post("/recommend", json={**ASKED, "strategy": strategy, "k": 4}).json()
    assert body["strategy"] == strategy
    assert len({each["configuration"] for each in body["candidates"]}) == 4
