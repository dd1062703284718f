"""The in-context learner of `workers/networks/fewshot/incontext.py` (after Müller et al. 2022 and Hollmann et al. 2023), in NumPy."""

import numpy as np

from app.metalearning.fewshot.task import Task
from app.metalearning.table import FloatArray
from workers.experiments.fewshot.standardising import padded, softmax, standardised
from workers.experiments.fewshot.weights import Weights

MOST_CLASSES = 10
_HEADS, _LAYERS = 4, 4
_FLOOR = 1e-3
_QUERIES_AT_ONCE = 200


def predict(weights: Weights, task: Task) -> FloatArray:
    """Probabilities, shape (queries, classes): rows attend to the labelled ones, layer by layer."""
    task, _ = standardised(task)
    members = task.members
    labels = np.zeros((len(members), MOST_CLASSES))
    labels[:, : task.n_classes] = members
    tokens = _rows(weights, task.support) + weights.linear("label", labels)
    support = [tokens]
    for layer in range(_LAYERS):
        support.append(_layer(weights, f"layers.{layer}", support[-1], support[-1]))
    parts = np.array_split(task.queries, np.arange(_QUERIES_AT_ONCE, len(task.queries), _QUERIES_AT_ONCE))
    return np.concatenate([_answers(weights, support, each, members) for each in parts])


def _answers(
    weights: Weights, support: list[FloatArray], queries: FloatArray, members: FloatArray
) -> FloatArray:
    """A class is as likely as the mean weight of its rows in the last attention, the mean over heads."""
    tokens = _rows(weights, queries)
    for layer in range(_LAYERS):
        tokens = _layer(weights, f"layers.{layer}", tokens, support[layer])
    asked = _heads(weights.linear("asked", weights.norm("norm", tokens)))
    known = _heads(weights.linear("known", weights.norm("norm", support[-1])))
    attention = softmax(asked @ known.transpose(0, 2, 1) / np.sqrt(asked.shape[2]))
    of_classes = attention @ (members / members.sum(axis=0))
    shares = (of_classes / of_classes.sum(axis=2, keepdims=True)).mean(axis=0)
    found: FloatArray = (1 - _FLOOR) * shares + _FLOOR / members.shape[1]
    return found


def _rows(weights: Weights, rows: FloatArray) -> FloatArray:
    hidden = np.maximum(weights.linear("row.0", padded(rows)), 0.0)
    return weights.linear("row.2", hidden)


def _layer(weights: Weights, name: str, tokens: FloatArray, known: FloatArray) -> FloatArray:
    """Attention of the tokens to what is known, then a network for each token, both added to what was there."""
    asked = _heads(weights.linear(f"{name}.query", weights.norm(f"{name}.before", tokens)))
    known = weights.norm(f"{name}.before", known)
    key, value = (_heads(weights.linear(f"{name}.{each}", known)) for each in ("key", "value"))
    found = softmax(asked @ key.transpose(0, 2, 1) / np.sqrt(asked.shape[2])) @ value
    tokens = tokens + weights.linear(f"{name}.out", found.transpose(1, 0, 2).reshape(tokens.shape))
    hidden = np.maximum(weights.linear(f"{name}.wide", weights.norm(f"{name}.between", tokens)), 0.0)
    return tokens + weights.linear(f"{name}.narrow", hidden)


def _heads(tokens: FloatArray) -> FloatArray:
    """Shape (heads, tokens, width of a head)."""
    return tokens.reshape(len(tokens), _HEADS, -1).transpose(1, 0, 2)
