"""The prototypical network of `workers/networks/fewshot/prototypical.py` (Snell et al. 2017), in NumPy."""

import numpy as np

from app.metalearning.fewshot.task import Task
from app.metalearning.table import FloatArray
from workers.experiments.fewshot.standardising import softmax, standardised
from workers.experiments.fewshot.weights import Weights


def predict(weights: Weights, task: Task) -> FloatArray:
    """Probabilities, shape (queries, classes): the nearer a class's mean embedding, the likelier."""
    task, relevance = standardised(task)
    about = _size(task)
    seen = np.column_stack([relevance, np.tile(about, (len(relevance), 1))])
    support, queries = (_embed(weights, rows, seen) for rows in (task.support, task.queries))
    members = task.members
    prototypes = members.T @ support / members.sum(axis=0)[:, None]
    distances = ((queries[:, None] - prototypes[None]) ** 2).sum(axis=2)
    hidden = np.tanh(weights.linear("sharpness.0", about))
    return softmax(-distances * np.exp(weights.linear("sharpness.2", hidden)))


def _embed(weights: Weights, rows: FloatArray, seen: FloatArray) -> FloatArray:
    """Shape (rows, features * coordinates): every feature by the same network, which sees how relevant it is."""
    values = np.concatenate([rows[..., None], np.broadcast_to(seen, (*rows.shape, seen.shape[1]))], axis=2)
    for layer in ("embedding.0", "embedding.2"):
        values = np.maximum(weights.linear(layer, values), 0.0)
    coordinates = weights.linear("embedding.4", values).reshape(len(rows), -1)
    found: FloatArray = coordinates / np.sqrt(rows.shape[1])
    return found


def _size(task: Task) -> FloatArray:
    n_rows, n_features = task.support.shape
    return np.log([task.n_classes, n_rows / task.n_classes, n_features]) / 3
