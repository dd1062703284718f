"""What training libraries learned, as arrays in one file that holds numbers only."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from app.metalearning.metalearners.forest import ForestArrays
from app.metalearning.metalearners.lambdamart import RankingTrees
from app.metalearning.metalearners.pairwise import PairwiseTrees
from app.metalearning.metalearners.trees import Trees

Part = TypeVar("Part", bound=Trees)


@dataclass(frozen=True)
class Trained:
    """The trees of every meta-learner that has some; `level` expects losses, the others rank."""

    forest: ForestArrays
    level: ForestArrays
    pairwise: PairwiseTrees
    ranking: RankingTrees

    def arrays(self) -> dict[str, Any]:
        """All arrays by name, for `numpy.savez`."""
        return {
            f"{part.name}_{field.name}": getattr(getattr(self, part.name), field.name)
            for part in fields(self)
            for field in fields(getattr(self, part.name))
        }

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, Any]) -> "Trained":
        """The inverse of `arrays`."""
        return cls(
            forest=_part(ForestArrays, "forest", arrays),
            level=_part(ForestArrays, "level", arrays),
            pairwise=_part(PairwiseTrees, "pairwise", arrays),
            ranking=_part(RankingTrees, "ranking", arrays),
        )

    def save(self, path: Path) -> None:
        """Write the arrays."""
        with path.open("wb") as file:
            np.savez_compressed(file, **self.arrays())

    @classmethod
    def load(cls, path: Path) -> "Trained":
        """Read what `save` wrote, refusing anything but numbers."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls.of_arrays(arrays)


def _part(kind: type[Part], name: str, arrays: Mapping[str, Any]) -> Part:
    return kind(**{field.name: arrays[f"{name}_{field.name}"] for field in fields(kind)})
