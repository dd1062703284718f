"""Uncertainty as it holds on datasets that were held out: what `workers.training.uncertainty` found, applied.

A report's `calibration` has for every metric `interval` and `after`, factors of standard deviations that make intervals of
90 %; `nearly_best`, the weights of a logistic regression; and `stop_at`, the probability from which on it is enough.
"""

import math
from typing import Any

# From so many results on a factor holds, until the next.
AFTER = (1, 3, 6, 11, 16)
_CLIP = 0.002  # one draw of 500


def factor_after(calibration: dict[str, Any], n_results: int) -> float:
    """Half the width of the interval of what is suggested after so many results, in standard deviations."""
    step = sum(each <= n_results for each in AFTER) - 1
    return float(calibration["after"][step])


def mended_probability(calibration: dict[str, Any], told: float, n_results: int) -> float:
    """How often it is true where the posterior tells this probability after so many results."""
    bias, *weights = calibration["nearly_best"]
    features = features_of(told, n_results)
    logit = bias + sum(weight * value for weight, value in zip(weights, features, strict=True))
    return 1 / (1 + math.exp(-logit))


def features_of(told: float, n_results: float) -> tuple[float, float]:
    """What the logistic regression sees."""
    clipped = min(max(told, _CLIP), 1 - _CLIP)
    return math.log(clipped / (1 - clipped)), math.log(n_results)
