"""What training libraries learned, as arrays in files that hold numbers and names only."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from app.metalearning.metalearners.forest import ForestArrays
from app.metalearning.metalearners.lambdamart import RankingTrees
from app.metalearning.metalearners.networks import Networks
from app.metalearning.metalearners.pairwise import PairwiseTrees
from app.metalearning.metalearners.trees import Trees

Part = TypeVar("Part", bound=Trees)
_TREES = ("forest", "level", "pairwise", "ranking")
_NETWORKS = "networks_"  # how the arrays of networks are called in a file that holds everything


@dataclass(frozen=True)
class Trained:
    """The trees of every meta-learner that has some; `level` expects losses, the others rank. And networks, where there are."""

    forest: ForestArrays
    level: ForestArrays
    pairwise: PairwiseTrees
    ranking: RankingTrees
    networks: Networks | None = None

    def arrays(self) -> dict[str, Any]:
        """All arrays by name, for `numpy.savez`."""
        arrays = {
            f"{name}_{field.name}": getattr(getattr(self, name), field.name)
            for name in _TREES
            for field in fields(getattr(self, name))
        }
        if self.networks is not None:
            arrays |= {f"{_NETWORKS}{name}": array for name, array in self.networks.arrays().items()}
        return arrays

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, Any]) -> "Trained":
        """The inverse of `arrays`."""
        networks = {
            name.removeprefix(_NETWORKS): arrays[name] for name in arrays if name.startswith(_NETWORKS)
        }
        return cls(
            forest=_part(ForestArrays, "forest", arrays),
            level=_part(ForestArrays, "level", arrays),
            pairwise=_part(PairwiseTrees, "pairwise", arrays),
            ranking=_part(RankingTrees, "ranking", arrays),
            networks=Networks.of_arrays(networks) if networks else None,
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
