"""Losses as networks see them."""

import numpy as np

from app.metalearning.table import FloatArray

_FLOOR = 0.01  # losses are told apart by ratio down to this
_LARGEST = 3.0  # a loss that is worse is as useless


def log_levels(losses: FloatArray) -> FloatArray:
    """Logarithms, so that a tenth less is as much on an easy dataset as on a hard one; NaN stays.

    Args:
        losses: comparable between datasets (see `app.metalearning.metrics`), any shape.
    """
    return np.asarray(np.log(np.clip(losses, 0.0, _LARGEST) + _FLOOR))
