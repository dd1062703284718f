"""Learning curves: what they lead to, and what is given up because of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tables import CLASSIFICATION, measure, noise_table, typed
from workers.experiments.contract import PREDICTIONS_FILE
from workers.experiments.extrapolation import HOPELESS, Rival, extrapolate

LINE, TREE = "clf-logistic_regression-default", "clf-decision_tree-leaf_8"
ANCHORS = (64, 256, 1024)
LOSSES = st.floats(0.001, 100.0)


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.5, 1.0])
@pytest.mark.parametrize("floor", [0.0, 0.2])
def test_a_power_law_is_followed(rate: float, floor: float) -> None:
    def loss(n_rows: int) -> float:
        return float(floor + 3 * n_rows**-rate)

    found = extrapolate({anchor: loss(anchor) for anchor in ANCHORS}, 2_667)
    truth = loss(2_667)
    assert abs(found.expected - truth) < 1.5 * found.spread
    assert found.spread < 0.35 * loss(1_024)
    assert found.chance_below(truth - 4 * found.spread) < 0.01
    assert found.chance_below(truth + 4 * found.spread) > 0.99


def test_the_further_ahead_the_less_is_sure() -> None:
    points = {64: 0.5, 256: 0.4}
    spreads = [extrapolate(points, n_rows).spread for n_rows in (300, 1_000, 10_000)]
    assert spreads == sorted(spreads)
    assert spreads[0] < 0.8 * spreads[-1]


@given(st.lists(LOSSES, min_size=2, max_size=3), st.floats(0.01, 100.0), st.integers(1_025, 100_000))
def test_the_unit_of_the_loss_does_not_matter(losses: list[float], unit: float, n_rows: int) -> None:
    points = dict(zip(ANCHORS, losses, strict=False))
    one = extrapolate(points, n_rows)
    other = extrapolate({anchor: unit * loss for anchor, loss in points.items()}, n_rows)
    assert other.expected == pytest.approx(unit * one.expected, rel=1e-6)
    for share in (0.2, 0.9, 1.1):
        chance = other.chance_below(unit * share * losses[-1])
        assert chance == pytest.approx(one.chance_below(share * losses[-1]), abs=1e-5)
        assert 0 <= chance <= 1


def test_a_perfect_curve_stays_perfect() -> None:
    found = extrapolate(dict.fromkeys(ANCHORS, 0.0), 2_667)
    assert found.expected == 0.0
    assert np.isfinite(found.spread)


def test_one_point_gives_nothing_up() -> None:
    rival = Rival("best", "roc_auc", [1.0, 0.99, 0.98])
    hopeless = [{"anchor": 64, "roc_auc": 0.5}, {"anchor": 256, "roc_auc": 0.5}]
    assert rival.leaves_behind(hopeless[:1], 2_667) is None
    assert rival.leaves_behind([{"anchor": 64}, hopeless[1]], 2_667) is None  # not defined on so few rows
    found = rival.leaves_behind(hopeless, 2_667)
    assert found is not None
    assert found["chance"] < HOPELESS
    assert found["low"] < found["score"] < found["high"] < 1.0
    assert found["to_beat"] == {"configuration": "best", "score": 1.0}


def test_luck_on_one_fold_gives_nothing_up() -> None:
    """What the best has on the first fold is worth as much as its folds agree."""
    curve = [{"anchor": 64, "roc_auc": 0.95}, {"anchor": 256, "roc_auc": 0.97}]
    assert Rival("steady", "roc_auc", [0.999, 0.998, 0.999]).leaves_behind(curve, 455) is not None
    assert Rival("lucky", "roc_auc", [0.999, 0.96, 0.98]).leaves_behind(curve, 455) is None


def test_what_is_hopeless_is_given_up_before_it_is_cross_validated(tmp_path) -> None:
    table = noise_table(1_500)
    rival = {"configuration": LINE, "metric": "roc_auc", "fold_scores": [0.99, 0.98, 0.99]}
    result = measure(table, TREE, tmp_path, rival)["result"]
    assert result["extrapolation"]["to_beat"]["configuration"] == LINE
    assert [point["anchor"] for point in result["learning_curve"]] == [64, 256]
    assert not {"scores", "fold_scores", "fit_cpu_seconds"} & set(result)
    assert not (tmp_path / TREE / PREDICTIONS_FILE).exists()


def test_where_there_is_hope_a_rival_changes_nothing(tmp_path) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(3, 1_500))
    table = typed(
        {**{f"x{index}": each for index, each in enumerate(x)}, "class": x.sum(axis=0) > 0}, "class"
    )
    assert table.task_type is CLASSIFICATION
    (tmp_path / "alone").mkdir()
    alone = measure(table, TREE, tmp_path / "alone")["result"]
    rival = {
        "configuration": LINE,
        "metric": "roc_auc",
        "fold_scores": [fold["roc_auc"] for fold in alone["fold_scores"]],
    }
    beside = measure(table, TREE, tmp_path, rival)["result"]
    for name in ("scores", "scores_a", "scores_b", "fold_scores"):
        assert beside[name] == alone[name]
    assert (tmp_path / TREE / PREDICTIONS_FILE).exists()
