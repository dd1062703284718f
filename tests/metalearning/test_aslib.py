"""Scenarios are read as they are meant, and what is written is read back the same."""

from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis.extra.numpy import arrays

from app.errors import (
    MetafeaturesUnusableError,
    NamesUnusableError,
    PerformancesUnusableError,
    UnreadableScenarioError,
)
from app.metalearning.importing import Measure, PerformanceMatrix, read_scenario, write_scenario
from app.metalearning.importing.aslib_writing import README_FILE
from app.metalearning.importing.description import read_description
from app.metalearning.importing.matrix import MISSING, OK, STATUSES
from app.metalearning.importing.shipped import shipped_matrix
from app.metalearning.protocol import FIT_CPU_SECONDS
from app.metalearning.table import TaskType
from tests.scenarios import RUN_TIME, TIMEOUT, differences, matrix, write_files
from tests.tables import quick

DESCRIPTION = """scenario_id: TEST
performance_measures:
    - PAR10
    - accuracy
maximize: [false, true]
performance_type:
- runtime
- solution_quality
algorithm_cutoff_time: 100  # seconds
algorithm_cutoff_memory: '?'
default_steps:
    - cheap
feature_steps:
    cheap:
        provides: &id001
            - size
features_deterministic: *id001
"""
RUNS = """@RELATION ALGORITHM_RUNS_TEST
@ATTRIBUTE instance_id STRING
@ATTRIBUTE repetition NUMERIC
@ATTRIBUTE algorithm STRING
@ATTRIBUTE PAR10 NUMERIC
@ATTRIBUTE accuracy NUMERIC
@ATTRIBUTE runstatus {ok, timeout, memout, not_applicable, crash, other}
@DATA
one,1,'solver, a',2.5,0.5,ok
one,1,b,100,?,timeout
two,1,'solver, a',1000,?,crash
two,1,b,7,0.25,ok
two,2,b,9,0.75,ok
two,3,b,1000,?,memout
"""
FEATURES = """@RELATION FEATURE_VALUES_TEST
@ATTRIBUTE instance_id STRING
@ATTRIBUTE repetition NUMERIC
@ATTRIBUTE size NUMERIC
@ATTRIBUTE 'a shape' NUMERIC
@DATA
two,1,4,?
two,2,6,?
one,1,3,NaN
three,1,1,1
"""
COSTS = """@RELATION FEATURE_COSTS_TEST
@ATTRIBUTE instance_id STRING
@ATTRIBUTE repetition NUMERIC
@ATTRIBUTE cheap NUMERIC
@ATTRIBUTE dear NUMERIC
@DATA
one,1,0.5,90
two,1,?,90
"""
FOLDS = """@RELATION CV_TEST
@ATTRIBUTE instance_id STRING
@ATTRIBUTE repetition NUMERIC
@ATTRIBUTE fold NUMERIC
@DATA
one,1,1
two,1,2
one,2,2
two,2,1
"""
FILES = {
    "description.txt": DESCRIPTION,
    "algorithm_runs.arff": RUNS,
    "feature_values.arff": FEATURES,
    "feature_costs.arff": COSTS,
    "cv.arff": FOLDS,
}


@pytest.fixture
def scenario(tmp_path: Path):
    """Write a scenario in which these files are changed, or left out (None), and read it."""

    def read(measure: str | None = None, **changed: str | None) -> PerformanceMatrix:
        files = FILES | {name.replace("__", "."): text for name, text in changed.items()}
        given = {name: text for name, text in files.items() if text is not None}
        return read_scenario(write_files(tmp_path / "scenario", given), measure)

    return read


def test_scenario_is_read_as_it_is_meant(scenario):
    read = scenario()
    assert read.measure == Measure("PAR10", larger_is_better=False, is_run_time=True, cutoff_seconds=100)
    assert read.datasets == ("one", "two")
    assert read.algorithms == ("solver, a", "b")
    assert read.feature_names == ("size", "a shape")
    assert np.array_equal(read.features, [[3, np.nan], [5, np.nan]], equal_nan=True)
    assert np.array_equal(read.feature_seconds, [0.5, np.nan], equal_nan=True)
    assert read.folds.tolist() == [[1, 2], [2, 1]]
    assert np.isnan(read.seconds).all()


def test_median_of_repeated_runs_counts_and_stopped_runs_are_ten_cutoff_times(scenario):
    read = scenario()
    assert read.performances.tolist() == [[2.5, 100], [1000, 9]]
    assert [[STATUSES[each] for each in row] for row in read.statuses] == [["ok", "timeout"], ["crash", "ok"]]
    assert read.scored.tolist() == [[2.5, 1000], [1000, 9]]


def test_of_two_repeated_runs_the_better_one_counts(scenario):
    two_runs = RUNS.replace("two,3,b,1000,?,memout\n", "")
    assert scenario(algorithm_runs__arff=two_runs).performances[1, 1] == 7
    assert scenario("accuracy", algorithm_runs__arff=two_runs).performances[1, 1] == 0.75


def test_run_beyond_the_cutoff_is_a_timeout_whatever_its_status(scenario):
    late = RUNS.replace("one,1,'solver, a',2.5", "one,1,'solver, a',100.5")
    assert scenario(algorithm_runs__arff=late).scored[0, 0] == 1000


def test_quality_is_read_with_the_run_times_beside_it(scenario):
    read = scenario("accuracy")
    assert read.measure == Measure("accuracy", larger_is_better=True)
    assert np.array_equal(read.performances, [[0.5, np.nan], [np.nan, 0.25]], equal_nan=True)
    assert read.seconds.tolist() == [[2.5, 100], [1000, 7]]
    assert np.isnan(read.scored[0, 1])


def test_older_description_and_absent_files_are_read(scenario):
    older = (
        "scenario_id: OLD\nperformance_measures: runtime\nmaximize: FALSE\nperformance_type: runtime\n"
        "algorithm_cutoff_time: 5000\nalgorithm_cutoff_memory: ?\n"
    )
    runs = RUNS.replace("PAR10", "runtime")
    read = scenario(
        description__txt=older, algorithm_runs__arff=runs, feature_costs__arff=None, cv__arff=None
    )
    assert read.measure == Measure("runtime", larger_is_better=False, is_run_time=True, cutoff_seconds=5000)
    assert read.folds.shape == (0, 2)
    assert np.isnan(read.feature_seconds).all()


def test_ids_that_are_declared_as_numbers_are_the_same_ids(scenario):
    numbered = {
        name.replace(".", "__"): text.replace("instance_id STRING", "instance_id NUMERIC")
        .replace("one", "7")
        .replace("two", "1048")
        .replace("three", "9")
        for name, text in FILES.items()
        if name.endswith("arff")
    }
    assert scenario(**numbered).datasets == ("7", "1048")
    assert np.array_equal(scenario(**numbered).features, scenario().features, equal_nan=True)


@pytest.mark.parametrize(
    ("changed", "error", "named"),
    [
        ({"description__txt": None}, UnreadableScenarioError, "no description.txt"),
        ({"algorithm_runs__arff": None}, UnreadableScenarioError, "no algorithm_runs.arff"),
        ({"feature_values__arff": None}, UnreadableScenarioError, "no feature_values.arff"),
        ({"description__txt": "scenario_id: x\n"}, UnreadableScenarioError, "performance_measures"),
        ({"algorithm_runs__arff": RUNS.replace("ok", "fine")}, UnreadableScenarioError, "fine"),
        ({"algorithm_runs__arff": RUNS.replace("PAR10", "PAR2")}, UnreadableScenarioError, "PAR10"),
        ({"algorithm_runs__arff": RUNS.replace("two,1,b,7", "two,1,b,x")}, UnreadableScenarioError, "'x'"),
        (
            {"algorithm_runs__arff": RUNS.replace("\none,1,b", "\n?,1,b")},
            UnreadableScenarioError,
            "no instance_id",
        ),
        ({"algorithm_runs__arff": RUNS.replace("0.5,ok", "0.5,?")}, UnreadableScenarioError, "no status"),
        (
            {"algorithm_runs__arff": RUNS.replace("2.5", "?")},
            PerformancesUnusableError,
            "'solver, a' on 'one'",
        ),
        ({"algorithm_runs__arff": RUNS.replace("2.5", "-2.5")}, PerformancesUnusableError, "negative"),
        ({"algorithm_runs__arff": RUNS.replace("2.5", "inf")}, PerformancesUnusableError, "infinite"),
        (
            {"description__txt": DESCRIPTION.replace("100  #", "'?'  #")},
            PerformancesUnusableError,
            "no cut-off",
        ),
        ({"feature_values__arff": FEATURES.replace("3,NaN", "3,inf")}, MetafeaturesUnusableError, "a shape"),
        ({"cv__arff": FOLDS.replace("two,2,1\n", "")}, UnreadableScenarioError, "'two' no fold"),
        ({"measure": "PAR2"}, UnreadableScenarioError, "PAR2"),
    ],
)
def test_what_is_wrong_with_a_scenario_is_told(scenario, changed, error, named):
    with pytest.raises(error) as caught:
        scenario(**changed)
    assert named in caught.value.detail
    assert caught.value.advice


def test_description_is_understood_as_yaml_understands_it():
    text = (
        DESCRIPTION
        + "# a comment\nquoted: 'it''s # no comment'\ndouble: \"a: b\"\nempty:\nlist: [a, 'b']\nnone: []\n"
    )
    ours, theirs = read_description(text), yaml.safe_load(text)
    plain = {key: value for key, value in theirs.items() if isinstance(value, str)}
    assert {key: ours[key] for key in plain} == plain
    assert ours["list"] == theirs["list"]
    assert ours["default_steps"] == theirs["default_steps"]
    assert ours["performance_type"] == theirs["performance_type"]
    assert ours["none"] == []


LETTERS = st.characters(exclude_categories=("Cc", "Cs", "Cn", "Zl", "Zp"))
NAMES = st.text(LETTERS, min_size=1, max_size=8).filter(lambda name: name == name.strip() and name != "?")
RESERVED = {"instance_id", "repetition", "algorithm", "runstatus", "run_seconds"}
FEATURE_NAMES = NAMES.filter(lambda name: name.lower() not in RESERVED)
NUMBERS = st.floats(allow_nan=True, allow_infinity=False)


@st.composite
def matrices(draw) -> PerformanceMatrix:
    """Any matrix with at least one run time, if run times are told at all."""
    measure = draw(
        st.builds(Measure, FEATURE_NAMES, st.booleans())
        | st.builds(Measure, FEATURE_NAMES, st.just(False), st.just(True), st.floats(1, 1e6))
    )
    datasets = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    algorithms = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    features = draw(st.lists(FEATURE_NAMES, min_size=1, max_size=3, unique=True))
    shape = len(datasets), len(algorithms)
    statuses = draw(arrays(np.int64, shape, elements=st.integers(0, MISSING)))
    finite = st.floats(0 if measure.is_run_time else -1e300, 1e300)
    performances = draw(arrays(float, shape, elements=finite))
    lost = draw(arrays(bool, shape))
    performances[(statuses == MISSING) | ((statuses != OK) & lost)] = np.nan
    seconds = draw(arrays(float, shape, elements=st.floats(0, 1e9)))
    seconds[statuses == MISSING] = np.nan
    folds = st.lists(st.lists(st.integers(0, 9), min_size=shape[0], max_size=shape[0]), max_size=2)
    return PerformanceMatrix(
        measure=measure,
        datasets=tuple(datasets),
        algorithms=tuple(algorithms),
        performances=performances,
        statuses=statuses,
        feature_names=tuple(features),
        features=draw(arrays(float, (shape[0], len(features)), elements=NUMBERS)),
        feature_seconds=draw(arrays(float, shape[0], elements=st.floats(0, 1e9) | st.just(np.nan))),
        seconds=seconds if draw(st.booleans()) else np.full(shape, np.nan),
        folds=np.array(draw(folds), dtype=np.int64).reshape(-1, shape[0]),
    )


@quick
@given(written=matrices(), scenario_id=NAMES)
def test_scenario_is_read_back_as_it_was_written(tmp_path_factory, written, scenario_id):
    folder = tmp_path_factory.mktemp("scenario")
    write_scenario(written, folder, scenario_id)
    assert differences(written, read_scenario(folder)) == []
    assert (
        yaml.safe_load((folder / "description.txt").read_text())["performance_measures"][0]
        == written.measure.name
    )


def test_groups_leave_as_folds_that_keep_them_together(tmp_path: Path):
    groups = tuple(f"g{row // 3}" for row in range(60))
    write_scenario(matrix(np.random.default_rng(0).random((60, 2)), groups=groups), tmp_path, "TEST")
    folds = read_scenario(tmp_path).folds
    assert folds.shape == (1, 60)
    assert set(folds[0]) == set(range(1, 11))
    for group in set(groups):
        assert len({folds[0, row] for row, each in enumerate(groups) if each == group}) == 1


def test_names_that_a_scenario_needs_are_refused(tmp_path: Path):
    taken = matrix(np.ones((2, 2)), feature_names=("size", "Repetition"))
    with pytest.raises(NamesUnusableError, match="Repetition"):
        write_scenario(taken, tmp_path, "TEST")


def test_timeouts_leave_with_their_status(tmp_path: Path):
    stopped = matrix([[1.0, 100.0]], RUN_TIME, statuses=np.array([[OK, TIMEOUT]]))
    write_scenario(stopped, tmp_path, "TEST")
    assert ",timeout" in (tmp_path / "algorithm_runs.arff").read_text()
    assert read_scenario(tmp_path).scored.tolist() == [[1, 1000]]


@pytest.mark.parametrize("task_type", TaskType)
def test_shipped_meta_dataset_leaves_as_a_valid_scenario(tmp_path: Path, task_type):
    shipped = shipped_matrix(task_type)
    write_scenario(shipped, tmp_path, "shipped", cutoff_seconds=FIT_CPU_SECONDS, readme="What it is.")
    read = read_scenario(tmp_path)
    assert differences(shipped, read) == ["folds", "groups"]
    for group in set(shipped.groups):
        assert len({read.folds[0, row] for row, each in enumerate(shipped.groups) if each == group}) == 1
    timed = read_scenario(tmp_path, "run_seconds")
    assert (timed.measure.is_run_time, timed.measure.cutoff_seconds) == (True, FIT_CPU_SECONDS)
    assert np.nanmax(timed.scored) <= 10 * FIT_CPU_SECONDS
    assert (tmp_path / README_FILE).read_text() == "What it is."
