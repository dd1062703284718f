"""What a few-shot learner has to beat: logistic regression, and the label of the nearest row."""

import numpy as np
from sklearn.linear_model import LogisticRegression

from app.metalearning.fewshot.task import Task
from app.metalearning.table import FloatArray
from workers.experiments.fewshot.standardising import scaled

_MOST_ITERATIONS = 1000


def logistic_regression(task: Task) -> FloatArray:
    """Probabilities, shape (queries, classes), of scikit-learn's model on scaled features, all classes weighing the same."""
    task = scaled(task)
    model = LogisticRegression(class_weight="balanced", max_iter=_MOST_ITERATIONS)
    found: FloatArray = model.fit(task.support, task.labels).predict_proba(task.queries)
    return found


def nearest(task: Task) -> FloatArray:
    """Shape (queries, classes): one for the class of the nearest row by scaled features, zero for the others."""
    task = scaled(task)
    return np.stack([task.members[((task.support - row) ** 2).sum(axis=1).argmin()] for row in task.queries])
