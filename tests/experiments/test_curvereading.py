"""What a network's forecast of a learning curve says."""

import math

import numpy as np
import pytest

from workers.experiments.curvereading import Forecast, forecast, told_of

N_UNITS = 2
# A network that has learned nothing: no shift, a spread of exp(-1).
BLANK = {
    "cell.weight_ih": np.zeros((3 * N_UNITS, 3)),
    "cell.weight_hh": np.zeros((3 * N_UNITS, N_UNITS)),
    "cell.bias_ih": np.zeros(3 * N_UNITS),
    "cell.bias_hh": np.zeros(3 * N_UNITS),
    "head.weight": np.zeros((2, N_UNITS + 1)),
    "head.bias": np.array([0.0, -1.0]),
}


def test_without_a_shift_the_last_level_stays():
    found = forecast(BLANK, {64: 0.5, 256: 0.2}, 1000)
    assert found.level == pytest.approx(math.log(0.21))
    assert found.spread == pytest.approx(math.exp(-1))


def test_forecast_shifts_by_how_far_all_rows_are():
    weights = {**BLANK, "head.weight": np.array([[0, 0, -0.3], [0, 0, 0]])}
    near, far = (forecast(weights, {64: 0.5}, n_rows).level for n_rows in (64, 6400))
    assert near == pytest.approx(math.log(0.51))
    assert near - far == pytest.approx(0.1 * math.log(100))


def test_chances_are_even_at_the_expected_loss_and_follow_the_noise():
    found = Forecast(math.log(0.21), 0.2)
    assert found.chance_below(0.2) == pytest.approx(0.5)
    assert found.chance_below(0.05) < 0.01 < found.chance_below(0.05, noise=0.05) < 0.5
    assert found.chance_below(1.0) > 0.99


def test_the_network_is_told_gaps_levels_and_changes():
    told = told_of(np.array([[0.0, -1.0, -1.5]]), np.array([[3.0, 1.5, 0.0]]))
    assert told[0].tolist() == [[1.0, 0.0, 0.0], [0.5, -0.5, -1.0], [0.0, -0.75, -0.5]]
