"""What networks learned of ranking, as arrays: trained where PyTorch is, served where it is not.

They take metafeatures and results alone, so that they go on answering while the evidence grows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from app.metalearning.metalearners.embedding import Encoder
from app.metalearning.metalearners.layers import Weights
from app.metalearning.metalearners.multitask import SharedNetwork
from app.metalearning.metalearners.recurrent import Recurrent
from app.metalearning.metalearners.surrogate import Surrogate
from app.metalearning.scaling import QuantileScale
from app.metalearning.table import FloatArray

_BETWEEN = "/"  # network and array in a file


@dataclass(frozen=True)
class Networks:
    """The weights of every network by name, and what they were trained on."""

    configurations: tuple[str, ...]  # what they choose among
    known: FloatArray  # (datasets, metafeatures)
    weights: Mapping[str, Weights]

    @cached_property
    def _scale(self) -> QuantileScale:
        return QuantileScale(self.known)

    @property
    def encoder(self) -> Encoder:
        """What metric learning gave."""
        return Encoder(self.weights["embedding"], self._scale)

    @property
    def shared(self) -> SharedNetwork:
        """What multi-task learning gave."""
        return SharedNetwork(self.weights["multitask"], self._scale)

    @property
    def recurrent(self) -> Recurrent:
        """The recurrent recommender."""
        return Recurrent(self.weights["recurrent"], self._scale)

    @property
    def surrogate(self) -> Surrogate:
        """What MAML gave."""
        return Surrogate(self.weights["surrogate"], self._scale)

    def arrays(self) -> dict[str, Any]:
        """All arrays by name, for `numpy.savez`."""
        return {"configurations": np.array(self.configurations), "known": self.known} | {
            f"{network}{_BETWEEN}{name}": array
            for network, weights in self.weights.items()
            for name, array in weights.items()
        }

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, Any]) -> "Networks":
        """The inverse of `arrays`."""
        weights: dict[str, dict[str, FloatArray]] = {}
        for name in arrays:
            network, between, array = name.partition(_BETWEEN)
            if between:
                weights.setdefault(network, {})[array] = np.asarray(arrays[name], dtype=np.float64)
        return cls(
            tuple(arrays["configurations"].tolist()), np.asarray(arrays["known"], dtype=np.float64), weights
        )

    def save(self, path: Path) -> None:
        """Write the arrays."""
        with path.open("wb") as file:
            np.savez_compressed(file, **self.arrays())

    @classmethod
    def load(cls, path: Path) -> "Networks":
        """Read what `save` wrote, refusing anything but numbers."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls.of_arrays({name: arrays[name] for name in arrays.files})
