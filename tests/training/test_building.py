import csv
import fcntl
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pyarrow.parquet
import pytest

from app import isolation
from app.isolation import preload
from app.metalearning import metadataset
from app.metalearning.metafeatures import NAMES
from app.metalearning.portfolio import Requirements, find_configuration
from app.metalearning.table import TaskType
from tests.deployments import wait_until
from tests.tables import CLASSIFICATION, measure, mixed_table, noise_table
from workers.training import building, fitting

CHEAP = {
    TaskType.CLASSIFICATION: ("clf-gaussian_nb-default", "clf-knn-25_weighted"),
    TaskType.REGRESSION: ("reg-ridge-default", "reg-knn-5"),
}


@pytest.fixture(scope="module")
def datasets(tmp_path_factory) -> Path:
    """Two tiny datasets with their inventory; of the first, a fold leaves fewer rows than 25 neighbours."""
    folder = tmp_path_factory.mktemp("datasets")
    frames = {
        "tiny": noise_table(24).frame,
        "mixed": mixed_table(TaskType.REGRESSION, 60).frame,
    }
    for name, frame in frames.items():
        pyarrow.parquet.write_table(frame, folder / f"{name}.parquet")
    with (folder / "inventory.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "target", "task", "group", "licence"])
        writer.writerow(["tiny", "class", "classification", "", "CC0"])
        writer.writerow(["mixed", "number", "regression", "family", "CC0"])
    return folder


@pytest.fixture(scope="module")
def built(datasets, tmp_path_factory):
    """The folder that a build wrote, and the number of cells that it and a second run measured."""
    parts = tmp_path_factory.mktemp("build") / "parts"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(building, "CONFIGURATIONS", cheap())
        patch.setattr(isolation, "preload", lambda *_: preload("workers.experiments.evaluation"))
        counts = [building.build(datasets, parts, 1, []) for _ in range(2)]
    return parts, counts


def cheap():
    return {name: find_configuration(name) for names in CHEAP.values() for name in names}


def rows_of(parts, name):
    return {row["configuration"]: row for row in metadataset.read_evaluations(parts / f"{name}.parquet")}


def test_inventory_names_what_is_measured(datasets):
    sources = {source.name: source for source in building.read_inventory(datasets)}
    assert sources["mixed"].group == "family"
    assert sources["tiny"].group == "tiny"  # a dataset without a group is a group of its own
    assert sources["mixed"].task_type is TaskType.REGRESSION
    assert building.load_source(sources["mixed"]).n_rows == 60


def test_all_cells_are_measured_once_and_never_again(built):
    assert built[1] == [4, 0]


def test_cells_say_what_was_measured(built, datasets, tmp_path):
    rows = rows_of(built[0], "mixed")
    assert set(rows) == set(CHEAP[TaskType.REGRESSION])
    row = rows["reg-ridge-default"]
    table = building.load_source(building.read_inventory(datasets)[1])
    result = measure(table, "reg-ridge-default", tmp_path)["result"]
    assert {key: row[key] for key in result["scores"]} == pytest.approx(result["scores"])
    assert {key: row[f"{key}_b"] for key in result["scores_b"]} == pytest.approx(result["scores_b"])
    assert [fold["rmse"] for fold in row["fold_scores"]] == pytest.approx(
        [f["rmse"] for f in result["fold_scores"]]
    )
    expected = {
        "dataset": "mixed",
        "group": "family",
        "status": "ok",
        "n_rows": 60,
        "n_classes": 0,
        "protocol": 1,
    }
    assert {key: row[key] for key in expected} == expected
    assert 0 < row["probe_seconds"] < 10
    assert row["target_sd"] == pytest.approx(np.std(table.target_values))
    assert row["fingerprint"] == find_configuration("reg-ridge-default").fingerprint
    assert json.loads(row["versions"]) == result["versions"]


def test_failure_is_a_cell_too(built):
    rows = rows_of(built[0], "tiny")
    refused, measured = rows["clf-knn-25_weighted"], rows["clf-gaussian_nb-default"]
    assert refused["status"] == "failed"
    assert "n_neighbors" in refused["error"]
    assert refused["log_loss"] is None
    assert measured["status"] == "ok"
    assert measured["prior_entropy"] == pytest.approx(np.log(2))


def test_nothing_is_left_beside_the_parts(built):
    assert {path.name for path in built[0].iterdir()} == {".lock", "tiny.parquet", "mixed.parquet"}


def test_build_goes_on_where_it_ended(built, datasets, tmp_path, monkeypatch):
    monkeypatch.setattr(building, "CONFIGURATIONS", cheap())
    everything = [row for name in ("tiny", "mixed") for row in rows_of(built[0], name).values()]
    metadataset.write_evaluations(rows_of(built[0], "mixed").values(), tmp_path / "mixed.parquet")
    known = [row for row in everything if row["configuration"] == "clf-gaussian_nb-default"]
    assert building.build(datasets, tmp_path, 1, known) == 1
    assert list(rows_of(tmp_path, "tiny")) == ["clf-knn-25_weighted"]


def test_second_builder_of_a_folder_gives_up(datasets, tmp_path):
    with (tmp_path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(SystemExit, match="Another builder"):
            building.build(datasets, tmp_path, 1, [])


def test_parts_are_compiled_into_what_ships(built, datasets, tmp_path):
    stale = {**rows_of(built[0], "mixed")["reg-knn-5"], "fingerprint": "of another pipeline"}
    metadataset.write_evaluations([stale], tmp_path / "evaluations.parquet")
    for parts in (built[0], tmp_path / "no parts"):  # what is compiled stays, parts or not
        fitting.compile_metadataset(datasets, parts, tmp_path)
        rows = metadataset.read_evaluations(tmp_path / "evaluations.parquet")
        cells = {(row["dataset"], row["configuration"]) for row in rows}
        assert cells == {(name, row) for name in ("tiny", "mixed") for row in rows_of(built[0], name)}
        assert len(rows) == 4
        assert "of another pipeline" not in {row["fingerprint"] for row in rows}
        described = pyarrow.parquet.read_table(tmp_path / "metafeatures.parquet").to_pylist()
        assert {row["dataset"] for row in described} == {"mixed", "tiny"}
        assert set(described[0]) == {"dataset", *NAMES}
        assert described[1]["nr_inst"] == 60
        assert described[1]["lm_linear"] is not None


def test_prior_entropy_is_of_the_sampled_rows():
    facts = building.target_facts(mixed_table(CLASSIFICATION, 4_200))
    assert (facts["n_rows"], facts["n_classes"]) == (4_000, 3)
    shares = np.array([0.3, 0.4, 0.3])
    assert facts["prior_entropy"] == pytest.approx(-np.sum(shares * np.log(shares)), abs=1e-3)


def test_what_kills_its_process_costs_only_itself(datasets, tmp_path, monkeypatch):
    monkeypatch.setattr(
        building, "CONFIGURATIONS", of_regression("knn-5", "ridge-default", "elastic_net-mild")
    )
    monkeypatch.setattr(building, "_MEASURE", "tests.children:measure_or_die")
    assert building.build(datasets, tmp_path, 1, []) == 3
    rows = rows_of(tmp_path, "mixed")
    assert {name: row["status"] for name, row in rows.items()} == {
        "reg-knn-5": "crash",
        "reg-ridge-default": "ok",
        "reg-elastic_net-mild": "ok",
    }
    assert "exit code 3" in rows["reg-knn-5"]["error"]


def test_what_does_not_apply_is_a_cell_without_a_child(datasets, tmp_path, monkeypatch):
    (ridge,) = of_regression("ridge-default").values()
    small = replace(ridge, algorithm=replace(ridge.algorithm, requirements=Requirements(most_rows=59)))
    monkeypatch.setattr(building, "CONFIGURATIONS", {small.id: small})
    monkeypatch.setattr(building, "_MEASURE", "no child:is started")
    assert building.build(datasets, tmp_path, 1, []) == 1
    row = rows_of(tmp_path, "mixed")["reg-ridge-default"]
    reason = "takes too long on more than 59 rows"
    assert (row["status"], row["error"], row["rmse"]) == ("not_applicable", reason, None)
    assert row["probe_seconds"] > 0


def test_what_needs_a_gpu_is_left_for_a_machine_that_has_one(datasets, tmp_path, monkeypatch):
    monkeypatch.setattr(building, "CONFIGURATIONS", of_regression("realmlp-default", "ridge-default"))
    for gpu, names in ((False, ["reg-ridge-default"]), (True, ["reg-realmlp-default", "reg-ridge-default"])):
        (batch,) = building.missing_batches(datasets, tmp_path, [], 8, gpu=gpu)
        assert [each.id for each in batch.configurations] == names


def test_batches_are_breadth_first(datasets, tmp_path, monkeypatch):
    monkeypatch.setattr(building, "CONFIGURATIONS", cheap())
    batches = building.missing_batches(datasets, tmp_path, [], 1, gpu=False)
    assert [batch.part.source.task_type for batch in batches[:2]] != [batches[0].part.source.task_type] * 2
    assert [len(batch.configurations) for batch in batches] == [1, 1, 1, 1]
    batches = building.missing_batches(datasets, tmp_path, [], 8, gpu=False)
    assert [len(batch.configurations) for batch in batches] == [2, 2]


def test_builder_killed_in_the_middle_goes_on(datasets, tmp_path):
    """kill -9: what was stored stays as it is, nothing of the builder is left running, the rest is measured."""
    names = ("ridge-default", "knn-5", "catboost-300", "random_forest-200", "extra_trees-200", "ridge-strong")
    begun = start_builder(datasets, tmp_path, names)
    wait_until(lambda: rows_of(tmp_path, "mixed"), 120)
    started = psutil.Process(begun.pid).children(recursive=True)
    os.kill(begun.pid, signal.SIGKILL)
    begun.wait()
    wait_until(lambda: not any(process.is_running() for process in started), 20)
    stored = rows_of(tmp_path, "mixed")
    assert 0 < len(stored) < len(names)
    assert start_builder(datasets, tmp_path, names).wait(timeout=300) == 0
    found = rows_of(tmp_path, "mixed")
    assert set(found) == {f"reg-{name}" for name in names}
    assert {name: found[name] for name in stored} == stored
    assert {path.name for path in tmp_path.iterdir()} == {".lock", "mixed.parquet"}


def of_regression(*names):
    return {f"reg-{name}": find_configuration(f"reg-{name}") for name in names}


def start_builder(datasets, parts, names):
    text = (
        "from pathlib import Path\n"
        "from tests.training.test_building import building, of_regression\n"
        f"building.CONFIGURATIONS = of_regression(*{names!r})\n"
        f"building.build(Path({str(datasets)!r}), Path({str(parts)!r}), 1, [])\n"
    )
    return subprocess.Popen([sys.executable, "-c", text])
