"""The network that reads learning curves learns how they go on, and NumPy reads as PyTorch does."""

import dataclasses
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `deep` is not installed")

from workers.experiments.curvereading import forecast, told_of  # noqa: E402
from workers.networks.curves import PLAN, Curves, Reader, fit_reader  # noqa: E402
from workers.networks.training import seeded  # noqa: E402

pytestmark = pytest.mark.deep
SHORT = dataclasses.replace(PLAN, steps=150)
ANCHORS = np.array([64.0, 256.0, 1024.0])
N_ROWS = 4096


def falling(rate, count=200):
    """Curves whose loss falls by a power of the rows, from various levels."""
    starts = np.random.default_rng(0).uniform(0.2, 0.8, (count, 1))
    losses = starts * (np.append(ANCHORS, N_ROWS) / ANCHORS[0]) ** -rate
    levels = np.log(losses + 0.01)
    gaps = np.tile(np.log(N_ROWS / ANCHORS), (count, 1))
    return Curves(levels[:, :-1], gaps, np.full(count, 3), levels[:, -1], ("group",) * count)


def test_network_expects_curves_to_fall_as_they_did():
    weights = fit_reader(falling(0.3), SHORT)
    told = forecast(weights, dict(zip(ANCHORS.astype(int).tolist(), [0.5, 0.33, 0.218], strict=True)), N_ROWS)
    assert told.level == pytest.approx(math.log(0.5 * 64**-0.3 + 0.01), abs=0.05)
    steep = forecast(fit_reader(falling(1.0), SHORT), {64: 0.5}, N_ROWS)
    assert steep.level < forecast(weights, {64: 0.5}, N_ROWS).level - 1


def test_served_as_trained():
    curves = falling(0.3, 4)
    reader = seeded(Reader, 0)
    weights = {name: value.numpy().astype(np.float64) for name, value in reader.state_dict().items()}
    told = torch.as_tensor(told_of(curves.levels, curves.gaps), dtype=torch.float32)
    for length in (1, 2, 3):
        expected = reader(told, torch.full((4,), length)).detach().numpy()
        for row in range(4):
            points = dict(
                zip(ANCHORS.astype(int).tolist(), (np.exp(curves.levels[row]) - 0.01)[:length], strict=False)
            )
            found = forecast(weights, points, N_ROWS)
            shift = found.level - curves.levels[row, length - 1]
            assert [shift, math.log(found.spread)] == pytest.approx(expected[row], abs=1e-5)
