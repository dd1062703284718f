"""The builder over a service: the same parts as on one machine, on either kind of deployment; killed, it goes on."""

import csv
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from app.client import ProblemError
from app.metalearning import metadataset
from app.metalearning.portfolio import Requirements, find_configuration
from app.metalearning.table import TaskType
from tests.deployments import Deployment, wait_until
from tests.tables import mixed_table, noise_table
from workers.training import building, remote

# One that refuses, one whose rules leave the dataset out, and some that end well.
NAMES = (
    "clf-gaussian_nb-default", "clf-knn-25_weighted", "clf-lda-shrunk",
    "reg-ridge-default", "reg-decision_tree-leaf_8", "reg-lightgbm-shallow",
)  # fmt: skip
CONFIGURATIONS = {name: find_configuration(name) for name in NAMES}
_lda = CONFIGURATIONS["clf-lda-shrunk"]
_small = replace(_lda.algorithm, requirements=Requirements(most_rows=10))
CONFIGURATIONS["clf-lda-shrunk"] = replace(_lda, algorithm=_small)
COSTS = ("seconds", "memory")


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("datasets")
    pyarrow.parquet.write_table(noise_table(24).frame, folder / "tiny.parquet")
    pyarrow.parquet.write_table(mixed_table(TaskType.REGRESSION, 150).frame, folder / "mixed.parquet")
    with (folder / "inventory.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [
                ["name", "target", "task", "group"],
                ["tiny", "class", "classification", ""],
                ["mixed", "number", "regression", "family"],
            ]
        )
    return folder


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "CONFIGURATIONS", CONFIGURATIONS)


def cells(parts: Path) -> dict[tuple[str, str], dict]:
    rows = [row for path in parts.glob("*.parquet") for row in metadataset.read_evaluations(path)]
    return {(row["dataset"], row["configuration"]): row for row in rows}


def without_costs(row: dict) -> dict:
    kept = {key: value for key, value in row.items() if not any(cost in key for cost in COSTS)}
    curve = [
        {key: value for key, value in point.items() if "seconds" not in key}
        for point in row["learning_curve"] or ()
    ]
    # Only who ran the algorithm can tell the versions it failed with.
    return kept | {"learning_curve": curve, "versions": row["versions"] if row["status"] == "ok" else ""}


@pytest.mark.usefixtures("few")
def test_service_measures_what_one_machine_measures(
    deployment: Deployment, datasets: Path, tmp_path: Path
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    others = {each["id"] for each in deployment.client.datasets()}
    building.build(datasets, here, 1, [])
    assert remote.build(datasets, there, deployment.url, []) == 6, deployment.log()[-3000:]
    expected, found = cells(here), cells(there)
    assert found.keys() == expected.keys()
    for cell, row in found.items():
        assert without_costs(row) == without_costs(expected[cell]), cell
    statuses = [row["status"] for row in found.values()]
    assert sorted(statuses) == ["failed", "not_applicable", "ok", "ok", "ok", "ok"]
    assert all(0 < row["probe_seconds"] < 10 for row in found.values())
    assert remote.build(datasets, there, deployment.url, []) == 0
    assert {path.name for path in there.iterdir()} == {".lock", "tiny.parquet", "mixed.parquet"}
    left = {each["id"] for each in deployment.client.datasets()}
    assert left == others  # what was uploaded is erased again


def test_measurement_ends_without_a_stack(deployment: Deployment, datasets: Path) -> None:
    client = deployment.client
    dataset = client.upload(datasets / "mixed.parquet", target="number", task_type="regression")
    job = client.measure(dataset["id"], ["reg-ridge-default", "reg-ridge-strong"])
    job = client.wait(job["id"], timeout=120)
    assert (job["kind"], job["status"], job["result"]) == ("measurement", "succeeded", {})
    found = list(client.evaluations(job["id"]))
    assert {each["configuration"] for each in found} == {"reg-ridge-default", "reg-ridge-strong"}
    assert len(found[0]["fold_scores"]) == 5
    assert [point["anchor"] for point in found[0]["learning_curve"]] == [64]
    assert found[0]["scores"] == job["experiments"][0]["scores"]
    with pytest.raises(ProblemError) as nothing_named:
        client._call("POST", "/jobs", json={"kind": "measurement", "dataset_id": dataset["id"]})
    assert nothing_named.value.code == "invalid_request"
    with pytest.raises(ProblemError) as unknown:
        list(client.evaluations("job_unknown"))
    assert unknown.value.code == "job_not_found"
    client.delete_dataset(dataset["id"])


def test_verification_says_what_does_not_apply(deployment: Deployment, tmp_path: Path) -> None:
    client = deployment.client
    columns = {"x": np.random.default_rng(0).normal(size=60), "class": ["p"] * 57 + ["q"] * 3}
    pyarrow.parquet.write_table(pa.table(columns), tmp_path / "rare.parquet")
    dataset = client.upload(tmp_path / "rare.parquet", target="class", task_type="classification")
    names = ["clf-qda-regular", "clf-gaussian_nb-default"]
    job = client.wait(client.verify(dataset["id"], configurations=names)["id"], timeout=120)
    assert job["status"] == "succeeded"
    told = {each["configuration"]: each for each in job["experiments"]}
    assert {name: told[name]["outcome"] for name in names} == {names[0]: "not_applicable", names[1]: "ok"}
    assert told["clf-qda-regular"]["error"]["code"] == "not_applicable"
    assert "rows of every class" in told["clf-qda-regular"]["error"]["detail"]
    client.delete_dataset(dataset["id"])


@pytest.mark.parametrize("deployment", ["embedded"], indirect=True)
def test_killed_builder_goes_on_with_what_the_service_measured(
    deployment: Deployment, datasets: Path, tmp_path: Path
) -> None:
    parts = tmp_path / "parts"
    begun = start_builder(datasets, parts, deployment.url)
    wait_until(lambda: (parts / ".service.json").exists() and cells(parts), 120)
    os.kill(begun.pid, signal.SIGKILL)
    begun.wait()
    stored = cells(parts)
    assert len(stored) > 0
    again = start_builder(datasets, parts, deployment.url)
    assert again.wait(timeout=300) == 0
    found = cells(parts)
    assert set(found) == {(name, each.id) for name, each in wanted()}
    assert stored.items() <= found.items()
    assert not (parts / ".service.json").exists()


def wanted() -> list:
    names = {TaskType.CLASSIFICATION: "tiny", TaskType.REGRESSION: "mixed"}
    return [(names[each.task_type], each) for each in CONFIGURATIONS.values()]


def start_builder(datasets: Path, parts: Path, url: str) -> subprocess.Popen:
    text = (
        "from pathlib import Path\n"
        "from tests.service.test_remote_building import CONFIGURATIONS\n"
        "from workers.training import building, remote\n"
        "building.CONFIGURATIONS = CONFIGURATIONS\n"
        "building.BATCH = remote.BATCH = 1\n"
        f"remote.build(Path({str(datasets)!r}), Path({str(parts)!r}), {url!r}, [])\n"
    )
    return subprocess.Popen([sys.executable, "-c", text])


def test_service_that_is_not_there_is_named(datasets: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="No service is ready at http"):
        remote.build(datasets, tmp_path, "http://127.0.0.1:1", [])
