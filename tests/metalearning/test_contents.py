"""What the meta-dataset is said to hold is what its files hold."""

import csv
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from typer.testing import CliRunner

from app.errors import DatasetNotMeasuredError
from app.metalearning.contents import SOURCES, load_contents
from app.metalearning.metadataset import DATA_DIR, flatten_scores, read_evaluations, write_evaluations
from app.metalearning.metrics import headline_metric
from app.metalearning.portfolio import configurations_of
from app.metalearning.table import TaskType
from workers.training.__main__ import cli


@pytest.fixture(scope="module")
def rows():
    return read_evaluations(DATA_DIR / "evaluations.parquet")


@pytest.fixture(scope="module")
def contents():
    return load_contents().contents


def copied(folder, rows):
    """A meta-dataset of these evaluations, in a folder."""
    (folder / "metafeatures.parquet").write_bytes((DATA_DIR / "metafeatures.parquet").read_bytes())
    write_evaluations(rows, folder / "evaluations.parquet")
    return load_contents(folder)


def test_counts_are_those_of_the_rows(rows, contents):
    for task in contents.task_types:
        mine = [row for row in rows if row["task_type"] == task.task_type]
        pairs = {(row["dataset"], row["fingerprint"]) for row in mine}
        today = {each.fingerprint for each in configurations_of(task.task_type)}
        names = {row["dataset"] for row in mine}
        assert task.datasets == len(names)
        assert task.groups == len({row["group"] for row in mine})
        assert task.configurations == len({row["configuration"] for row in mine})
        assert 1 < task.algorithms < task.configurations
        assert task.cells == Counter(row["status"] for row in mine)
        expected = sum((name, fingerprint) in pairs for name in names for fingerprint in today)
        assert task.measured_share == pytest.approx(expected / (len(names) * len(today)))
    for counts in (contents.protocols, contents.threads):
        assert sum(counts.values()) == len(rows)
    tried = [row for row in rows if row["status"] != "not_applicable"]  # nothing ran elsewhere, in no version
    assert sum(contents.versions["numpy"].values()) == len(tried)
    assert contents.bytes == sum(path.stat().st_size for path in DATA_DIR.rglob("*") if path.is_file())


def test_hours_are_those_of_every_fit_and_prediction(rows, contents):
    for task in contents.task_types:
        seconds = 0.0
        for row in rows:
            if row["task_type"] == task.task_type and row["status"] == "ok":
                seconds += len(row["fold_scores"]) * row["fit_cpu_seconds"]
                seconds += sum(point["fit_cpu_seconds"] for point in row["learning_curve"])
                seconds += row["predict_cpu_seconds_per_1000_rows"] * row["n_rows"] / 1000
        assert task.cpu_hours == pytest.approx(seconds / 3600)


def test_winner_is_the_best_by_the_headline_metric(rows, contents):
    for dataset in contents.datasets[::7]:
        metric = headline_metric(dataset.task_type, dataset.classes)
        scores = [row[metric.name] for row in rows if row["dataset"] == dataset.name]
        known = [score for score in scores if score is not None]
        assert dataset.metric == metric.name
        assert dataset.best_score == (max(known) if metric.larger_is_better else min(known))
        assert sum(dataset.cells.values()) == len(scores)


def test_every_dataset_has_a_size_a_licence_and_a_source(contents):
    for dataset in contents.datasets:
        assert dataset.rows_used <= min(dataset.rows, 4_000)
        assert dataset.columns
        assert dataset.metafeatures > 50
        assert dataset.licence
        assert dataset.source
        assert (dataset.classes >= 2) == (dataset.task_type is TaskType.CLASSIFICATION)


def test_sources_are_those_of_the_page():
    page = (SOURCES.parents[2] / "docs" / "data-sources.md").read_text()
    with SOURCES.open(newline="", encoding="utf-8") as file:
        sources = list(csv.DictReader(file))
    shown = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")][1:]
    assert [(each[0], each[4], each[5]) for each in shown] == [tuple(row.values()) for row in sources]


def test_evaluations_of_a_dataset_are_its_rows(rows):
    for name in ("abalone", "audiology"):
        mine = sorted((row for row in rows if row["dataset"] == name), key=lambda row: row["configuration"])
        shown = load_contents().evaluations_of(name)
        assert [each.configuration for each in shown] == [row["configuration"] for row in mine]
        for each, row in zip(shown, mine, strict=True):
            assert each.status == row["status"]
            assert bool(each.scores) == bool(each.fold_scores) == (each.status == "ok")
            assert each.error == row["error"]
            flat = flatten_scores(vars(each))
            assert flat == {column: row[column] for column in flat}
            assert all(row[column] is not None for column in flat)
            points = [(point["anchor"], point["log_loss"]) for point in row["learning_curve"] or ()]
            assert [(point.anchor, point.scores.get("log_loss")) for point in each.learning_curve] == points


def test_dataset_that_was_never_measured_is_named(contents):
    with pytest.raises(DatasetNotMeasuredError, match="'titanic_of_mars'"):
        load_contents().evaluations_of("titanic_of_mars")


def test_order_of_rows_does_not_matter(tmp_path, rows, contents):
    order = np.random.default_rng(0).permutation(len(rows))
    shuffled = copied(tmp_path, [rows[index] for index in order])
    assert shuffled.contents.datasets == contents.datasets
    assert [each.cells for each in shuffled.contents.task_types] == [
        each.cells for each in contents.task_types
    ]
    assert shuffled.evaluations_of("iris") == load_contents().evaluations_of("iris")


def test_dataset_without_any_score_or_source_is_shown_as_such(tmp_path, rows):
    only = {
        name: value if name not in headline_metric(TaskType.REGRESSION, 0).name else None
        for name, value in next(row for row in rows if row["dataset"] == "abalone").items()
    }
    late = only | {"dataset": "elsewhere", "status": "timeout"}
    costs = dict.fromkeys(
        ("fit_cpu_seconds", "predict_cpu_seconds_per_1000_rows", "fold_scores", "learning_curve")
    )
    contents = copied(tmp_path, [late | costs]).contents
    (dataset,) = contents.datasets
    assert (dataset.best_configuration, dataset.best_score) == (None, None)
    assert (dataset.rows, dataset.licence, dataset.metafeatures) == (None, None, 0)
    assert dataset.cells == {"timeout": 1}
    assert [each.cpu_hours for each in contents.task_types] == [0.0, 0.0]
    assert contents.task_types[0].measured_share == 0.0


def test_nothing_of_it_imports_pandas():
    code = (
        "import sys; from app.metalearning.contents import load_contents;"
        "load_contents().evaluations_of('iris'); print('pandas' in sys.modules)"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == "False"


def test_command_prints_the_counts(contents):
    printed = CliRunner().invoke(cli, ["info"]).output
    for task in contents.task_types:
        assert f"{sum(task.cells.values()):,}" in printed
        assert f"{task.measured_share:.1%}" in printed
    for library, versions in contents.versions.items():
        assert f"{library}: {next(iter(versions))} (" in printed
    assert "probe of the machine" in printed
