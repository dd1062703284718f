"""Rows that few-shot learners are sent, made numbers."""

import numpy as np
import pytest

from app.errors import (
    BeyondMethodError,
    ColumnMissingError,
    LabelsUnfitError,
    RaggedRowsError,
    RowsRefusedError,
    SingleClassTargetError,
    ValueOfWrongTypeError,
)
from app.metalearning.fewshot import methods
from app.metalearning.fewshot.encoding import encode
from app.metalearning.fewshot.methods import Method, cell_of, choose
from app.metalearning.fewshot.task import Task

SUPPORT = [
    {"length": 1.0, "colour": "red", "new": True},
    {"length": None, "colour": "blue", "new": False},
    {"length": 4, "colour": None, "new": True, "nothing": None},
]
QUERY = {"length": 2, "colour": "blue", "new": False}


def test_numbers_stay_and_every_category_becomes_a_feature():
    found = encode(SUPPORT, ["b", "a", "b"], [QUERY])
    assert found.classes == ("a", "b")
    assert found.task.labels.tolist() == [1, 0, 1]
    assert found.task.support.tolist() == [[1.0, 0, 1, 1], [2.5, 1, 0, 0], [4.0, 0, 0, 1]]
    assert found.task.queries.tolist() == [[2.0, 1, 0, 0]]
    assert found.ignored_columns == ("nothing",)


def test_queries_are_read_as_the_labelled_rows_are():
    odd = {"length": None, "colour": "green", "new": None, "more": 1}
    found = encode(SUPPORT, [0, 1, 1], [odd, QUERY, {**QUERY, "colour": 7}])
    assert found.task.queries[0].tolist() == pytest.approx([2.5, 0, 0, 2 / 3])
    assert found.unknown_categories == {"colour": 2}
    assert found.ignored_columns == ("nothing", "more")


def test_vectors_have_their_places_for_names():
    found = encode([[1.0, 2.0], [3.0, 4.0]], [True, 1], [[5.0, 6.0]])
    assert found.classes == (1, True)
    assert isinstance(found.classes[0], int)
    assert found.task.queries.tolist() == [[5.0, 6.0]]


@pytest.mark.parametrize(
    ("support", "labels", "queries", "error"),
    [
        (SUPPORT, ["a", "b"], [QUERY], LabelsUnfitError),
        (SUPPORT, ["a", "a", "a"], [QUERY], SingleClassTargetError),
        (SUPPORT, ["a", "b", "b"], [{"length": 1}], ColumnMissingError),
        (SUPPORT, ["a", "b", "b"], [QUERY, {**QUERY, "length": "long"}], ValueOfWrongTypeError),
        ([[1.0], [2.0]], [0, 1], [[1.0, 2.0]], RaggedRowsError),
        ([[1.0], {"a": 2.0}], [0, 1], [[1.0]], RaggedRowsError),
        ([[1.0], [1e200]], [0, 1], [[1.0]], RowsRefusedError),
        ([[1.0], [10**400]], [0, 1], [[1.0]], RowsRefusedError),
        ([{"a": None}, {}], [0, 1], [{}], RowsRefusedError),
        ([[0.0] * 2001, [1.0] * 2001], [0, 1], [[0.0] * 2001], RowsRefusedError),
    ],
)
def test_what_cannot_be_learned_from_is_refused(support, labels, queries, error):
    with pytest.raises(error):
        encode(support, labels, queries)


def task(n_classes, rows_per_class, n_features):
    labels = np.repeat(np.arange(n_classes), rows_per_class)
    return Task(np.zeros((len(labels), n_features)), labels, np.zeros((1, n_features)), n_classes)


def test_auto_takes_what_was_measured_to_be_the_best_and_can_do_it(monkeypatch):
    few = task(3, 2, 4)
    assert cell_of(few) == "about 2 rows per class and up to 10 features"
    monkeypatch.setattr(methods, "_choices", lambda: {cell_of(few): Method.IN_CONTEXT})
    assert choose(Method.AUTO, few).method is Method.IN_CONTEXT
    assert choose(Method.AUTO, task(3, 2, 40)).method is Method.LOGISTIC_REGRESSION
    assert choose(Method.AUTO, task(11, 2, 4)).method is Method.LOGISTIC_REGRESSION
    assert choose(Method.NEAREST, few).method is Method.NEAREST
    with pytest.raises(BeyondMethodError):
        choose(Method.IN_CONTEXT, task(11, 2, 4))


def test_what_is_measured_is_what_can_be_chosen():
    cells = {cell_of(task(2, rows, width)) for rows in methods.ROWS_PER_CLASS for width in (5, 50)}
    assert methods._choices().keys() <= cells
