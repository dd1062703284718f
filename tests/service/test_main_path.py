"""The main job, on the embedded and on the distributed service alike."""

from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pytest
import skops.io
from sqlalchemy import func, select

from app.client import ProblemError
from app.metalearning.portfolio import find_configuration
from app.store.tables import Dataset, Evaluation, Experiment
from tests.deployments import Deployment, wait_until
from tests.service import data


@pytest.fixture
def iris_file(tmp_path: Path) -> Path:
    path = tmp_path / "iris.csv"
    path.write_bytes(data.iris())
    return path


def test_upload_is_recommended_verified_stacked_and_taken_home(
    deployment: Deployment, iris_file: Path, tmp_path: Path
) -> None:
    client = deployment.client
    answer = client.recommend(iris_file, target="species", verify=True, k=3, metric="accuracy")
    assert [each["rank"] for each in answer["candidates"]] == [1, 2, 3]
    assert answer["knowledge_version"]

    job = client.wait(answer["job"]["id"], timeout=120)
    assert job["status"] == "succeeded", (job["error"], deployment.log()[-3000:])
    assert {each["outcome"] for each in job["experiments"]} == {"ok"}
    board = job["result"]["leaderboard"]
    assert len(board) == 4  # three configurations and the stack
    assert [row["scores"]["accuracy"] for row in board] == sorted(
        (row["scores"]["accuracy"] for row in board), reverse=True
    )
    assert board[0]["scores"]["accuracy"] > 0.9
    assert job["result"]["stack_comparison"]["verdict"] in {
        "stack_better",
        "single_better",
        "no_clear_difference",
    }

    model = client.model(job["result"]["model_id"])
    assert f"{len(model['card']['columns'])} columns" in client.card(model["id"])
    client.artifact(model["id"], tmp_path / "model.skops")
    fitted = skops.io.load(tmp_path / "model.skops", trusted=model["card"]["artifact"]["trusted_types"])
    rows = _features(iris_file)
    labels = np.array(model["card"]["classes"])[fitted.predict(rows)]
    assert np.mean(labels == rows.attrs["species"]) > 0.9
    client.artifact(model["id"], tmp_path / "script.py", "python")
    assert "species" in (tmp_path / "script.py").read_text()


def test_a_stack_is_made_and_calibrated_as_it_is_wished(deployment: Deployment, iris_file: Path) -> None:
    client = deployment.client
    dataset_id = client.upload(iris_file, target="species")["id"]
    names = ["clf-gaussian_nb-default", "clf-knn-5", "clf-lda-shrunk"]
    wishes = {"meta_model": "linear", "layers": 1, "calibrate": "temperature"}
    job = client.wait(client.verify(dataset_id, configurations=names, stack=wishes)["id"], timeout=120)
    assert job["status"] == "succeeded", (job["error"], deployment.log()[-3000:])
    assert job["request"]["stack"] == wishes
    result = job["result"]
    assert (result["stack"]["meta_model"], result["stack"]["members"]) == ("linear", sorted(names))
    assert result["stack_comparison"]["better_buy"] in {"stack", *names}
    assert result["calibration"]["method"] == "temperature"
    assert client.model(result["model_id"])["card"]["calibration"] == result["calibration"]


def test_what_its_learning_curve_leaves_no_hope_for_is_given_up(
    deployment: Deployment, tmp_path: Path
) -> None:
    """A sign of a product: trees find it, nothing linear does. It is no evaluation, and the rest goes on."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(1_500, 2)), columns=["x", "y"])
    frame["same_sign"] = np.where(frame["x"] * frame["y"] > 0, "yes", "no")
    frame.to_csv(tmp_path / "signs.csv", index=False)
    client = deployment.client
    dataset_id = client.upload(tmp_path / "signs.csv", target="same_sign")["id"]
    tree, *linear = names = [
        "clf-decision_tree-leaf_8",
        "clf-logistic_regression-default",
        "clf-lda-shrunk",
        "clf-gaussian_nb-default",
    ]
    job = client.wait(client.verify(dataset_id, configurations=names)["id"], timeout=120)
    assert job["status"] == "succeeded", (job["error"], deployment.log()[-3000:])
    by_name = {each["configuration"]: each for each in job["experiments"]}
    assert by_name[tree]["outcome"] == "ok"
    given_up = by_name[linear[-1]]  # of the others one may have begun before the tree had ended
    assert (given_up["outcome"], given_up["scores"]) == ("stopped_early", None)
    assert given_up["extrapolation"]["to_beat"]["configuration"] == tree
    assert given_up["extrapolation"]["high"] < given_up["extrapolation"]["to_beat"]["score"]
    told = {each["configuration"]: each for each in client.evaluations(job["id"])}
    assert [point["anchor"] for point in told[linear[-1]]["learning_curve"]] == [64, 256]
    assert linear[-1] not in {row["name"] for row in job["result"]["leaderboard"]}
    with deployment.database().read() as session:
        kept = select(Evaluation.configuration).where(Evaluation.dataset_id == dataset_id)
        assert tree in (evidence := set(session.scalars(kept)))
        assert linear[-1] not in evidence
    assert job["request"]["stop_early"] is True
    full = client.wait(
        client.verify(dataset_id, configurations=[tree, linear[-1]], stop_early=False)["id"], timeout=120
    )
    assert {each["outcome"] for each in full["experiments"]} == {"ok"}


def test_measured_scores_become_evaluations(deployment: Deployment, tmp_path: Path) -> None:
    path = tmp_path / "diabetes.csv"
    path.write_bytes(data.diabetes())
    answer = deployment.client.recommend(path, target="progression", verify=True, k=2, stop_early=False)
    job = deployment.client.wait(answer["job"]["id"], timeout=120)
    with deployment.database().read() as session:
        rows = session.scalars(select(Evaluation).where(Evaluation.dataset_id == answer["dataset_id"])).all()
    assert sorted(row.configuration for row in rows) == sorted(
        each["configuration"] for each in job["experiments"]
    )
    assert all(row.result["scores"]["rmse"] < 80 for row in rows)


@pytest.mark.parametrize("deployment", ["distributed"], indirect=True)
def test_api_and_worker_share_no_folder(deployment: Deployment, iris_file: Path, tmp_path: Path) -> None:
    """The dataset reaches the worker, and the model the client, through the database alone."""
    answer = deployment.client.recommend(iris_file, target="species", verify=True, k=1)
    job = deployment.client.wait(answer["job"]["id"], timeout=120)
    deployment.client.artifact(job["result"]["model_id"], tmp_path / "model.skops")
    used = {
        name: {path.name for path in (deployment.folder / name).rglob("*")} for name in ("api", "worker0")
    }
    with deployment.database().read() as session:
        content_hash = session.scalars(
            select(Dataset.content_hash).where(Dataset.id == answer["dataset_id"])
        ).one()
    assert content_hash in used["worker0"]
    assert content_hash not in used["api"]


@pytest.mark.requirement("R2")
@pytest.mark.requirement("R4")
@pytest.mark.requirement("R7")
def test_worker_killed_in_the_middle_costs_nothing(deployment: Deployment, tmp_path: Path) -> None:
    path = tmp_path / "slow.csv"
    path.write_bytes(data.slow_binary())
    client = deployment.client
    dataset_id = client.recommend(path, target="y")["dataset_id"]
    names = ["clf-lda-shrunk", "clf-catboost-300", "clf-random_forest-200", "clf-gaussian_nb-default"]
    job_id = client.verify(dataset_id, configurations=names, stop_early=False)["id"]

    def running() -> list[str]:
        return [
            each["configuration"] for each in client.job(job_id)["experiments"] if each["status"] == "running"
        ]

    wait_until(lambda: {"clf-catboost-300", "clf-random_forest-200"} & set(running()), 60)
    started = deployment.kill_worker()
    if not deployment.embedded:
        deployment.start_worker()
    wait_until(lambda: not any(process.is_running() for process in started), 10)

    job = client.wait(job_id, timeout=180)
    assert job["status"] == "succeeded", (job["error"], deployment.log()[-3000:])
    assert max(each["attempts"] for each in job["experiments"]) > 1, (
        "nothing was running when the worker died"
    )
    with deployment.database().read() as session:
        for table in (Experiment, Evaluation):
            key = Experiment.task_id if table is Experiment else Evaluation.experiment_id
            ids = select(Experiment.task_id).where(Experiment.job_id == job_id)
            count = session.scalar(select(func.count()).select_from(table).where(key.in_(ids)))
            assert count == len(names)


@pytest.mark.requirement("R6")
def test_cancelled_job_ends_and_keeps_its_record(deployment: Deployment, tmp_path: Path) -> None:
    path = tmp_path / "slow.csv"
    path.write_bytes(data.slow_binary())
    client = deployment.client
    answer = client.recommend(path, target="y", verify=True, k=10)
    wait_until(lambda: client.job(answer["job"]["id"])["status"] == "running", 30)
    client.cancel(answer["job"]["id"])
    job = client.wait(answer["job"]["id"], timeout=15)
    assert job["status"] == "cancelled"
    assert len(job["experiments"]) == 10
    assert client.cancel(answer["job"]["id"])["status"] == "cancelled"


def test_dataset_cannot_be_deleted_while_its_job_runs(deployment: Deployment, tmp_path: Path) -> None:
    path = tmp_path / "slow.csv"
    path.write_bytes(data.slow_binary())
    client = deployment.client
    answer = client.recommend(path, target="y", verify=True, k=5)
    with pytest.raises(ProblemError) as refused:
        client.delete_dataset(answer["dataset_id"])
    assert refused.value.code == "dataset_in_use"
    client.cancel(answer["job"]["id"])
    client.wait(answer["job"]["id"], timeout=15)
    client.delete_dataset(answer["dataset_id"])
    with pytest.raises(ProblemError) as gone:
        client.verify(answer["dataset_id"])
    assert gone.value.code == "dataset_not_found"


def test_time_budget_ends_experiments_and_what_was_measured_is_used(
    deployment: Deployment, tmp_path: Path
) -> None:
    path = tmp_path / "slow.csv"
    path.write_bytes(data.slow_binary())
    client = deployment.client
    dataset_id = client.recommend(path, target="y")["dataset_id"]
    cheap = ["clf-gaussian_nb-default", "clf-lda-shrunk"]
    dear = ["clf-catboost-300", "clf-random_forest-200", "clf-random_forest-leaf_3", "clf-mlp-early"]
    job_id = client.verify(dataset_id, configurations=cheap + dear, time_budget_seconds=6, stop_early=False)[
        "id"
    ]
    job = client.wait(job_id, timeout=120)
    assert job["status"] == "succeeded", (job["error"], deployment.log()[-3000:])
    outcomes = {each["configuration"]: each["outcome"] for each in job["experiments"]}
    assert outcomes["clf-gaussian_nb-default"] == "ok"
    assert set(outcomes.values()) - {"ok"}, "the budget was large enough for everything"
    assert job["progress"]["elapsed_seconds"] <= 6 + 5


def test_readiness_sees_the_worker(deployment: Deployment) -> None:
    ready = httpx.get(f"{deployment.url}/health/ready").json()
    assert ready["checks"]["database"]["revision"] == ready["checks"]["database"]["head"]
    wait_until(lambda: httpx.get(f"{deployment.url}/health/ready").json()["status"] == "ok", 30)
    seen = httpx.get(f"{deployment.url}/health/ready").json()["checks"]["workers"]
    assert seen["devices"] == {"cpu": {"cpu": seen["slots"]}}


def _features(path: Path):
    frame = pd.read_csv(path)
    features = frame.drop(columns="species").astype("float64")
    features.attrs["species"] = frame["species"].to_numpy()
    return features


def test_a_verification_follows_its_results(deployment: Deployment, tmp_path: Path) -> None:
    path = tmp_path / "diabetes.csv"
    path.write_bytes(data.diabetes())
    wishes = {"without_families": ["lightgbm", "xgboost", "catboost"]}
    answer = deployment.client.recommend(
        path,
        target="progression",
        verify=True,
        k=2,
        most_experiments=5,
        constraints=wishes,
        stop_early=False,
    )
    job = deployment.client.wait(answer["job"]["id"], timeout=180)
    assert job["status"] == "succeeded", (job["error"], deployment.log()[-3000:])
    names = [each["configuration"] for each in job["experiments"]]
    assert names[:2] == [each["configuration"] for each in answer["candidates"]]
    assert 2 <= len(names) == len(set(names)) <= 5
    families = {find_configuration(name).algorithm.family for name in names}
    assert families.isdisjoint(wishes["without_families"])
    assert len(job["result"]["leaderboard"]) == len(names) + 1
    added = [each for each in deployment.client.events(job["id"]) if each["kind"] == "experiment_added"]
    assert [each["data"]["configuration"] for each in added] == names[2:]
    assert job["progress"]["experiments_done"] == job["progress"]["experiments_total"] == len(names)
    measured = [
        {"configuration": each["configuration"], "score": each["scores"]["rmse"]}
        for each in job["experiments"]
    ]
    found = deployment.client.suggest(measured, dataset_id=answer["dataset_id"])
    assert found["next"]["configuration"] not in names
    assert deployment.client.recommendation(answer["id"], recompute=True)["recomputed"]["same"]
    assert "hybrid" in {each["name"] for each in deployment.client.meta_learners()}
