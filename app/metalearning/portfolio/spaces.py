"""Search spaces: which hyperparameters an algorithm has, their types, ranges, scales and conditions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from app.metalearning.table import TaskType


@dataclass(frozen=True)
class Condition:
    """A hyperparameter counts only while another one has one of these values."""

    name: str
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Real:
    """A number from `low` to `high`, searched on a logarithmic scale where `log` is set."""

    name: str
    low: float
    high: float
    log: bool = False
    default: Any = None  # the library's own value, admissible even outside the range
    when: Condition | None = None
    only: TaskType | None = None

    def at(self, position: float) -> float:
        """The value at a position between 0 and 1."""
        if not self.log:
            return self.low + position * (self.high - self.low)
        value = math.exp(math.log(self.low) + position * math.log(self.high / self.low))
        return min(max(value, self.low), self.high)  # rounding must not leave the range

    def admits(self, value: Any) -> bool:
        """Whether the value is the default or in the range."""
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return value == self.default or (number and self.low <= value <= self.high)


@dataclass(frozen=True)
class Integer:
    """A whole number from `low` to `high`, both included."""

    name: str
    low: int
    high: int
    log: bool = False
    default: Any = None
    when: Condition | None = None
    only: TaskType | None = None

    def at(self, position: float) -> int:
        """The value at a position between 0 and 1; every value has its share."""
        ends = Real(self.name, self.low, self.high + 1, self.log)
        return min(math.floor(ends.at(position)), self.high)

    def admits(self, value: Any) -> bool:
        """Whether the value is the default or in the range."""
        whole = isinstance(value, int) and not isinstance(value, bool)
        return value == self.default or (whole and self.low <= value <= self.high)


@dataclass(frozen=True)
class Choice:
    """One of a few values."""

    name: str
    values: tuple[Any, ...]
    default: Any = None
    when: Condition | None = None
    only: TaskType | None = None

    def at(self, position: float) -> Any:
        """The value at a position between 0 and 1."""
        return self.values[min(int(position * len(self.values)), len(self.values) - 1)]

    def admits(self, value: Any) -> bool:
        """Whether the value is the default or one of the values, of the same type."""
        return any(value == each and type(value) is type(each) for each in (*self.values, self.default))


Hyperparameter = Real | Integer | Choice


@dataclass(frozen=True)
class Space:
    """The hyperparameters of one algorithm for one task type; a condition names one that comes before."""

    hyperparameters: tuple[Hyperparameter, ...] = field(default=())

    def at(self, positions: Sequence[float]) -> dict[str, Any]:
        """The hyperparameters at a point of the unit cube; those whose condition does not hold are left out.

        Args:
            positions: shape (hyperparameters,), each from 0 to 1, from a random or quasi-random sequence or a grid.
        """
        values: dict[str, Any] = {}
        for hyperparameter, position in zip(self.hyperparameters, positions, strict=True):
            if self._counts(hyperparameter, values):
                values[hyperparameter.name] = hyperparameter.at(position)
        return values

    def why_not(self, values: dict[str, Any]) -> str | None:
        """The first reason why these hyperparameters are outside the space, as a phrase; None where they are inside."""
        known = {each.name: each for each in self.hyperparameters}
        for name, value in values.items():
            if name not in known:
                return f"{name!r} is no hyperparameter of the space"
            if not known[name].admits(value):
                return f"{name} = {value!r} is outside its range"
            if not self._counts(known[name], values):
                return f"{name} counts only under a condition that does not hold"
        return None

    def _counts(self, hyperparameter: Hyperparameter, values: dict[str, Any]) -> bool:
        condition = hyperparameter.when
        if condition is None:
            return True
        defaults = {each.name: each.default for each in self.hyperparameters}
        return values.get(condition.name, defaults[condition.name]) in condition.values
