"""What a search knows when it chooses a trial: results, and trials whose results are still to come."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from app.metalearning.portfolio import Configuration
from app.metalearning.search import Spaces

Random = np.random.Generator


class Point(NamedTuple):
    """An algorithm with hyperparameters from its search space."""

    algorithm: str
    hyperparameters: dict[str, Any]


@dataclass(frozen=True)
class Seen:
    """What came of a configuration: its loss, None where it got no score."""

    configuration: Configuration
    loss: float | None

    @property
    def algorithm(self) -> str:
        """The name of its algorithm."""
        return self.configuration.algorithm.name


@dataclass(frozen=True)
class History:
    """Everything that may be known when a trial is chosen.

    A search of several trials at once chooses trial n by the results of the trials up to n - parallel, whether or not
    others have ended by then. So the same search makes the same trials with any number of workers, however quick they are.
    """

    spaces: Spaces
    seen: tuple[Seen, ...]
    pending: tuple[Configuration, ...]

    @property
    def scored(self) -> list[tuple[Seen, float]]:
        """What got a score, with its loss."""
        return [(each, each.loss) for each in self.seen if each.loss is not None]


class Sampler(Protocol):
    """A way of choosing the next trial: points, the most wanted first, until nothing more comes to its mind."""

    def __call__(self, history: History, random: Random) -> Iterator[Point]:
        """Points to try; those that the search knows already are passed over by who asks."""
        ...
