"""What a search may try: the search spaces of its algorithms, made narrower where somebody wishes so."""

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from app.errors import SearchSpaceError
from app.metalearning.portfolio import ALGORITHMS
from app.metalearning.portfolio.spaces import Choice, Hyperparameter, Integer, Real, Space
from app.metalearning.table import TaskType

Spaces = dict[str, Space]  # by algorithm
_LARGEST = 2**53  # whole numbers beyond are not all floats


class Method(StrEnum):
    """How a search finds what to try next."""

    RANDOM = "random"
    GRID = "grid"
    TPE = "tpe"
    GP = "gp"
    ASHA = "asha"
    HYPERBAND = "hyperband"


@dataclass(frozen=True)
class Wish:
    """A narrower range of one hyperparameter: its ends, of which either may be left out, or the only values."""

    low: float | None = None
    high: float | None = None
    values: Sequence[Any] | None = None


Wishes = Mapping[str, Mapping[str, Wish]]  # by algorithm and hyperparameter


def as_wishes(space: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Wishes:
    """Wishes as a request holds them."""
    return {
        algorithm: {
            name: Wish(wish.get("low"), wish.get("high"), wish.get("values")) for name, wish in wishes.items()
        }
        for algorithm, wishes in space.items()
    }


def spaces_of(algorithms: Iterable[str], task_type: TaskType, wishes: Wishes) -> Spaces:
    """The search space of every algorithm, each as narrow as is wished.

    Raises: SearchSpaceError where the wishes contradict the algorithms, or each other.
    """
    names = list(algorithms)
    for name in wishes:
        if name not in names:
            raise SearchSpaceError(
                f"space speaks of {name[:100]!r}, which this search does not try.",
                f"It tries {', '.join(names)}.",
            )
    return {name: narrowed(name, ALGORITHMS[name].space(task_type), wishes.get(name, {})) for name in names}


def narrowed(algorithm: str, space: Space, wishes: Mapping[str, Wish]) -> Space:
    """The space with the ranges that are wished.

    Raises: SearchSpaceError.
    """
    known = {each.name: each for each in space.hyperparameters}
    for name in wishes:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3) or sorted(known)
            raise SearchSpaceError(
                f"{algorithm} has no hyperparameter {name[:100]!r} in its search space.",
                f"It has {', '.join(near)}.",
            )
    found = Space(
        tuple(
            _narrow(algorithm, each, wishes[each.name]) if each.name in wishes else each
            for each in space.hyperparameters
        )
    )
    for name in wishes:
        _check_condition(algorithm, found, name)
    return found


def lies_in(space: Space, wished: Iterable[str], values: dict[str, Any]) -> bool:
    """Whether hyperparameters lie in a narrowed space; what they leave out has the library's own value."""
    positions = space.positions(values)
    of_name = {each.name: each for each in space.hyperparameters}
    unknown = (name for name in wished if name not in positions and space.counts(of_name[name], values))
    return space.why_not(values) is None and not any(unknown)


def grid_points(space: Space, per_number: int) -> list[list[Any]]:
    """The values of every hyperparameter that a grid crosses: so many of each range, and every choice."""
    return [_points(each, per_number) for each in space.hyperparameters]


def grid_size(space: Space, per_number: int) -> int:
    """How many points the grid has; those that differ only in what does not count are the same configuration."""
    return math.prod(len(points) for points in grid_points(space, per_number))


def _points(hyperparameter: Hyperparameter, per_number: int) -> list[Any]:
    if isinstance(hyperparameter, Choice):
        return list(hyperparameter.values)
    at = [index / (per_number - 1) for index in range(per_number)] if per_number > 1 else [0.5]
    return list(dict.fromkeys(hyperparameter.at(position) for position in at))


def _narrow(algorithm: str, hyperparameter: Hyperparameter, wish: Wish) -> Hyperparameter:
    name = f"{algorithm}.{hyperparameter.name}"
    if wish.values is not None:
        return _choice(name, hyperparameter, wish.values)
    if isinstance(hyperparameter, Choice):
        raise SearchSpaceError(
            f"{name} is one of {_listed(hyperparameter.values)}, and has no ends.",
            "Send the values that it may have.",
        )
    low = hyperparameter.low if wish.low is None else wish.low
    high = hyperparameter.high if wish.high is None else wish.high
    if low > high:
        raise SearchSpaceError(
            f"{name} would lie from {low:g} to {high:g}.", "Let low be no greater than high."
        )
    for end in (low, high):
        if not hyperparameter.low <= end <= hyperparameter.high:
            raise SearchSpaceError(
                f"{name} = {end:g} is outside its range, {hyperparameter.low:g} to {hyperparameter.high:g}.",
                "Choose ends inside it.",
            )
    if isinstance(hyperparameter, Integer) and (low != int(low) or high != int(high)):
        raise SearchSpaceError(f"{name} is a whole number.", "Choose ends that are whole numbers.")
    if low == high:
        return _choice(name, hyperparameter, (low,))
    own = hyperparameter.default
    default = own if hyperparameter.position(own) is not None and low <= own <= high else None
    if isinstance(hyperparameter, Integer):
        return replace(hyperparameter, low=int(low), high=int(high), default=default)
    return replace(hyperparameter, low=float(low), high=float(high), default=default)


def _choice(name: str, hyperparameter: Hyperparameter, wished: Sequence[Any]) -> Choice:
    values = [_as_declared(hyperparameter, value) for value in wished]
    for value in values:
        if value is None or not hyperparameter.admits(value):
            within = (
                f"one of {_listed(hyperparameter.values)}"
                if isinstance(hyperparameter, Choice)
                else f"{hyperparameter.low:g} to {hyperparameter.high:g}"
            )
            raise SearchSpaceError(
                f"{name} = {value!r:.100} is outside its range, {within}.", "Choose others."
            )
    distinct = tuple(dict.fromkeys(values))
    default = hyperparameter.default if hyperparameter.default in distinct else None
    return Choice(hyperparameter.name, distinct, default, hyperparameter.when, hyperparameter.only)


def _as_declared(hyperparameter: Hyperparameter, value: Any) -> Any:
    """JSON has no tuples, and writes 1 for 1.0."""
    if isinstance(value, list):
        value = tuple(value)
    if isinstance(hyperparameter, Choice):
        position = hyperparameter.position(value)
        return value if position is None else hyperparameter.at(position)
    if isinstance(hyperparameter, Real) and type(value) is int and abs(value) <= _LARGEST:
        return float(value)
    if isinstance(hyperparameter, Integer) and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _check_condition(algorithm: str, space: Space, name: str) -> None:
    """Refuse a wish about what never counts."""
    of_name = {each.name: each for each in space.hyperparameters}
    condition = of_name[name].when
    if condition is None:
        return
    decides = of_name[condition.name]
    possible = decides.values if isinstance(decides, Choice) else condition.values
    if not set(possible) & set(condition.values):
        raise SearchSpaceError(
            f"{algorithm}.{name} counts only while {condition.name} is {_listed(condition.values)}, which the space leaves out.",
            f"Leave {name} out of the space, or let {condition.name} be one of these.",
        )


def _listed(values: Iterable[Any]) -> str:
    return ", ".join(map(str, values))
