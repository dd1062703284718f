"""A user's own tables become a matrix, or are refused with what is wrong; a matrix becomes evidence."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from app.errors import (
    DatasetsDifferError,
    MetafeaturesUnusableError,
    NamesUnusableError,
    PerformancesUnusableError,
    TooSmallMetaDatasetError,
    UnusableMetaDatasetError,
)
from app.metalearning.evidence import deal_folds
from app.metalearning.importing import PerformanceMatrix, read_matrix, write_matrix
from app.metalearning.importing.evidence import LossScale, as_evidence
from app.metalearning.importing.matrix import MISSING, OK, STATUSES, Measure, check_size
from tests.scenarios import ACCURACY, RUN_TIME, TIMEOUT, differences, matrix, write_files

WIDE = "name,knn,tree\n01,0.5,0.75\n02,,0.25\n"
LONG = "dataset,algorithm,performance\n01,knn,0.5\n01,tree,0.75\n02,tree,0.25\n"
METAFEATURES = "dataset,rows,group,skew\n02,10,g,\n01,20,h,0.5\n"


@pytest.fixture
def read(tmp_path: Path):
    """Read two texts as if they were a user's files."""

    def read(performances=WIDE, metafeatures=METAFEATURES, measure=ACCURACY, **options) -> PerformanceMatrix:
        folder = write_files(tmp_path / "files", {"p.csv": performances, "m.csv": metafeatures})
        return read_matrix(folder / "p.csv", folder / "m.csv", measure, **options)

    return read


@pytest.mark.parametrize("performances", [WIDE, LONG], ids=["wide", "long"])
def test_tables_are_read_as_they_are_meant(read, performances):
    found = read(performances)
    assert found.datasets == ("01", "02")
    assert found.algorithms == ("knn", "tree")
    assert np.array_equal(found.performances, [[0.5, 0.75], [np.nan, 0.25]], equal_nan=True)
    assert found.statuses.tolist() == [[OK, OK], [MISSING, OK]]
    assert found.feature_names == ("rows", "skew")
    assert np.array_equal(found.features, [[20, 0.5], [10, np.nan]], equal_nan=True)
    assert found.groups == ("h", "g")


def test_long_table_may_tell_how_runs_ended_and_what_they_took(read):
    found = read(
        "dataset,algorithm,performance,status,seconds\n01,knn,3,ok,4\n01,tree,,crash,5\n02,tree,900,,6\n",
        measure=RUN_TIME,
    )
    assert found.statuses.tolist() == [[OK, STATUSES.index("crash")], [MISSING, OK]]
    assert np.array_equal(found.seconds, [[4, 5], [np.nan, 6]], equal_nan=True)
    assert np.array_equal(found.scored, [[3, 1000], [np.nan, 1000]], equal_nan=True)


def test_parquet_is_read_like_text_and_numbers_are_names_too(read, tmp_path: Path):
    pa.parquet.write_table(pa.table({"id": [1, 2], "knn": [0.5, None]}), tmp_path / "p.parquet")
    pa.parquet.write_table(pa.table({"id": ["1", "2"], "rows": [3, 4]}), tmp_path / "m.parquet")
    found = read_matrix(tmp_path / "p.parquet", tmp_path / "m.parquet", ACCURACY)
    assert found.datasets == ("1", "2")
    assert found.groups == ()


def test_tables_are_read_back_as_they_were_written(tmp_path: Path):
    written = matrix(
        [[1.0, np.nan], [1000.0, 4.0]],
        RUN_TIME,
        statuses=np.array([[OK, MISSING], [TIMEOUT, OK]]),
        seconds=np.array([[1.0, np.nan], [np.nan, 4.0]]),
        groups=("x", "y"),
    )
    write_matrix(written, tmp_path)
    read = read_matrix(tmp_path / "performances.parquet", tmp_path / "metafeatures.parquet", RUN_TIME)
    assert differences(written, read) == []


@pytest.mark.parametrize(
    ("files", "error", "named"),
    [
        (
            {"performances": WIDE.replace("0.25", "good")},
            PerformancesUnusableError,
            "'good' in column 'tree'",
        ),
        ({"performances": WIDE.replace("02", "01")}, NamesUnusableError, "'01'"),
        ({"performances": WIDE.replace("knn", "tree")}, NamesUnusableError, "tree"),
        ({"performances": WIDE.replace("02,", ",")}, NamesUnusableError, "row 2"),
        ({"performances": WIDE + "03,1,1\n"}, DatasetsDifferError, "no metafeatures: '03'"),
        ({"performances": "a,b\n"}, UnusableMetaDatasetError, "p.csv"),
        ({"performances": LONG + "01,knn,0.5\n"}, PerformancesUnusableError, "'knn' on '01' is there twice"),
        ({"performances": LONG.replace("dataset", "name")}, UnusableMetaDatasetError, "one row per run"),
        (
            {"performances": "dataset,algorithm,performance,status\n01,knn,0.5,fine\n02,knn,1,ok\n"},
            PerformancesUnusableError,
            "fine",
        ),
        (
            {"performances": "dataset,algorithm,performance,status\n01,knn,,ok\n02,knn,1,ok\n"},
            PerformancesUnusableError,
            "'knn' on '01' is ok",
        ),
        ({"metafeatures": METAFEATURES + "03,1,g,1\n"}, DatasetsDifferError, "no performances: '03'"),
        (
            {"metafeatures": METAFEATURES.replace("20", "many")},
            MetafeaturesUnusableError,
            "'many' in column 'rows'",
        ),
        ({"metafeatures": METAFEATURES.replace(",g,", ",,")}, NamesUnusableError, "'group'"),
        ({"metafeatures": METAFEATURES.replace("01", "02")}, NamesUnusableError, "'02'"),
    ],
)
def test_what_is_wrong_with_the_tables_is_told(read, files, error, named):
    with pytest.raises(error) as caught:
        read(**files)
    assert named in caught.value.detail
    assert caught.value.advice


def test_datasets_that_only_one_table_has_are_left_out_on_request(read):
    found = read(WIDE + "03,1,1\n", METAFEATURES + "04,1,g,1\n", common_only=True)
    assert found.datasets == ("01", "02")


@pytest.mark.parametrize(
    ("parts", "error", "named"),
    [
        ({"performances": np.ones((9, 2))}, TooSmallMetaDatasetError, "9 datasets"),
        ({"performances": np.ones((10, 1))}, TooSmallMetaDatasetError, "1 algorithms"),
        (
            {"performances": np.column_stack([np.ones(10), np.full(10, np.nan)])},
            PerformancesUnusableError,
            "'a1'",
        ),
        ({"performances": np.ones((10, 2)), "features": np.ones((10, 2))}, MetafeaturesUnusableError, "same"),
    ],
)
def test_too_little_to_learn_from_is_refused(parts, error, named):
    with pytest.raises(error) as caught:
        check_size(matrix(**parts))
    assert named in caught.value.detail


def test_too_few_groups_are_refused():
    groups = tuple("ab"[row % 2] for row in range(12))
    with pytest.raises(TooSmallMetaDatasetError, match="2 groups"):
        as_evidence(matrix(np.random.default_rng(0).random((12, 3)), groups=groups))


def test_missing_runs_teach_nothing_and_failed_ones_are_the_worst():
    performances = np.random.default_rng(0).random((12, 4))
    performances[0, 0] = performances[1, 1] = np.nan
    performances[2] = np.nan
    statuses = np.where(np.isnan(performances), MISSING, OK)
    statuses[1, 1] = STATUSES.index("crash")
    evidence = as_evidence(matrix(performances, statuses=statuses))
    assert len(evidence.datasets) == 11
    assert "d2" not in evidence.datasets
    assert np.isnan(evidence.regret[0, 0])
    assert evidence.regret[1, 1] == 2
    assert np.isnan(evidence.headline_losses[1, 1])
    assert np.all(np.nanmin(evidence.regret, axis=1) == 0)


def test_regret_of_run_times_is_the_share_of_a_timeout_that_is_lost():
    times = np.tile([[1.0, 51.0, 300.0]], (12, 1))
    evidence = as_evidence(matrix(times, RUN_TIME))
    assert evidence.regret[0] == pytest.approx([0, 0.05, 0.999])
    unsolved = as_evidence(matrix(np.vstack([times, np.full((1, 3), 300.0)]), RUN_TIME))
    assert unsolved.regret[-1].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("measure", "performances", "logarithmic", "ends"),
    [
        (ACCURACY, [[0.1, 0.9], [0.5, 1.0]], False, (0, 1)),
        (Measure("score", larger_is_better=True), [[-3, 7], [0, 4]], False, (-np.inf, np.inf)),
        (Measure("rmse", larger_is_better=False), [[1.5, 2], [300, 400]], True, (0, np.inf)),
        (Measure("error", larger_is_better=False), [[0.0, 0.5], [0.1, 0.2]], False, (0, 1)),
        (RUN_TIME, [[0.5, 20], [99, 101]], True, (0, 1000)),
    ],
)
def test_losses_run_from_the_best_to_the_worst_and_back(measure, performances, logarithmic, ends):
    given = matrix(performances, measure)
    scale = LossScale.of(given)
    losses = scale.loss(given.scored)
    assert (losses.min(), losses.max()) == (0, 1)
    assert scale.logarithmic is logarithmic
    assert (scale.low, scale.high) == ends
    assert scale.performance(losses) == pytest.approx(given.scored)
    best = given.scored.max() if measure.larger_is_better else given.scored.min()
    assert scale.performance(np.zeros(1)) == pytest.approx(best)
    assert ends[0] <= scale.performance(np.array([-9.0, 9.0])).min()
    assert scale.performance(np.array([-9.0, 9.0])).max() <= ends[1]


def test_near_duplicates_share_a_group_unless_groups_are_given():
    random = np.random.default_rng(0)
    features = np.repeat(random.random((10, 6)), 2, axis=0)
    performances = random.random((20, 2))
    found = as_evidence(matrix(performances, feature_names=tuple("abcdef"), features=features))
    assert len(set(found.groups)) == 10
    assert found.groups[0] == found.groups[1] != found.groups[2]
    named = tuple(f"g{row % 5}" for row in range(20))
    given = matrix(performances, feature_names=tuple("abcdef"), features=features, groups=named)
    assert as_evidence(given).groups == named


def test_chain_of_neighbours_does_not_make_one_group_of_all():
    features = np.arange(30.0)[:, None]
    found = as_evidence(
        matrix(np.random.default_rng(0).random((30, 2)), feature_names=("x",), features=features)
    )
    assert len(set(found.groups)) == 30


def test_folds_hold_whole_groups_in_parts_of_about_the_same_size():
    groups = tuple(f"g{row // 7}" for row in range(210))
    folds = deal_folds(groups, 6)
    assert set(folds) == set(range(6))
    assert all(len(set(folds[[each == group for each in groups]])) == 1 for group in set(groups))
    assert np.bincount(folds).tolist() == [35] * 6
    assert len(set(deal_folds(groups, 100))) == 30
