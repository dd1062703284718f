"""The learner of `workers/networks/fewshot/adapting.py` (MAML, Finn et al. 2017), in NumPy: its gradient steps are written out."""

import numpy as np

from app.metalearning.fewshot.task import Task
from app.metalearning.table import FloatArray
from workers.experiments.fewshot.standardising import padded, softmax, standardised
from workers.experiments.fewshot.weights import Weights

_STEPS = 8
_LAYERS = ("start.0", "start.2", "start.4")

Layer = tuple[FloatArray, FloatArray]  # weights (out, in) and bias (out,)


def predict(weights: Weights, task: Task) -> FloatArray:
    """Probabilities, shape (queries, classes), after a few steps down the support's loss."""
    task, _ = standardised(task)
    support, shares = padded(task.support), task.members / task.members.sum(axis=0) / task.n_classes
    rate = float(np.exp(weights.arrays["log_rate"]))
    layers = [(weights.arrays[f"{name}.weight"], weights.arrays[f"{name}.bias"]) for name in _LAYERS]
    layers[-1] = (layers[-1][0][: task.n_classes], layers[-1][1][: task.n_classes])
    for _ in range(_STEPS):
        slopes = _slopes(layers, support, shares)
        layers = [
            (weight - rate * of_weight, bias - rate * of_bias)
            for (weight, bias), (of_weight, of_bias) in zip(layers, slopes, strict=True)
        ]
    return softmax(_outputs(layers, padded(task.queries))[-1])


def _outputs(layers: list[Layer], rows: FloatArray) -> list[FloatArray]:
    """What every layer gives out, the rows themselves in front; the last one without rectification."""
    found = [rows]
    for weight, bias in layers[:-1]:
        found.append(np.maximum(found[-1] @ weight.T + bias, 0.0))
    found.append(found[-1] @ layers[-1][0].T + layers[-1][1])
    return found


def _slopes(layers: list[Layer], rows: FloatArray, shares: FloatArray) -> list[Layer]:
    """Of the cross-entropy, in which every row weighs its share: backpropagation, from the last layer to the first."""
    outputs = _outputs(layers, rows)
    error = softmax(outputs[-1]) * shares.sum(axis=1, keepdims=True) - shares
    found = []
    for (weight, _), below in zip(reversed(layers), reversed(outputs[:-1]), strict=True):
        found.append((error.T @ below, error.sum(axis=0)))
        error = (error @ weight) * (below > 0)
    return found[::-1]
