import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.metalearning.portfolio import ALGORITHMS, CONFIGURATIONS
from app.metalearning.portfolio.spaces import Choice, Condition, Integer, Real, Space
from app.metalearning.table import TaskType

EVERY_SPACE = [
    pytest.param(algorithm.space(task_type), id=f"{algorithm.name}-{task_type}")
    for algorithm in ALGORITHMS.values()
    for task_type in algorithm.task_types
]
SMALL = Space(
    (
        Choice("solver", ("svd", "eigen"), default="svd"),
        Real("shrinkage", 0.001, 1.0, log=True, when=Condition("solver", ("eigen",))),
        Integer("depth", 2, 5, default=None),
    )
)


@pytest.mark.parametrize("configuration", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_every_configuration_lies_in_its_algorithms_space(configuration):
    assert (
        configuration.algorithm.space(configuration.task_type).why_not(configuration.hyperparameters) is None
    )


@pytest.mark.parametrize("space", EVERY_SPACE)
def test_conditions_name_a_hyperparameter_that_comes_before(space):
    names = [each.name for each in space.hyperparameters]
    assert names
    assert len(set(names)) == len(names)
    for position, each in enumerate(space.hyperparameters):
        if each.when is not None:
            (chosen,) = [other for other in space.hyperparameters[:position] if other.name == each.when.name]
            assert all(chosen.admits(value) for value in each.when.values)


@pytest.mark.parametrize("space", EVERY_SPACE)
@given(data=st.data())
def test_every_point_of_the_unit_cube_is_in_the_space(space, data):
    size = len(space.hyperparameters)
    positions = data.draw(st.lists(st.floats(0, 1), min_size=size, max_size=size))
    assert space.why_not(space.at(positions)) is None


def test_corners_reach_both_ends_of_every_range():
    assert SMALL.at([0.0, 0.0, 0.0]) == {"solver": "svd", "depth": 2}
    assert SMALL.at([1.0, 1.0, 1.0]) == {"solver": "eigen", "shrinkage": 1.0, "depth": 5}


def test_a_logarithmic_range_has_its_geometric_mean_in_the_middle():
    assert Real("C", 0.01, 100.0, log=True).at(0.5) == pytest.approx(1.0)
    assert Real("C", 0.0, 100.0).at(0.5) == 50.0


def test_whole_numbers_get_equal_shares():
    drawn = [Integer("depth", 1, 4).at(position / 400) for position in range(400)]
    assert {value: drawn.count(value) for value in drawn} == {1: 100, 2: 100, 3: 100, 4: 100}


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"width": 3}, "'width' is no hyperparameter"),
        ({"depth": 6}, "depth = 6 is outside"),
        ({"depth": 2.5}, "depth = 2.5 is outside"),
        ({"depth": True}, "depth = True is outside"),
        ({"solver": "lsqr"}, "solver = 'lsqr' is outside"),
        ({"shrinkage": 0.5}, "shrinkage counts only under a condition"),
        ({"solver": "svd", "shrinkage": 0.5}, "shrinkage counts only under a condition"),
    ],
    ids=str,
)
def test_values_outside_the_space_are_told_why(values, reason):
    assert SMALL.why_not(values).startswith(reason)


def test_the_librarys_own_value_is_inside_although_out_of_range():
    assert SMALL.why_not({"depth": None}) is None
    forest = ALGORITHMS["random_forest"].space(TaskType.CLASSIFICATION)
    assert forest.why_not({"max_features": "sqrt"}) is None
    assert ALGORITHMS["random_forest"].space(TaskType.REGRESSION).why_not({"max_features": "sqrt"})
