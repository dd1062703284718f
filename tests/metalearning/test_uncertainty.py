"""Told uncertainty after it was mended."""

import pytest

from app.metalearning.uncertainty import AFTER, factor_after, mended_probability

CALIBRATION = {
    "interval": 1.2,
    "after": [1.0, 2.0, 3.0, 4.0, 5.0],
    "nearly_best": [0.0, 1.0, 0.0],
    "stop_at": 0.95,
}


@pytest.mark.parametrize(
    ("results", "factor"), [(1, 1.0), (2, 1.0), (3, 2.0), (10, 3.0), (16, 5.0), (99, 5.0)]
)
def test_factor_is_that_of_the_step(results: int, factor: float) -> None:
    assert len(AFTER) == len(CALIBRATION["after"])  # type: ignore[arg-type]
    assert factor_after(CALIBRATION, results) == factor


def test_weights_of_nothing_change_nothing() -> None:
    for told in (0.01, 0.5, 0.97):
        assert mended_probability(CALIBRATION, told, 4) == pytest.approx(told)
    assert 0 < mended_probability(CALIBRATION, 0.0, 1) < mended_probability(CALIBRATION, 1.0, 1) < 1


def test_results_count() -> None:
    wary = CALIBRATION | {"nearly_best": [-1.0, 0.5, 0.3]}
    assert mended_probability(wary, 0.9, 2) < mended_probability(wary, 0.9, 20)
