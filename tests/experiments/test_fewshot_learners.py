"""Few-shot learners as they ship, without PyTorch."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_iris

from app.metalearning.fewshot.methods import Method
from app.metalearning.fewshot.task import Task
from workers.experiments.fewshot.learners import LEARNED, learner
from workers.experiments.fewshot.weights import shipped

METHODS = [method for method in Method if method is not Method.AUTO]


def irises(rows, seed=0):
    """So many labelled rows of each class; the others as queries, and their labels."""
    data, target = load_iris(return_X_y=True)
    random = np.random.default_rng(seed)
    known = np.concatenate([random.permutation(np.flatnonzero(target == code))[:rows] for code in range(3)])
    others = np.setdiff1d(np.arange(len(data)), known)
    return Task(data[known], target[known], data[others], 3), target[others]


@pytest.mark.parametrize("method", METHODS)
def test_five_rows_a_class_are_enough_for_irises(method):
    right = []
    for seed in range(4):
        task, answers = irises(5, seed)
        shares = learner(method)(task)
        assert shares.sum(axis=1) == pytest.approx(1.0)
        assert (shares >= 0).all()
        right.append((shares.argmax(axis=1) == answers).mean())
    assert np.mean(right) > 0.85


@pytest.mark.parametrize("method", METHODS)
def test_units_and_other_queries_make_no_difference(method):
    task, _ = irises(3)
    expected = learner(method)(task)
    units = np.array([1e3, 1e-3, 25.0, 1.0])
    other = Task(task.support * units + 7, task.labels, task.queries[:5] * units + 7, 3)
    assert learner(method)(other) == pytest.approx(expected[:5], abs=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_names_of_classes_hardly_matter(method):
    task, _ = irises(5)
    turned = Task(task.support, (task.labels + 1) % 3, task.queries, 3)
    shares = np.roll(learner(method)(turned), -1, axis=1)
    assert (shares.argmax(axis=1) == learner(method)(task).argmax(axis=1)).mean() > 0.9


@pytest.mark.parametrize("method", METHODS)
def test_one_row_a_class_constant_columns_and_many_features_are_answered(method):
    random = np.random.default_rng(0)
    support, queries = np.zeros((4, 300)), np.zeros((3, 300))
    support[:, 20:], queries[:, 20:] = random.normal(size=(4, 280)), random.normal(size=(3, 280))
    queries[0, 0] = 1e6
    shares = learner(method)(Task(support, np.arange(4), queries, 4))
    assert np.isfinite(shares).all()
    alike = Task(np.ones((2, 2)), np.arange(2), np.ones((1, 2)), 2)
    assert np.isfinite(learner(method)(alike)).all()


@pytest.mark.parametrize("method", LEARNED)
def test_weights_say_where_they_come_from(method):
    about = shipped(method).about
    assert {"steps", "rate", "seed", "device", "tasks", "torch"} <= about.keys()


def test_no_network_library_is_needed():
    code = (
        "import sys, workers.experiments.fewshot.learners as l\n"
        "[l.learner(method) for method in l.Method if method != 'auto']\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
