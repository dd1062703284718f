"""Search spaces: which hyperparameters an algorithm has, their types, ranges, scales and conditions."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.metalearning.table import TaskType


def _same(value: Any, other: Any) -> bool:
    """Whether two values are equal, where a truth value is no number; 1 is 1.0."""
    return bool(value == other) and isinstance(value, bool) == isinstance(other, bool)


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

    def position(self, value: Any) -> float | None:
        """Where a number lies, or the end of the range that is nearest to it; None of what is no number."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        inside = min(max(value, self.low), self.high)
        if self.log:
            return math.log(inside / self.low) / math.log(self.high / self.low)
        return (inside - self.low) / (self.high - self.low)

    def admits(self, value: Any) -> bool:
        """Whether the value is the default or in the range."""
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return _same(value, self.default) or (number and self.low <= value <= self.high)


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
        return min(math.floor(self._ends.at(position)), self.high)

    def position(self, value: Any) -> float | None:
        """The middle of the share of a number, or of the one in the range that is nearest to it; None of what is no number."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        inside = min(max(round(value), self.low), self.high)
        return (self._position_of(inside) + self._position_of(inside + 1)) / 2

    def _position_of(self, end: int) -> float:
        position = self._ends.position(end)
        assert position is not None, "it is a number"
        return position

    @property
    def _ends(self) -> Real:
        return Real(self.name, self.low, self.high + 1, self.log)

    def admits(self, value: Any) -> bool:
        """Whether the value is the default or in the range."""
        whole = isinstance(value, int) and not isinstance(value, bool)
        return _same(value, self.default) or (whole and self.low <= value <= self.high)


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

    def position(self, value: Any) -> float | None:
        """The middle of a value's share; None of what is none of them."""
        for index, each in enumerate(self.values):
            if _same(value, each):
                return (index + 0.5) / len(self.values)
        return None

    def admits(self, value: Any) -> bool:
        """Whether the value is the default or one of the values."""
        return any(_same(value, each) for each in (*self.values, self.default))


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
        at = dict(zip((each.name for each in self.hyperparameters), positions, strict=True))
        return self.chosen(lambda hyperparameter: at[hyperparameter.name])

    def chosen(self, position: Callable[[Hyperparameter], float]) -> dict[str, Any]:
        """The hyperparameters where each that counts is asked for its position, one after another."""
        values: dict[str, Any] = {}
        for hyperparameter in self.hyperparameters:
            if self.counts(hyperparameter, values):
                values[hyperparameter.name] = hyperparameter.at(position(hyperparameter))
        return values

    def positions(self, values: dict[str, Any]) -> dict[str, float]:
        """Where hyperparameters lie, by name, as near as the ranges allow: the inverse of `at`.

        One that is left out has the library's own value. What does not count, or has no position, is not there.
        """
        positions = {}
        for each in self.hyperparameters:
            position = each.position(values.get(each.name, each.default))
            if position is not None and self.counts(each, values):
                positions[each.name] = position
        return positions

    def effective(self, values: dict[str, Any]) -> dict[str, Any]:
        """The hyperparameters that count, with the library's own values where they are known and none is given."""
        known = {each.name: values.get(each.name, each.default) for each in self.hyperparameters}
        counting = (each.name for each in self.hyperparameters if self.counts(each, values))
        return {name: known[name] for name in counting if known[name] is not None}

    def why_not(self, values: dict[str, Any]) -> str | None:
        """The first reason why these hyperparameters are outside the space, as a phrase; None where they are inside."""
        known = {each.name: each for each in self.hyperparameters}
        for name, value in values.items():
            if name not in known:
                return f"{name!r} is no hyperparameter of the space"
            if not known[name].admits(value):
                return f"{name} = {value!r} is outside its range"
            if not self.counts(known[name], values):
                return f"{name} counts only under a condition that does not hold"
        return None

    def counts(self, hyperparameter: Hyperparameter, values: dict[str, Any]) -> bool:
        """Whether its condition holds where these values were chosen before it."""
        condition = hyperparameter.when
        if condition is None:
            return True
        defaults = {each.name: each.default for each in self.hyperparameters}
        return values.get(condition.name, defaults[condition.name]) in condition.values
