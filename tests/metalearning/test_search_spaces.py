"""What a search may try: narrower ranges, and wishes that contradict themselves."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import SearchSpaceError
from app.metalearning.portfolio import ALGORITHMS, CONFIGURATIONS, configuration_with
from app.metalearning.search import Wish, as_wishes, grid_points, grid_size, lies_in, spaces_of
from app.metalearning.table import TaskType

CLASSIFICATION = TaskType.CLASSIFICATION
EVERY_SPACE = [
    pytest.param(algorithm.space(task_type), id=f"{algorithm.name}-{task_type}")
    for algorithm in ALGORITHMS.values()
    for task_type in algorithm.task_types
]


def space_of(algorithm, **wishes):
    return spaces_of([algorithm], CLASSIFICATION, {algorithm: wishes})[algorithm]


@pytest.mark.parametrize("space", EVERY_SPACE)
@given(data=st.data())
def test_positions_lead_back_to_the_hyperparameters_that_they_are_of(space, data):
    size = len(space.hyperparameters)
    values = space.at(data.draw(st.lists(st.floats(0, 1), min_size=size, max_size=size)))
    positions = space.positions(values)
    again = space.chosen(lambda each: positions[each.name])
    assert again.keys() == values.keys()
    for name, value in values.items():
        assert again[name] == (pytest.approx(value, rel=1e-6, abs=1e-9) if type(value) is float else value)


@pytest.mark.parametrize("configuration", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_the_portfolios_hyperparameters_have_positions_and_keep_their_name(configuration):
    space = configuration.algorithm.space(configuration.task_type)
    assert all(0 <= each <= 1 for each in space.positions(configuration.hyperparameters).values())
    as_stored = json.loads(json.dumps(configuration.hyperparameters, sort_keys=True))
    again = configuration_with(configuration.algorithm.name, configuration.task_type, as_stored)
    assert again is configuration


@pytest.mark.parametrize("space", EVERY_SPACE)
def test_a_configuration_is_the_same_in_whatever_order_it_was_stored(space, request):
    algorithm, _, task_type = request.node.callspec.id.rpartition("-")
    values = space.at([0.37] * len(space.hyperparameters))
    one, other = (
        configuration_with(algorithm, TaskType(task_type), json.loads(json.dumps(dict(items))))
        for items in (values.items(), reversed(values.items()))
    )
    assert (one.id, one.snippet) == (other.id, other.snippet)


def test_what_the_portfolio_does_not_hold_is_called_by_what_it_is():
    one, same, other = (
        configuration_with("mlp", CLASSIFICATION, {"hidden_layer_sizes": sizes, "alpha": alpha})
        for sizes, alpha in (((24,), 0.5), ([24], 0.5), ((24,), 0.6))
    )
    assert one == same
    assert one.id == f"clf-mlp-{one.fingerprint}" != other.id


@given(st.floats(0.011, 0.1), st.floats(0.11, 0.29), st.floats(0, 1))
def test_nothing_outside_a_narrowed_range_is_ever_drawn(low, high, position):
    space = space_of(
        "lightgbm", learning_rate=Wish(low, high), num_leaves=Wish(high=8), extra_trees=Wish(values=[True])
    )
    values = space.at([position] * len(space.hyperparameters))
    assert low <= values["learning_rate"] <= high
    assert 4 <= values["num_leaves"] <= 8
    assert values["extra_trees"] is True


def test_equal_ends_leave_one_value():
    space = space_of("lightgbm", num_leaves=Wish(16, 16), learning_rate=Wish(values=[0.1, 0.1]))
    assert {space.at([each] * 10)["num_leaves"] for each in (0.0, 0.5, 1.0)} == {16}
    assert grid_points(space, 5)[:3] == [[50, 105, 223, 473, 1000], [0.1], [16]]


@pytest.mark.parametrize(
    ("space", "told"),
    [
        ({"lightgbm": {"learning_rate": {"low": 0.2, "high": 0.1}}}, "from 0.2 to 0.1"),
        ({"lightgbm": {"learning_rate": {"low": 0.0}}}, "outside its range, 0.01 to 0.3"),
        ({"lightgbm": {"num_leaves": {"low": 4.5}}}, "whole number"),
        ({"lightgbm": {"leaves": {"low": 4}}}, "no hyperparameter 'leaves'"),
        ({"lightgbm": {"extra_trees": {"low": 0}}}, "has no ends"),
        ({"lightgbm": {"extra_trees": {"values": ["yes"]}}}, "one of False, True"),
        ({"lightgbm": {"num_leaves": {"values": [16, 1000]}}}, "num_leaves = 1000 is outside"),
        ({"catboost": {"depth": {"low": 4}}}, "'catboost', which this search does not try"),
        (
            {"lightgbm": {"subsample": {"low": 0.5}, "subsample_freq": {"values": [0]}}},
            "subsample counts only while subsample_freq is 1",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_contradictions_are_told(space, told):
    with pytest.raises(SearchSpaceError, match=told.replace(".", r"\.")) as refused:
        spaces_of(["lightgbm"], CLASSIFICATION, as_wishes(space))
    assert refused.value.code == "search_space_contradictory"
    assert refused.value.advice


@pytest.mark.parametrize(
    ("algorithm", "name", "value"),
    [
        ("logistic_regression", "C", 10**400),
        ("lightgbm", "subsample_freq", False),
        ("decision_tree", "min_samples_leaf", True),
        ("hist_gradient_boosting", "max_features", True),
        ("gaussian_process", "kernel", None),
        ("mlp", "hidden_layer_sizes", {"a": 1}),
        ("mlp", "hidden_layer_sizes", [[24]]),
        ("svm", "C", "1.0"),
    ],
    ids=str,
)
def test_values_of_another_type_are_refused(algorithm, name, value):
    with pytest.raises(SearchSpaceError):
        spaces_of([algorithm], CLASSIFICATION, {algorithm: {name: Wish(values=[value])}})


def test_a_number_is_the_same_number_however_json_writes_it():
    (sizes,) = [
        each
        for each in space_of("mlp", hidden_layer_sizes=Wish(values=[[24.0]])).hyperparameters
        if each.name == "hidden_layer_sizes"
    ]
    assert repr(sizes.values) == "((24,),)"
    space = space_of("xgboost", min_child_weight=Wish(values=[3]))
    assert lies_in(space, ["min_child_weight"], {"min_child_weight": 3})
    assert lies_in(space_of("xgboost", min_child_weight=Wish(values=[1])), ["min_child_weight"], {})


def test_a_default_outside_the_wishes_is_outside_the_space():
    """LightGBM's own learning rate is 0.1."""
    wide, narrow = (space_of("lightgbm", learning_rate=Wish(high=high)) for high in (0.2, 0.05))
    assert lies_in(wide, ["learning_rate"], {"num_leaves": 16})
    assert not lies_in(narrow, ["learning_rate"], {"num_leaves": 16})
    assert not lies_in(narrow, ["learning_rate"], {"learning_rate": 0.08})
    assert lies_in(narrow, ["learning_rate"], {"learning_rate": 0.03})


def test_what_does_not_count_need_not_be_inside():
    space = space_of("lightgbm", subsample=Wish(high=0.6))
    assert lies_in(space, ["subsample"], {"subsample_freq": 0})
    assert not lies_in(space, ["subsample"], {"subsample_freq": 1})


def test_a_grid_has_the_ends_of_every_range():
    space = space_of("svm")
    assert grid_size(space, 3) == math.prod(len(points) for points in grid_points(space, 3))
    knn = space_of("knn")
    assert grid_points(knn, 2)[0] == [knn.hyperparameters[0].low, knn.hyperparameters[0].high]
    assert grid_points(knn, 1)[0] == [knn.hyperparameters[0].at(0.5)]
