"""Choosing trials without a model: at random (Bergstra and Bengio 2012), or from a grid."""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from app.metalearning.portfolio.spaces import Hyperparameter, Integer, Real, Space
from app.metalearning.search import grid_points
from workers.experiments.search.history import History, Point, Random

# After so many draws that are all known already, what is left of small spaces is tried in order.
_MOST_DRAWS = 200
_MOST_COUNTED = 10_000


def at_random(history: History, random: Random) -> Iterator[Point]:
    """Algorithms with equal chances, hyperparameters evenly over their ranges."""
    names = list(history.spaces)
    for _ in range(_MOST_DRAWS):
        name = names[int(random.integers(len(names)))]
        yield Point(name, draw(history.spaces[name], random))
    for name, space in history.spaces.items():
        values = _all_values(space)
        if values is not None:
            for chosen in itertools.product(*values):
                yield Point(name, _counting(space, chosen))


def draw(space: Space, random: Random) -> dict[str, object]:
    """A point of the space, evenly."""
    return space.at(random.random(len(space.hyperparameters)).tolist())


class Grid:
    """Every combination of a few values of each hyperparameter.

    In an order that is drawn by the seed, one algorithm after the other, since most grids are larger than a budget and the
    first of a grid in order are all alike.
    """

    def __init__(self, points_per_number: int, seed: int) -> None:
        self.points_per_number = points_per_number
        self.seed = seed

    def __call__(self, history: History, random: Random) -> Iterator[Point]:  # noqa: ARG002  a Sampler
        """The whole grid; which of its points comes first does not depend on what was seen."""
        grids = {name: self._of(name, space) for name, space in history.spaces.items()}
        while grids:
            for name in list(grids):
                point = next(grids[name], None)
                if point is None:
                    del grids[name]
                else:
                    yield point

    def _of(self, name: str, space: Space) -> Iterator[Point]:
        values = grid_points(space, self.points_per_number)
        for index in _shuffled(math.prod(map(len, values)), self.seed):
            chosen, rest = [], index
            for each in values:
                rest, position = divmod(rest, len(each))
                chosen.append(each[position])
            yield Point(name, _counting(space, chosen))


def _counting(space: Space, values: Sequence[Any]) -> dict[str, Any]:
    """One value of every hyperparameter, without those that do not count beside the others."""
    chosen: dict[str, Any] = {}
    for hyperparameter, value in zip(space.hyperparameters, values, strict=True):
        if space.counts(hyperparameter, chosen):
            chosen[hyperparameter.name] = value
    return chosen


def _all_values(space: Space) -> list[Sequence[Any]] | None:
    """Every value of every hyperparameter; None where these are too many to count."""
    values = [_values(each) for each in space.hyperparameters]
    sizes = [math.inf if each is None else len(each) for each in values]
    return [each for each in values if each is not None] if math.prod(sizes) <= _MOST_COUNTED else None


def _values(hyperparameter: Hyperparameter) -> Sequence[Any] | None:
    if isinstance(hyperparameter, Real):
        return None
    if isinstance(hyperparameter, Integer):
        return range(hyperparameter.low, hyperparameter.high + 1)
    return hyperparameter.values


def _shuffled(size: int, seed: int) -> Iterator[int]:
    """The numbers below `size` in an order of their own, one after another: a grid may have billions of points.

    A step that shares no divisor with the size comes by every number once.
    """
    if size <= _MOST_COUNTED:
        yield from np.random.default_rng(seed).permutation(size).tolist()
        return
    step = max(1, int(size * 0.6180339887) + seed)
    while math.gcd(step, size) != 1:
        step += 1
    at = seed % size
    for _ in range(size):
        yield at
        at = (at + step) % size
