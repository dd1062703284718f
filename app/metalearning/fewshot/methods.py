"""The ways of answering from few rows, and which of them has been measured to be the best for so many."""

import json
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

from app.errors import BeyondMethodError
from app.metalearning.fewshot.task import Task

CHOICES = Path(__file__).with_name("choices.json")


class Method(StrEnum):
    """By name, as requests have it."""

    AUTO = "auto"
    PROTOTYPICAL = "prototypical"
    MAML = "maml"
    IN_CONTEXT = "in_context"
    LOGISTIC_REGRESSION = "logistic_regression"
    NEAREST = "nearest"


DEFAULT = Method.LOGISTIC_REGRESSION  # which `auto` leaves only for what was measured to be better
_MOST_CLASSES = {Method.IN_CONTEXT: 10, Method.MAML: 10}  # of the networks with a place for each
_NARROW = 10  # features


@dataclass(frozen=True)
class Choice:
    """A method and the reason for it."""

    method: Method
    because: str


def choose(asked: Method, task: Task) -> Choice:
    """The method that was asked for; of `auto` the one that won on datasets like this.

    Raises: BeyondMethodError.
    """
    if asked is not Method.AUTO:
        _check_classes(asked, task)
        return Choice(asked, "It was asked for.")
    cell = cell_of(task)
    method = _choices().get(cell, DEFAULT)
    if task.n_classes > _MOST_CLASSES.get(method, task.n_classes):
        return Choice(
            DEFAULT, f"{method}, the best with {cell}, does not tell {task.n_classes} classes apart."
        )
    why = "nothing was measured to be better" if method is DEFAULT else "it was measured to be the best"
    return Choice(method, f"With {cell}, {why}.")


def cell_of(task: Task) -> str:
    """What the choice depends on, in words."""
    nearest = min(ROWS_PER_CLASS, key=lambda rows: abs(rows - task.rows_per_class))
    width = f"up to {_NARROW} features" if task.n_features <= _NARROW else f"more than {_NARROW} features"
    return f"about {nearest} rows per class and {width}"


ROWS_PER_CLASS = (1, 2, 5, 10, 20)  # that methods were measured with


def _check_classes(method: Method, task: Task) -> None:
    most = _MOST_CLASSES.get(method, task.n_classes)
    if task.n_classes > most:
        raise BeyondMethodError(
            f"{method} tells up to {most} classes apart, and there are {task.n_classes}.",
            "Choose another method, or leave it to auto.",
            most=most,
            n_classes=task.n_classes,
        )


@cache
def _choices() -> dict[str, Method]:
    """By cell; `make bench-fewshot` writes it from datasets on which its figures are not reported."""
    return {cell: Method(name) for cell, name in json.loads(CHOICES.read_text()).items()}
