"""What networks learned, as it ships: arrays by name, and where they come from."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from app.metalearning.table import FloatArray

_DATA = Path(__file__).parents[2] / "networks" / "fewshot" / "data"


@dataclass(frozen=True)
class Weights:
    """Arrays by the name that PyTorch gave them."""

    arrays: dict[str, FloatArray]
    about: dict[str, Any]  # the plan of training: steps, seed, device, …
    losses: FloatArray  # of training, means over equal stretches of it

    def linear(self, name: str, rows: FloatArray) -> FloatArray:
        """A linear layer, with a bias where it has one."""
        found: FloatArray = rows @ self.arrays[f"{name}.weight"].T
        return found + self.arrays.get(f"{name}.bias", 0.0)

    def norm(self, name: str, rows: FloatArray) -> FloatArray:
        """Layer normalisation (Ba et al. 2016)."""
        centred = rows - rows.mean(axis=-1, keepdims=True)
        spread = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5)
        found: FloatArray = centred / spread * self.arrays[f"{name}.weight"] + self.arrays[f"{name}.bias"]
        return found


@cache
def shipped(name: str) -> Weights:
    """Those of the learner of this name."""
    return read(_DATA / f"{name}.npz")


def read(path: Path) -> Weights:
    """Those of a file."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {each: file[each] for each in file.files}
    about = json.loads(str(arrays.pop("about")))
    losses = arrays.pop("losses")
    return Weights({each: array.astype(np.float64) for each, array in arrays.items()}, about, losses)
