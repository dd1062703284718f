"""The exported script, run as a user runs it, prints the leaderboard's score."""

import io
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
import sklearn.metrics

from app.metalearning.portfolio import configurations_of
from app.metalearning.table import ColumnType, TaskType
from tests.tables import (
    CLASS,
    CLASSIFICATION,
    NUMBER,
    REGRESSION,
    combine,
    complementary_table,
    described,
    measure,
    mixed_columns,
    plain_reading,
)
from workers.experiments import comparison, pipelines, scoring, script, stacking

CHEAP = {CLASSIFICATION: "clf-gaussian_nb-default", REGRESSION: "reg-ridge-default"}
random = np.random.default_rng(0)
X, NOISE = random.normal(size=(2, 60))


def export(content: bytes, target: str, folder: Path, configuration: str | None = None, **declared):
    """Measure a file as the service does; its table, and the line with the score of the leaderboard."""
    (folder / "upload").write_bytes(content)
    table, facts = described(folder / "upload", target, **declared)
    metric = {CLASSIFICATION: "log_loss", REGRESSION: "rmse"}[table.task_type]
    experiment = measure(table, configuration or CHEAP[table.task_type], folder)
    outcome = combine(table, [experiment], metric, folder, facts["reading"])
    return table, f"{metric} = {round(outcome['result']['leaderboard'][0]['scores'][metric], 6)}"


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run the script in this process, which saves the imports; its variables, and the first line it prints."""

    def run():
        path = str(tmp_path / stacking.SCRIPT_FILE)
        monkeypatch.setattr(sys, "argv", [path, str(tmp_path / "upload")])
        capsys.readouterr()
        variables = runpy.run_path(path)
        return variables, capsys.readouterr().out.splitlines()[0]

    return run


@pytest.fixture
def repeats(tmp_path, run):
    """Check that the script for a file sees the same values and prints the score that was measured."""

    def repeats(content, target="y", configuration=None, **declared):
        table, expected = export(content, target, tmp_path, configuration, **declared)
        variables, line = run()
        pd.testing.assert_frame_equal(variables["data"], pipelines.features(table), rtol=1e-12)
        np.testing.assert_array_equal(variables["target"], table.target_values)
        assert line == expected

    return repeats


def as_csv(frame: pa.Table, delimiter: str = ",", encoding: str = "utf-8") -> bytes:
    sink = io.BytesIO()
    pa.csv.write_csv(frame, sink, pa.csv.WriteOptions(delimiter=delimiter))
    return sink.getvalue().decode().replace(delimiter * 2, f"{delimiter}?{delimiter}").encode(encoding)


@pytest.mark.parametrize(
    ("target", "other", "form"),
    [(CLASS, NUMBER, {}), (NUMBER, CLASS, {"delimiter": ";", "encoding": "cp1252"})],
    ids=["classification", "regression"],
)
def test_script_prints_the_score_of_the_leaderboard(tmp_path, target, other, form):
    columns = mixed_columns(150)
    del columns[other]
    columns["größe"] = columns.pop("size")
    _, expected = export(as_csv(pa.table(columns), **form), target, tmp_path)
    ran = subprocess.run(
        [sys.executable, tmp_path / stacking.SCRIPT_FILE, tmp_path / "upload"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.splitlines() == [expected, "`model` is fitted on 150 rows."]
    assert f"Expected: {expected.partition(' = ')[0]} = " in (tmp_path / stacking.SCRIPT_FILE).read_text()


@pytest.mark.parametrize(
    ("task_type", "n_classes"), [(CLASSIFICATION, 2), (CLASSIFICATION, 4), (REGRESSION, 0)]
)
def test_metrics_of_the_script_are_those_of_the_leaderboard(task_type, n_classes):
    truth = np.arange(40) % (n_classes or 40)
    predictions = random.random((40, n_classes) if n_classes else 40)
    if n_classes:
        predictions /= predictions.sum(axis=1, keepdims=True)
    expected = scoring.score(task_type, truth.astype(float), predictions)
    names = {"np": np, "pandas": pd, **vars(sklearn.metrics), "truth": truth, "predictions": predictions}
    assert {name: eval(script._METRICS[name], names) for name in expected} == pytest.approx(expected)


def test_parquet_is_repeated(repeats):
    sink = io.BytesIO()
    columns = mixed_columns(60)
    del columns[NUMBER]
    pa.parquet.write_table(pa.table(columns), sink)
    repeats(sink.getvalue(), CLASS)


def frame(**columns) -> bytes:
    return pd.DataFrame({"x": X, "y": X + NOISE} | columns).to_csv(index=False).encode()


def test_what_files_hold_is_read_alike(repeats):
    columns = {
        "two words": NOISE,
        'a "quoted" {name}': NOISE**2,
        "leading zeros": [f"{row % 3:02d}" for row in range(60)],
        "numbers among words": ["1" if row % 2 else "one" for row in range(60)],
        "words that pandas takes for missing": ["<NA>" if row % 2 else "-nan" for row in range(60)],
        "infinite": np.where(X > 1, np.inf, X),
        "booleans": ["TRUE" if row % 3 else "" for row in range(60)],
        "hours": pd.date_range("2020-01-01 06:00", periods=60, freq="h"),
        "fractions": pd.date_range("2020-01-01 06:00", periods=60, freq="97ms"),
    }
    repeats(frame(**columns))


@pytest.mark.parametrize(
    "content",
    [
        pd.DataFrame({"x": X, "y": X + NOISE}).to_csv().encode(),
        b"x,y,x" + frame(z=NOISE)[5:],
        frame(**{"😀": NOISE}),
        frame(at=pd.date_range("2020-01-01", periods=60, freq="h", tz="UTC").strftime("%Y-%m-%dT%H:%M:%SZ")),
        frame(at=["06:00:00" if row % 2 else "18:30:00" for row in range(60)]),
        frame(at=["2020-01-01" if row % 2 else "2020-01-01 06:00:00" for row in range(60)]),
    ],
    ids=["unnamed column", "repeated name", "emoji", "time zone", "time of day", "dates among timestamps"],
)
def test_odd_columns_are_read_alike(repeats, content):
    repeats(content)


WRITTEN = {
    "price": ["$1,234.5", "$7", "$0.25", ""],
    "share": ["5 %", "7.5 %", "NA"],
    "comma": ["1.234,5", "7,25"],
    "spaced": ["1 234", "0.5", "12"],
    "days first": ["31/12/2020", "1/2/2021"],
    "months first": ["12/31/2020 2:30 PM", "1/2/2021 12:05 am"],
    "named": ["3 Jan 2020", "14 DEC 1969", ""],
    "long": ["January 3, 2020", "May 14, 1969"],
    "code": ["007", "123"],
}
DECLARED = {
    "zip": [10115, 80331],
    "level": [1.5, 2.0],
    "flag": ["Yes", "no", ""],
    "bit": [0, 1],
    "day": [20200131, 20191231],
    "clock": ["9:05 PM", "12:30 am"],
    "truth": ["TRUE", "", "false"],
    "row": [1, 2],
    "text": ["a", "b"],
}
TYPES = {
    "zip": "categorical",
    "level": "categorical",
    "flag": "boolean",
    "bit": "boolean",
    "day": "date",
    "clock": "time",
    "truth": "categorical",
    "row": "id",
    "text": "text",
}


def repeated(columns):
    return {name: (values * 60)[:60] for name, values in columns.items()}


def test_written_numbers_and_dates_are_read_alike(repeats):
    repeats(frame(**repeated(WRITTEN)))


def test_written_numbers_and_dates_of_parquet_are_read_alike(repeats):
    sink = io.BytesIO()
    pa.parquet.write_table(pa.table({"x": X, "y": X + NOISE} | repeated(WRITTEN)), sink)
    repeats(sink.getvalue())


def test_declared_types_are_read_alike(repeats):
    types = {name: ColumnType(kind) for name, kind in TYPES.items()}
    repeats(frame(**repeated(DECLARED)), column_types=types)


def test_rows_without_a_target_are_left_out_alike(repeats):
    lines = frame().decode().splitlines()
    lines[5] = lines[5].split(",")[0] + ",NA"
    repeats("\n".join(lines).encode())


@pytest.mark.parametrize(
    "labels", [["2.0", "10.0", "1.0"], ["true", "false"], ["b", "a"], ["1.5", "-1"]], ids=str
)
def test_labels_have_the_same_codes(repeats, labels):
    lines = ["y,x", *(f"{labels[row % len(labels)]},{X[row]}" for row in range(60)), "NA,1"]
    repeats("\n".join(lines).encode())


def test_class_that_a_training_fold_lacks_is_no_obstacle(repeats):
    labels = ["a"] * 30 + ["b"] + ["c"] * 29
    repeats(frame(y=labels), "y", "clf-xgboost-default")


@pytest.mark.parametrize("rare", [False, True])
def test_sampled_rows_are_the_same(repeats, rare):
    x, noise = np.random.default_rng(0).normal(size=(2, 5_001))
    labels = np.where(x + noise > 0, "c", "a")
    if rare:
        labels[7] = "b"
    repeats(pd.DataFrame({"x": x, "y": labels}).to_csv(index=False).encode())


def test_stack_comes_close_to_its_score(tmp_path, monkeypatch, run):
    monkeypatch.setattr(comparison, "_N_RESAMPLES", 50)
    table = complementary_table(REGRESSION, 300)
    pa.csv.write_csv(table.frame, tmp_path / "upload")
    experiments = [
        measure(table, name, tmp_path) for name in ("reg-ridge-default", "reg-decision_tree-leaf_8")
    ]
    outcome = combine(table, experiments, "rmse", tmp_path)
    assert outcome["result"]["winner"] == "stack"
    score = outcome["result"]["leaderboard"][0]["scores"]["rmse"]
    assert float(run()[1].split()[2]) == pytest.approx(score, rel=0.1)
    assert "close to it" in (tmp_path / stacking.SCRIPT_FILE).read_text()


@pytest.mark.parametrize("task_type", TaskType)
def test_script_of_every_configuration_compiles(task_type):
    table = complementary_table(task_type, 60)
    for configuration in configurations_of(task_type):
        metric = stacking.METRICS["roc_auc" if task_type is CLASSIFICATION else "rmse"]
        source = script.render_script(configuration.pipeline, table, metric, 0.5, plain_reading(table))
        compile(source, "script.py", "exec")
