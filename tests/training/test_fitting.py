import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesRegressor

from app.metalearning.metadataset import load_evidence
from app.metalearning.metalearners.forest import ForestArrays
from app.metalearning.table import TaskType
from tests.tables import evidence
from workers.training import fitting

random = np.random.default_rng(0)
N_DATASETS = 40


@pytest.fixture
def grown(monkeypatch):
    """The forests of scikit-learn that fitting grows, of few trees."""
    forests = []

    def grow(*arguments, **keywords):
        forests.append(ExtraTreesRegressor(*arguments, **keywords))
        return forests[-1]

    monkeypatch.setattr(fitting, "N_TREES", 12)
    monkeypatch.setattr(fitting, "ExtraTreesRegressor", grow)
    return forests


def metafeatures_with_gaps():
    vectors = random.lognormal(sigma=3, size=(N_DATASETS, 6))
    vectors[random.random(vectors.shape) < 0.1] = np.nan
    vectors[:, 5] = np.nan
    return vectors


def test_arrays_walk_like_scikit_learns_forest(grown):
    known, targets = metafeatures_with_gaps(), random.random((N_DATASETS, 3))
    arrays = fitting.fit_forest(known, targets)
    fill = np.append(np.nanmedian(known[:, :5], axis=0), 0)
    assert arrays.fill == pytest.approx(fill)
    at_thresholds = np.tile(fill, (20, 1))
    for vector, node in zip(at_thresholds, np.flatnonzero(arrays.feature >= 0), strict=False):
        vector[arrays.feature[node]] = np.nextafter(
            arrays.threshold[node], np.inf
        )  # trees compare in single precision
    for vector in [*metafeatures_with_gaps(), *known, *at_thresholds, np.full(6, np.nan)]:
        filled = np.where(np.isnan(vector), fill, vector)[None].astype(np.float32)
        assert np.array_equal(arrays.apply(vector) - arrays.roots, grown[0].apply(filled)[0])
        assert arrays.weights(vector).sum() == pytest.approx(1)
        assert arrays.weights(vector) @ targets == pytest.approx(grown[0].predict(filled)[0])


def test_known_datasets_fall_where_the_arrays_say(grown):
    known = metafeatures_with_gaps()
    arrays = fitting.fit_forest(known, random.random((N_DATASETS, 2)))
    assert len(grown[0].estimators_) == 12
    for row, leaves in zip(known, arrays.leaves, strict=True):
        assert np.array_equal(arrays.apply(row), leaves)


def test_same_evidence_grows_the_same_forest(grown):
    known, targets = metafeatures_with_gaps(), random.random((N_DATASETS, 2))
    one, two = fitting.fit_forest(known, targets), fitting.fit_forest(known, targets)
    for name, values in vars(one).items():
        assert np.array_equal(getattr(two, name), values)


def test_level_forest_finds_datasets_of_the_same_difficulty(grown):
    hard = np.arange(N_DATASETS) % 2 * 1.0
    losses = 0.1 + 0.6 * hard[:, None] + 0.01 * random.random((N_DATASETS, 3))
    losses[3, 1] = np.nan
    level = fitting.fit_level_forest(evidence(losses, hard[:, None], ("",) * N_DATASETS))
    for difficulty in (0.0, 1.0):
        assert level.weights(np.array([difficulty]))[hard == difficulty].sum() == pytest.approx(1)


def test_fitted_metalearners_are_written_with_their_proof(grown, monkeypatch, tmp_path: Path):
    few = {task_type: load_evidence(task_type).of(list(range(9))) for task_type in TaskType}
    monkeypatch.setattr(fitting, "load_evidence", lambda task_type, _: few[task_type])
    report = fitting.fit_metalearners(tmp_path)
    assert json.loads((tmp_path / "meta-learners.json").read_text()) == report
    for task_type in TaskType:
        forest = ForestArrays.load(tmp_path / f"forest-{task_type}-regret.npz")
        level = ForestArrays.load(tmp_path / f"forest-{task_type}-level.npz")
        assert forest.leaves.shape == level.leaves.shape == (9, 12)
        assert report[task_type]["datasets"] == 9
        assert report[task_type]["configurations"] == list(few[task_type].configurations)
        assert len(report[task_type]["advantage_sd"]) == len(few[task_type].configurations)
        assert report[task_type]["interval_factor"] > 0
