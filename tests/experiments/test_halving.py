"""Which trials a search gives up halfway."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.metalearning.protocol import ANCHORS
from workers.experiments.search.halving import N_BRACKETS, REDUCTION, Rungs, anchors_of, bracket_of


def judged(score, others, anchor=64, metric="accuracy"):
    return Rungs(metric, {"64": others}).leaves_behind([{"anchor": anchor, metric: score}], 1_000)


def test_only_the_best_quarter_goes_on():
    losses = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
    assert judged(0.85, losses) is None  # the second of eight
    assert judged(0.75, losses) == {
        "metric": "accuracy",
        "anchor": 64,
        "score": 0.75,
        "needed": pytest.approx(0.8),
    }


def test_small_is_good_of_an_error():
    assert judged(0.1, [1.0, 2.0, 3.0], metric="rmse") is None
    assert judged(1.5, [1.0, 2.0, 3.0], metric="rmse")["needed"] == 1.0


def test_the_first_goes_on_and_so_does_what_has_no_score_there():
    assert judged(0.01, []) is None
    assert judged(None, [0.1]) is None
    assert judged(0.01, [0.1], anchor=256) is None  # no rung of this bracket


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60, unique=True))
def test_as_many_go_on_as_the_reduction_says(losses):
    """Each of a finished rung against all the others."""
    kept = sum(
        judged(loss, [other for other in losses if other != loss], metric="rmse") is None for loss in losses
    )
    assert kept == max(1, len(losses) // REDUCTION)


def test_brackets_have_hyperbands_shares_at_any_time():
    dealt = Counter(bracket_of(number) for number in range(98))
    assert dealt[0] > dealt[1] > dealt[2] > dealt[3] >= 1
    assert dealt[0] == pytest.approx(64, abs=2)  # 64 : 21.3 : 8 : 4
    assert dealt[3] == pytest.approx(4, abs=2)
    assert bracket_of(0) == 0
    assert [anchors_of(each) for each in range(N_BRACKETS)] == [ANCHORS, ANCHORS[1:], ANCHORS[2:], ()]
