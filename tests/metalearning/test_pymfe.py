"""Equal to pymfe wherever both have a metafeature; where pymfe is wrong, the right value is worked out by hand."""

import math

import numpy as np
import pyarrow as pa
import pytest
import scipy.linalg
from pymfe.clustering import MFEClustering
from sklearn import datasets

from app.metalearning.metafeatures import NAMES, extract
from app.metalearning.metafeatures.clustering import extract as extract_clustering
from app.metalearning.metafeatures.sample import Sample, draw_sample
from app.metalearning.metafeatures.statistical import canonical_correlations
from app.metalearning.table import Table
from benchmarks import pymfe_peer
from tests.tables import CLASSIFICATION, exactly, mixed_table

# Landmarkers and trees rest on a generator and on float arithmetic of another order; all else is exact.
SEEDED = 1e-2
EXACT = 1e-6


def load(name: str) -> Table:
    """One of scikit-learn's own datasets."""
    data, target = getattr(datasets, f"load_{name}")(return_X_y=True)
    columns = {f"x{index}": column for index, column in enumerate(data.T.astype(float))}
    if name == "diabetes":
        return exactly(columns, target)
    return exactly(columns, [f"class {label:02d}" for label in target])


def numbers_of(values: dict[str, float | None], names: set[str]) -> dict[str, float]:
    return {name: math.nan if values[name] is None else values[name] for name in names}


def assert_equal(ours: dict[str, float | None], theirs: dict[str, float], tolerance: float) -> None:
    shared = set(theirs) & set(NAMES)
    mine = numbers_of(ours, shared)
    for name in shared:
        assert math.isclose(mine[name], theirs[name], rel_tol=tolerance, abs_tol=1e-9) or (
            math.isnan(mine[name]) and not math.isfinite(theirs[name])
        ), (name, mine[name], theirs[name])


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer", "digits", "diabetes"])
def test_values_of_the_table_are_pymfes(name):
    table = load(name)
    theirs = pymfe_peer.mended(table)
    assert len(set(theirs) & set(NAMES)) == (73 if table.classes else 52)
    assert_equal(extract(table, 0).values, theirs, EXACT)


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer", "digits"])
def test_values_of_the_sample_are_pymfes(name):
    table = load(name)
    theirs, _ = pymfe_peer.of_sample(draw_sample(table))
    for known in ("vdu", "nre", "sc"):  # a defect, and two that are counted on all rows here
        del theirs[known]
    assert len(set(theirs) & set(NAMES)) > 45
    assert_equal(extract(table, 600).values, theirs, SEEDED)


def test_categories_are_described_as_by_pymfe():
    table = mixed_table(CLASSIFICATION, 300)
    complete = [column.name for column in table.columns]
    frame = table.frame.filter(
        pa.array(~np.any([table.frame[name].is_null().to_numpy() for name in complete], axis=0))
    )
    table = Table(frame, table.columns, table.target, table.task_type)
    assert_equal(extract(table, 0).values, pymfe_peer.mended(table), EXACT)


def theirs_of(
    columns: dict[str, list[float]], classes: list[str]
) -> tuple[dict[str, float | None], dict[str, float]]:
    """Our values, and pymfe's as they come."""
    table = exactly(columns, classes)
    return extract(table, 0).values, pymfe_peer.of_table(table)[0]


def test_pymfe_adds_to_every_cell_of_a_contingency_table():
    """A column that is the class has one bit of mutual information with it, and nothing else."""
    bits = [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0]
    ours, theirs = theirs_of({"x": bits}, ["p" if bit else "q" for bit in bits])
    assert ours["mut_inf.mean"] == 1.0
    assert ours["joint_ent.mean"] == 1.0
    assert 1e-7 < abs(theirs["joint_ent.mean"] - 1) < 1e-6


def test_pymfe_bins_small_numbers_together():
    """Twenty-seven numbers have three bins of nine, in whatever unit."""
    column = [index * 1e-9 for index in range(27)]
    ours, theirs = theirs_of({"x": column}, ["p"] * 9 + ["q"] * 18)
    assert ours["attr_ent.mean"] == pytest.approx(math.log2(3))
    assert theirs["attr_ent.mean"] < 1


def test_pymfe_pairs_covariances_with_the_weights_of_other_classes():
    """Four corners of one square, and twice those of another: covariances 4/3 I and 32/7 I, pooled 3.6 I."""
    corners = [(a, b) for a in (-1.0, 1.0) for b in (-1.0, 1.0)]
    rows = [*corners, *[(2 * a, 2 * b) for a, b in corners] * 2]
    correction = 13 / 18 * (1 / 3 + 1 / 7 - 1 / 10)
    box = 10 * 2 * math.log(3.6) - 3 * 2 * math.log(4 / 3) - 7 * 2 * math.log(32 / 7)
    ours, theirs = theirs_of({"a": [a for a, _ in rows], "b": [b for _, b in rows]}, ["p"] * 4 + ["q"] * 8)
    assert ours["sd_ratio"] == pytest.approx(math.exp((1 - correction) * box / 20))
    assert not math.isclose(theirs["sd_ratio"], ours["sd_ratio"], rel_tol=0.01)


def test_pymfe_takes_constants_for_normal():
    ours, theirs = theirs_of({"x": [3.0] * 20, "y": [0.0] * 19 + [9.0]}, ["p", "q"] * 10)
    assert (ours["nr_norm"], theirs["nr_norm"]) == (0, 1)


def test_pymfe_takes_small_geometric_means_for_zero():
    ours, theirs = theirs_of({"x": [1e-12, 4e-12] * 10}, ["p", "q"] * 10)
    assert ours["g_mean.mean"] == pytest.approx(2e-12)
    assert theirs["g_mean.mean"] == 0


def test_pymfe_gives_roots_where_there_are_none():
    """A column that is the class: its canonical correlation is 1, and the root 1 / (1 - 1) is infinite."""
    classes = ["p", "q", "q"] * 10
    ours, theirs = theirs_of(
        {"x": [float(each == "p") for each in classes], "y": [1.0, 2.0, 4.0, 8.0, 9.0] * 6}, classes
    )
    assert (ours["p_trace"], ours["lh_trace"], ours["roy_root"]) == (pytest.approx(1), None, None)
    assert theirs["roy_root"] > 1e6


def test_pymfe_does_not_iterate_canonical_correlations_to_their_end():
    """The reference solves the eigenproblem of between-class and total scatter."""
    table = load("digits")
    data = table.numeric[:, table.numeric.std(axis=0) > 0]
    scaled = (data - data.mean(axis=0)) / data.std(axis=0)
    sizes = np.bincount(table.target_values.astype(int))
    means = np.stack([scaled[table.target_values == label].mean(axis=0) for label in range(10)])
    total = scaled.T @ scaled / len(scaled)
    squares = scipy.linalg.eigh(means.T @ np.diag(sizes / len(scaled)) @ means, total, eigvals_only=True)[
        ::-1
    ]
    reference = np.sqrt(squares[:9])
    np.testing.assert_allclose(canonical_correlations(total, means, sizes), reference, rtol=1e-9)
    assert pymfe_peer.of_table(table)[0]["can_cor.sd"] != pytest.approx(reference.std(ddof=1), rel=EXACT)


def test_pymfe_divides_distances_between_classes_by_their_number():
    """Two columns of two points, three apart: Dunn's index is 3 / 1."""
    data = np.array([[0.0, 0.0], [0.0, 1.0], [3.0, 0.0], [3.0, 1.0]])
    target = np.array([0.0, 0.0, 1.0, 1.0])
    assert extract_clustering(Sample(data, target, 2))["vdu"] == 3
    assert MFEClustering.ft_vdu(data, target) == pytest.approx(3 / 4)
