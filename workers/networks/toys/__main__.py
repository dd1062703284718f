"""`make train-toys OMNIGLOT=folder`: train the networks of the papers' own tasks, whose weights ship.

Checkpoints are in build/toys; a run that was cut off goes on. What has weights already is not trained again.
"""

# ruff: noqa: E402  threads are fixed before any numeric library loads
from app.config import pin_threads

pin_threads()

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from rich.progress import track
from torch import nn

from workers.networks.toys import characters, omniglot, sinusoids, weights
from workers.networks.training import Loss, Plan, device, seeded, train

CHECKPOINTS = Path("build/toys")


@dataclass(frozen=True)
class Toy:
    """A network that is trained on the tasks of a paper."""

    name: str  # of its files too
    make: Callable[[], nn.Module]
    loss_of: Callable[[nn.Module], Loss]
    plan: Plan


def main() -> None:
    """Train what has no weights yet."""
    folder = os.environ.get("OMNIGLOT")
    if not folder:
        sys.exit("OMNIGLOT names no folder with Omniglot's two small background sets.")
    torch.set_num_threads(1)
    for toy in toys(Path(folder)):
        if not weights.path_of(toy.name).exists():
            train_toy(toy)


def toys(folder: Path) -> Iterator[Toy]:
    """Sine waves first, then characters; the folder holds Omniglot."""
    for method in sinusoids.TRAINED:
        loss_of = partial(sinusoids.loss_of, method)
        yield Toy(sinusoids.name_of(method), sinusoids.make_network, loss_of, sinusoids.plan_of(method))
    images = omniglot.read(folder, omniglot.TRAINING)
    gpu = device().type == "cuda"
    for method, shots in characters.TRAINED:
        yield Toy(
            characters.name_of(method, shots),
            partial(characters.make_network, method),
            partial(characters.loss_of, method, shots, images),
            characters.plan_of(method, shots, gpu=gpu),
        )


def train_toy(toy: Toy) -> None:
    """Train one and keep its weights; its seconds are scaled up where an earlier run had done a part."""
    network = seeded(toy.make, toy.plan.seed)
    done = 0

    def follow(steps: Iterable[int], _: int) -> Iterable[int]:
        nonlocal done
        for step in track(steps, toy.name):
            yield step
            done += 1

    began = time.process_time()
    losses = train(network, toy.loss_of(network), toy.plan, CHECKPOINTS / f"{toy.name}.pt", follow)
    seconds = (time.process_time() - began) / max(done, 1) * len(losses)
    weights.save(network, weights.Training.of(losses, seconds), weights.path_of(toy.name))


if __name__ == "__main__":
    main()
