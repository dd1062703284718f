"""Choosing trials without a model: at random (Bergstra and Bengio 2012), or from a grid."""

import math
from collections.abc import Iterator

from app.metalearning.portfolio.spaces import Space
from app.metalearning.search import grid_points
from workers.experiments.search.history import History, Point, Random

# Where so many draws are all known already, a space is taken for exhausted.
_MOST_DRAWS = 200


def at_random(history: History, random: Random) -> Iterator[Point]:
    """Algorithms with equal chances, hyperparameters evenly over their ranges."""
    names = list(history.spaces)
    for _ in range(_MOST_DRAWS):
        name = names[int(random.integers(len(names)))]
        yield Point(name, draw(history.spaces[name], random))


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
        sizes = [len(each) for each in values]
        for index in _shuffled(math.prod(sizes), self.seed):
            chosen: dict[str, object] = {}
            rest = index
            for hyperparameter, each in zip(space.hyperparameters, values, strict=True):
                rest, position = divmod(rest, len(each))
                if space.counts(hyperparameter, chosen):
                    chosen[hyperparameter.name] = each[position]
            yield Point(name, chosen)


def _shuffled(size: int, seed: int) -> Iterator[int]:
    """The numbers below `size` in an order of their own, one after another: a grid may have billions of points.

    A step that shares no divisor with the size comes by every number once.
    """
    step = max(1, int(size * 0.6180339887) + seed)
    while math.gcd(step, size) != 1:
        step += 1
    at = seed % size
    for _ in range(size):
        yield at
        at = (at + step) % size
