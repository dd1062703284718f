"""What every learner makes of a task first: features of different units, made alike by the labelled rows alone."""

import numpy as np

from app.metalearning.fewshot.task import Task
from app.metalearning.table import FloatArray

MOST_FEATURES = 32  # that the learners with a place for each feature see, the most relevant of all
CLIP = 5.0  # standard deviations


def scaled(task: Task) -> Task:
    """Features in standard deviations of the support: no query changes another's answer.

    What is constant in the support says nothing, and becomes zero.
    """
    mean, spread = task.support.mean(axis=0), task.support.std(axis=0)
    tells = spread > 1e-6 * (1 + np.abs(mean))
    scale = np.divide(1.0, spread, out=np.zeros_like(spread), where=tells)
    return Task((task.support - mean) * scale, task.labels, (task.queries - mean) * scale, task.n_classes)


def standardised(task: Task) -> tuple[Task, FloatArray]:
    """As the networks see it: scaled, clipped, the most relevant features first; and how relevant each is, (features,).

    Relevance is the correlation ratio in the support: which part of a feature's variance lies between the classes.
    """
    task = scaled(task)
    support, queries = (each.clip(-CLIP, CLIP) for each in (task.support, task.queries))
    sums = task.members.T @ support
    between = (sums**2 / task.members.sum(axis=0)[:, None]).sum(axis=0)
    total = (support**2).sum(axis=0)
    relevance = np.where(total > 0, between / np.maximum(total, 1e-12), 0.0)
    order = np.argsort(-np.round(relevance, 3), kind="stable")
    return Task(support[:, order], task.labels, queries[:, order], task.n_classes), relevance[order]


def padded(rows: FloatArray) -> FloatArray:
    """The first features in their places, the places that are left zero; the fewer there are, the larger."""
    count = min(rows.shape[1], MOST_FEATURES)
    filled = np.zeros((len(rows), MOST_FEATURES))
    filled[:, :count] = rows[:, :count] * np.sqrt(MOST_FEATURES / count)
    return filled


def softmax(scores: FloatArray) -> FloatArray:
    """Along the last axis."""
    weights: FloatArray = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares: FloatArray = weights / weights.sum(axis=-1, keepdims=True)
    return shares
