"""A recurrent network that reads a learning curve and says where it leads: a challenger of the power law (`extrapolation`).

What it has learned says how curves of such algorithms usually go on; its forecast is a Student distribution of the log loss.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from app.metalearning.metalearners.layers import Weights, dense, gru_step
from app.metalearning.metalearners.levels import log_levels
from app.metalearning.table import FloatArray

FREEDOM = 5.0  # degrees of the Student distribution: some curves turn


@dataclass(frozen=True)
class Forecast:
    """The log loss (see `log_levels`) after learning from all rows."""

    level: float
    spread: float

    def chance_below(self, loss: float, noise: float = 0.0) -> float:
        """How probable a smaller loss is than one that is known up to a noise (standard deviation)."""
        level = float(log_levels(np.array(loss)))
        of_noise = noise / math.exp(level)
        return float(student.cdf((level - self.level) / math.hypot(self.spread, of_noise), FREEDOM))


def forecast(weights: Weights, points: Mapping[int, float], n_rows: int) -> Forecast:
    """Where a curve leads.

    Args:
        weights: of the network.
        points: number of rows → loss after learning from so many, in ascending order; one at least.
        n_rows: how many there are to learn from.
    """
    levels = log_levels(np.array(list(points.values())))
    gaps = np.log(n_rows / np.array(list(points), dtype=np.float64))
    state = np.zeros(weights["cell.weight_hh"].shape[1])
    for told in told_of(levels, gaps):
        state = gru_step(weights, "cell", told, state)
    shift, log_spread = dense(weights, "head", np.append(state, gaps[-1] / GAP))
    return Forecast(float(levels[-1] + shift), float(np.exp(log_spread)))


GAP = 3.0  # what gaps are divided by, to be about 1


def told_of(levels: FloatArray, gaps: FloatArray) -> FloatArray:
    """What the network is told of the points of curves, shape (..., points, 3): gap to all rows, level, and change.

    Args:
        levels: log losses, shape (..., points).
        gaps: log of all rows over those of the point, same shape.
    """
    changes = np.diff(levels, axis=-1, prepend=levels[..., :1])
    return np.stack([gaps / GAP, levels / 2, changes], axis=-1)
