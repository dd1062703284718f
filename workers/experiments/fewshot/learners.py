"""The few-shot methods by name: each a function from a task to probabilities."""

from collections.abc import Callable
from functools import partial

from app.metalearning.fewshot.methods import Method
from app.metalearning.fewshot.task import Task
from app.metalearning.table import FloatArray
from workers.experiments.fewshot import adapting, classical, incontext, prototypical
from workers.experiments.fewshot.weights import Weights, shipped

Predict = Callable[[Weights, Task], FloatArray]

LEARNED: dict[Method, Predict] = {
    Method.PROTOTYPICAL: prototypical.predict,
    Method.MAML: adapting.predict,
    Method.IN_CONTEXT: incontext.predict,
}
_CLASSICAL = {
    Method.LOGISTIC_REGRESSION: classical.logistic_regression,
    Method.NEAREST: classical.nearest,
}


def learner(method: Method) -> Callable[[Task], FloatArray]:
    """From a task to probabilities, shape (queries, classes)."""
    if method in LEARNED:
        return partial(LEARNED[method], shipped(method))
    return _CLASSICAL[method]
