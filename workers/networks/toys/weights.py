"""Trained networks as they ship: half-precision arrays in one file that holds numbers only, with how the training went."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from app.metalearning.table import FloatArray

DATA = Path(__file__).parent / "data"
_N_LOSSES = 200  # that are kept of a training
_WEIGHT = "weight/"


@dataclass(frozen=True)
class Training:
    """What is told of a training."""

    losses: FloatArray  # means over equal stretches of it, or of every step where it was short
    steps: int
    cpu_seconds: float
    gpu: bool

    @classmethod
    def of(cls, losses: FloatArray, cpu_seconds: float) -> "Training":
        """A training just over, with the loss of every step."""
        stretches = np.array_split(losses, min(_N_LOSSES, len(losses)))
        means = np.array([stretch.mean() for stretch in stretches])
        return cls(means, len(losses), cpu_seconds, torch.cuda.is_available())


def path_of(name: str) -> Path:
    """Where a network's weights ship."""
    return DATA / f"{name}.npz"


def save(network: nn.Module, training: Training, path: Path) -> None:
    """Write the weights, rounded to half precision, and what is told of their training."""
    weights = {_WEIGHT + name: value.half().cpu().numpy() for name, value in network.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        np.savez_compressed(
            file,
            **weights,
            losses=training.losses.astype(np.float32),
            steps=np.array(training.steps),
            cpu_seconds=np.array(training.cpu_seconds),
            gpu=np.array(training.gpu),
        )


def load(network: nn.Module, path: Path) -> Training:
    """Give the network the weights that `save` wrote, refusing anything but numbers."""
    with np.load(path, allow_pickle=False) as arrays:
        weights = {
            name.removeprefix(_WEIGHT): torch.from_numpy(arrays[name].astype(np.float32))
            for name in arrays.files
            if name.startswith(_WEIGHT)
        }
        network.load_state_dict(weights)
        return Training(
            arrays["losses"].astype(np.float64),
            int(arrays["steps"]),
            float(arrays["cpu_seconds"]),
            bool(arrays["gpu"]),
        )
