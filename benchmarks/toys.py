"""`make bench-toys OMNIGLOT=folder`: do the networks that learn to learn do so on the tasks of their papers?

What ships was trained by `make train-toys`; it is measured here on tasks that neither training nor any choice has seen: sine waves
of another seed, characters of other alphabets. Every measurement is kept in build/toys for the commit that it was taken at; a
run that was cut off goes on. Runs in .venv-deep.
"""

# ruff: noqa: E402  threads are fixed before any numeric library loads
from app.config import pin_threads

pin_threads()

import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from app.metalearning.table import FloatArray
from benchmarks.recording import ROOT, kept, record
from benchmarks.toys_page import figures_of, write_page
from benchmarks.versions import code
from workers.networks.toys import characters, omniglot, sinusoids, weights
from workers.networks.training import seeded

N_TASKS = 1_000
SEED = sinusoids.VALIDATION_SEED + 1  # of the tasks that are measured
PIXELS = "pixels"  # prototypes of the images as they are: what is there without any learning


def main() -> None:
    """Measure what is not kept, show it, and record it."""
    folder = os.environ.get("OMNIGLOT")
    if not folder:
        sys.exit("OMNIGLOT names no folder with Omniglot's two small background sets.")
    torch.set_num_threads(1)
    parts = ROOT / "build" / "toys" / code()
    waves = {
        method: kept(parts, f"sinusoids {method}", partial(on_waves, method)) for method in sinusoids.METHODS
    }
    images = omniglot.read(Path(folder), omniglot.TEST)
    told_apart = {
        f"{method} {shots}-shot": kept(
            parts, f"omniglot {method} {shots}-shot", partial(on_characters, method, shots, images)
        )
        for shots in characters.SHOTS
        for method in (PIXELS, *characters.METHODS)
    }
    record("toys", figures_of(waves, told_apart))
    write_page(waves, told_apart)


def on_waves(method: str) -> dict[str, Any]:
    """The error of a method step by step, and what it makes of the first wave."""
    network = seeded(sinusoids.make_network, 0)
    training = {}
    if method in sinusoids.TRAINED:
        training = _told(weights.load(network, weights.path_of(sinusoids.name_of(method))))
    rate = sinusoids.chosen_rate(method, network)
    learned = sinusoids.learn(network, rate, N_TASKS, SEED)
    first = {
        "known": learned.known[:, 0].tolist(),
        "truth": learned.truth[:, 0].tolist(),
        "predicted": learned.predicted[:, 0].tolist(),
    }
    return {**training, "rate": rate, **_interval(learned.errors), "first wave": first}


def on_characters(method: str, shots: int, images: Tensor) -> dict[str, Any]:
    """The accuracy of a method in five-way tasks."""
    training = {}
    if method == PIXELS:
        network: nn.Module = nn.Flatten()
    else:
        network = seeded(partial(characters.make_network, method), 0)
        training = _told(weights.load(network, weights.path_of(characters.name_of(method, shots))))
    how = "prototypes" if method == PIXELS else method
    generator = torch.Generator().manual_seed(SEED)
    found = characters.accuracies(how, shots, network, images, N_TASKS, generator)
    return {**training, **_interval(found)}


def _interval(values: FloatArray) -> dict[str, Any]:
    """The mean over tasks, the first dimension, and half of its 95 % interval."""
    half = 1.96 * values.std(axis=0, ddof=1) / np.sqrt(len(values))
    return {"mean": values.mean(axis=0).tolist(), "half": half.tolist()}


def _told(training: weights.Training) -> dict[str, Any]:
    return {
        "losses": training.losses.tolist(),
        "steps": training.steps,
        "cpu_seconds": training.cpu_seconds,
        "gpu": training.gpu,
    }


if __name__ == "__main__":
    main()
