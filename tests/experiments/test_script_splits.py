"""The exported script splits as the verification did, and shows no other way of splitting."""

import runpy
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from app.metalearning.columns import Declaration
from app.metalearning.description import describe
from app.metalearning.protocol import splits
from tests.tables import CLASSIFICATION, combine, measure
from workers.experiments import stacking

CHEAP = {"class": "clf-gaussian_nb-default", "size": "reg-ridge-default"}
EVERY_FUNCTION = {
    "stratified_splits",
    "grouped_splits",
    "forward_splits",
    "sample_rows",
    "sample_groups",
    "sample_times",
}


def file_of(n_rows, folder):
    """Shops of different sizes over some days, neither sorted; the class `rare` is there on few days only."""
    random = np.random.default_rng(0)
    x, noise = random.normal(size=(2, n_rows))
    days = random.integers(40, size=n_rows)
    frame = pd.DataFrame(
        {
            "day": pd.Timestamp("2024-02-20") + pd.to_timedelta(days, unit="D"),
            "x": x,
            "shop": random.choice(30, n_rows, p=random.dirichlet(np.ones(30))),
            "clock": days * 0.5 - 3,
        }
    )
    frame["size"] = x + noise + days / 20
    frame["class"] = np.where((days > 33) & (x > 1), "rare", np.where(x + noise > 0, "large", "small"))
    frame.to_csv(folder / "upload", index=False)


def export(folder, target, configuration=None, **roles):
    """Measure the file as the service does; its table, and the line with the score of the leaderboard."""
    other = "size" if target == "class" else "class"
    content = pd.read_csv(folder / "upload").drop(columns=other)
    content.to_csv(folder / "upload", index=False)
    table, facts = describe(folder / "upload", Declaration(target, **roles), 0.0)
    metric = "log_loss" if table.task_type is CLASSIFICATION else "rmse"
    experiment = measure(table, configuration or CHEAP[target], folder)
    outcome = combine(table, [experiment], metric, folder, facts["reading"])
    return table, f"{metric} = {round(outcome['result']['leaderboard'][0]['scores'][metric], 6)}"


def run_here(folder, monkeypatch, capsys):
    path = str(folder / stacking.SCRIPT_FILE)
    monkeypatch.setattr(sys, "argv", [path, str(folder / "upload")])
    capsys.readouterr()
    variables = runpy.run_path(path)
    return variables, capsys.readouterr().out.splitlines()[0]


@pytest.mark.parametrize(
    ("roles", "shown"),
    [({"group": "shop"}, "grouped_splits"), ({"time": "day"}, "forward_splits")],
    ids=["groups", "times"],
)
def test_script_prints_the_score_of_groups_and_times(tmp_path, roles, shown):
    file_of(300, tmp_path)
    _, expected = export(tmp_path, "class", **roles)
    ran = subprocess.run(
        [sys.executable, tmp_path / stacking.SCRIPT_FILE, tmp_path / "upload"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.splitlines() == [expected, "`model` is fitted on 300 rows."]
    script = (tmp_path / stacking.SCRIPT_FILE).read_text()
    assert {name for name in EVERY_FUNCTION if name in script} == {shown}


@pytest.mark.parametrize("n_rows", [250, 4_400])
@pytest.mark.parametrize("target", ["class", "size"])
@pytest.mark.parametrize(
    "roles",
    [{"group": "shop"}, {"time": "day"}, {"time": "clock"}, {"group": "shop", "time": "day"}],
    ids=lambda roles: " and ".join(roles.values()),
)
def test_script_splits_as_the_verification_did(tmp_path, monkeypatch, capsys, roles, target, n_rows):
    file_of(n_rows, tmp_path)
    table, expected = export(tmp_path, target, **roles)
    variables, line = run_here(tmp_path, monkeypatch, capsys)
    assert line == expected
    plan = splits.plan(table)
    assert ("rows" in variables) == (n_rows > 4_000)
    assert np.array_equal(variables.get("rows", np.arange(n_rows)), plan.rows)
    assert len(variables["splits"]) == len(plan.splits)
    for here, there in zip(variables["splits"], plan.splits, strict=True):
        assert np.array_equal(here.training, there.training)
        assert np.array_equal(here.test, there.test)


def test_class_that_comes_later_is_no_obstacle(tmp_path, monkeypatch, capsys):
    file_of(250, tmp_path)
    _, expected = export(tmp_path, "class", "clf-xgboost-default", time="day")
    assert run_here(tmp_path, monkeypatch, capsys)[1] == expected


def test_128_classes_are_counted_right(tmp_path, monkeypatch, capsys):
    """Pandas keeps so few codes in one byte, where 127 + 1 is -128."""
    random = np.random.default_rng(0)
    codes = np.arange(640) % 128
    frame = pd.DataFrame(
        {"x": codes + random.normal(size=640), "size": 0, "class": [f"c{code}" for code in codes]}
    )
    frame.to_csv(tmp_path / "upload", index=False)
    _, expected = export(tmp_path, "class")
    assert run_here(tmp_path, monkeypatch, capsys)[1] == expected


def test_script_names_what_must_be_installed(tmp_path):
    file_of(100, tmp_path)
    export(tmp_path, "size", group="shop")
    needs = (tmp_path / stacking.SCRIPT_FILE).read_text().partition("Needs: ")[2].partition(".")[0]
    assert needs == "numpy, pandas, pyarrow, sklearn"
