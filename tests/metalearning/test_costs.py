import dataclasses

import numpy as np
import pytest

from app.metalearning.costs import LocalLaw, PowerLaw, fit_costs
from tests.tables import a_vector, evidence

random = np.random.default_rng(0)
ROWS, COLUMNS = random.integers(50, 4_000, 80) * 1.0, random.integers(2, 60, 80) * 1.0
CLASSES = random.integers(1, 8, 80) * 1.0


def known_costs(columns_matter: float, noise: float = 0.0):
    """Costs that follow a law: 2e-4 · rows^1.2 · columns^`columns_matter` · √classes for the first configuration."""
    law = 2e-4 * ROWS**1.2 * COLUMNS**columns_matter * np.sqrt(CLASSES)
    seconds = law * np.exp(noise * random.normal(size=80))
    timings = [
        np.column_stack([np.arange(80), np.full(80, index), ROWS, COLUMNS, CLASSES, seconds * factor])
        for index, factor in enumerate((1.0, 100.0))
    ]
    vectors = np.stack(
        [a_vector(nr_inst=r, nr_attr=c, nr_class=k) for r, c, k in zip(ROWS, COLUMNS, CLASSES, strict=True)]
    )
    known = evidence(np.zeros((80, 2)), vectors, tuple(map(str, range(80))))
    return dataclasses.replace(
        known,
        timings=np.concatenate(timings),
        predict_seconds=np.column_stack([COLUMNS, COLUMNS**2]),
        memory_bytes=np.column_stack([ROWS * COLUMNS, np.where(ROWS < 2_000, ROWS, np.nan)]),
    )


def test_a_known_power_law_is_recovered():
    costs = fit_costs(known_costs(columns_matter=0.7))
    expected = 2e-4 * 20_000**1.2 * 30**0.7 * np.sqrt(3)
    assert costs.fit_seconds.law.predict(20_000, 30, 3) == pytest.approx([expected, 100 * expected], rel=0.01)
    assert costs.fit_seconds.law.coefficients[0, 1:] == pytest.approx([1.2, 0.7, 0.5], abs=0.01)


def test_noise_is_averaged_out():
    costs = fit_costs(known_costs(columns_matter=0.7, noise=0.5))
    expected = 2e-4 * 1_000**1.2 * 20**0.7
    assert costs.fit_seconds.law.predict(1_000, 20, 1)[0] == pytest.approx(expected, rel=0.4)


def test_each_cost_has_its_own_law_and_gaps_do_not_count():
    costs = fit_costs(known_costs(columns_matter=0.0))
    assert costs.predict_seconds_per_1000_rows.predict(500, 16, 2) == pytest.approx([16, 256], rel=0.02)
    assert costs.memory_bytes.predict(3_000, 8, 2) == pytest.approx([24_000, 3_000], rel=0.02)


def test_nothing_costs_less_than_one_row_and_column():
    law = PowerLaw(np.array([[np.log(5.0), 1, 1, 1]]), np.ones(1))
    assert law.predict(0, 0, 0) == pytest.approx([5])
    assert law.predict(2, 3, 4) == pytest.approx([120])


def test_datasets_like_the_new_one_mend_the_law():
    law = PowerLaw(np.array([[0.0, 1, 0, 0], [0.0, 1, 0, 0]]), np.ones(2))
    costs = np.array([[200.0, 100.0], [100.0, np.nan], [50.0, 100.0]])
    local = LocalLaw.of(law, np.full((3, 3), 100.0), costs)
    assert local.predict(10, 1, 1, np.array([1.0, 0, 0])) == pytest.approx([20, 10])
    assert local.predict(10, 1, 1, np.array([0, 1.0, 0])) == pytest.approx([10, 10])
    assert local.predict(10, 1, 1, np.array([0.5, 0, 0.5])) == pytest.approx([10, 10])


def test_a_try_that_will_hardly_end_in_time_costs_more():
    law = PowerLaw(np.zeros((3, 4)), np.array([0.5, 0.5, 0.0]))
    cost = law.per_gain(np.array([1.0, 10.0, 10.0]), 10.0)
    assert cost[0] == pytest.approx(1, abs=0.01)
    assert cost[1:] == pytest.approx([20, 20])
    assert law.per_gain(np.array([1.0, 1.0, 1.0]), 0.0).min() > 1e5
