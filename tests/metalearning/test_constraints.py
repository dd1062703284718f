import numpy as np
import pytest

from app.errors import InvalidRequestError, NothingFeasibleError
from app.metalearning.constraints import Constraints, PredictedCosts, feasible_among
from app.metalearning.portfolio import Size, configurations_of
from tests.tables import CLASSIFICATION

CONFIGURATIONS = [each for each in configurations_of(CLASSIFICATION) if not each.algorithm.requirements.gpu]
N = len(CONFIGURATIONS)
COSTS = PredictedCosts(np.arange(1.0, N + 1), np.full(N, 0.5), np.full(N, 1e8))


def allowed(size=None, **wishes):
    found = feasible_among(CONFIGURATIONS, size or Size(), COSTS, Constraints(**wishes))
    assert set(found.excluded) == {each.id for each in CONFIGURATIONS} - {
        CONFIGURATIONS[index].id for index in found.indices
    }
    return [CONFIGURATIONS[index] for index in found.indices]


def test_nothing_asked_for_excludes_nothing():
    assert allowed() == CONFIGURATIONS


def test_algorithms_and_families_are_let_in_or_left_out():
    names = {each.algorithm.name for each in allowed(algorithms=frozenset({"lightgbm", "lda"}))}
    assert names == {"lightgbm", "lda"}
    family = CONFIGURATIONS[0].algorithm.family
    assert {each.algorithm.family for each in allowed(families=frozenset({family}))} == {family}
    assert family not in {each.algorithm.family for each in allowed(without_families=frozenset({family}))}
    left = {each.algorithm.name for each in allowed(without_algorithms=frozenset({"lightgbm"}))}
    assert left == {each.algorithm.name for each in CONFIGURATIONS} - {"lightgbm"}


def test_only_what_a_person_can_read():
    found = allowed(interpretable_only=True)
    assert 0 < len(found) < N
    assert all(each.algorithm.interpretable for each in found)


def test_predicted_costs_are_limits():
    assert allowed(max_fit_cpu_seconds=3.0) == CONFIGURATIONS[:3]
    assert allowed(max_memory_bytes=1e8) == CONFIGURATIONS
    found = feasible_among(CONFIGURATIONS, Size(), COSTS, Constraints(max_fit_cpu_seconds=3.0))
    assert found.excluded[CONFIGURATIONS[3].id] == "is expected to need 4 fit cpu seconds"


def test_where_nothing_is_left_every_cause_is_told():
    with pytest.raises(NothingFeasibleError) as caught:
        allowed(Size(smallest_class=1), interpretable_only=True, max_memory_bytes=5.0)
    causes = caught.value.evidence["excluded_by"]
    assert set(causes) == {"the dataset", "interpretable_only", "max_memory_bytes"}
    assert sum(causes.values()) == N
    assert "max_memory_bytes excludes" in caught.value.detail


@pytest.mark.parametrize("wish", ["algorithms", "families", "without_algorithms", "without_families"])
def test_names_that_there_are_not_are_refused(wish):
    with pytest.raises(InvalidRequestError, match="no_such_thing") as caught:
        Constraints(**{wish: frozenset({"no_such_thing"})})
    assert "Known are" in caught.value.advice
    assert wish in caught.value.detail
