"""Layers of trained networks, computed by NumPy: whoever answers has no training library."""

from collections.abc import Mapping

import numpy as np

from app.metalearning.table import FloatArray

Weights = Mapping[str, FloatArray]  # a network's arrays under the names that PyTorch gives them


def dense(weights: Weights, name: str, inputs: FloatArray) -> FloatArray:
    """A fully connected layer.

    Args:
        weights: of the network.
        name: of the layer.
        inputs: shape (..., inputs).

    Returns: shape (..., outputs).
    """
    return np.asarray(inputs @ weights[f"{name}.weight"].T + weights[f"{name}.bias"])


def relu(values: FloatArray) -> FloatArray:
    """Negative values as 0."""
    return np.maximum(values, 0.0)


def gru_step(weights: Weights, name: str, inputs: FloatArray, hidden: FloatArray) -> FloatArray:
    """One step of a gated recurrent unit (Cho et al. 2014), as PyTorch has it.

    Args:
        weights: of the network.
        name: of the cell.
        inputs: shape (..., inputs).
        hidden: the state before, shape (..., units).

    Returns: the state after.
    """
    came = inputs @ weights[f"{name}.weight_ih"].T + weights[f"{name}.bias_ih"]
    kept = hidden @ weights[f"{name}.weight_hh"].T + weights[f"{name}.bias_hh"]
    (reset_in, update_in, new_in), (reset, update, new) = (
        np.split(each, 3, axis=-1) for each in (came, kept)
    )
    update = _sigmoid(update_in + update)
    new = np.tanh(new_in + _sigmoid(reset_in + reset) * new)
    return np.asarray((1 - update) * new + update * hidden)


def _sigmoid(values: FloatArray) -> FloatArray:
    return np.asarray(0.5 * (1 + np.tanh(values / 2)))  # without overflow
