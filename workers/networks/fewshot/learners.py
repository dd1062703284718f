"""How the few-shot learners are trained on generated tasks, and what ships of them."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from rich.progress import track
from torch import Tensor, nn

from app.metalearning.table import FloatArray
from workers.networks.fewshot.adapting import Adapting
from workers.networks.fewshot.incontext import InContext
from workers.networks.fewshot.prototypical import Prototypical
from workers.networks.fewshot.tasks import Tasks, draw
from workers.networks.training import Plan, device, seeded, train

TASKS_A_STEP = 24
_POINTS = 100  # of the loss that are kept

LEARNERS: dict[str, tuple[type[nn.Module], Plan]] = {
    "prototypical": (Prototypical, Plan(steps=2_000, rate=3e-3, decay=1e-4)),
    "in_context": (InContext, Plan(steps=5_200, rate=1e-3, decay=1e-2)),
    "maml": (Adapting, Plan(steps=1_500, rate=2e-3)),
}


def trained(
    make: type[nn.Module], plan: Plan, checkpoint: Path | None = None
) -> tuple[nn.Module, FloatArray]:
    """The network, and the loss of every step."""
    network = seeded(make, plan.seed)

    def loss(generator: torch.Generator) -> Tensor:
        return cross_entropy(network, draw(generator, TASKS_A_STEP).to(device()))

    return network, train(network, loss, plan, checkpoint, _told)


def cross_entropy(network: nn.Module, tasks: Tasks) -> Tensor:
    """Of the queries, the mean of a batch; 1 is what guessing costs, whatever the number of classes."""
    found = nn.functional.nll_loss(network(tasks).flatten(0, 1), tasks.answers.flatten())
    return found / float(np.log(tasks.n_classes))


def ship(network: nn.Module, losses: FloatArray, plan: Plan, path: Path) -> None:
    """Write the weights, the course of the loss, and where they come from."""
    about = {
        **asdict(plan),
        "tasks": plan.steps * TASKS_A_STEP,
        "device": device().type,
        "torch": torch.__version__.partition("+")[0],
    }
    arrays = {name: value.cpu().numpy().astype(np.float16) for name, value in network.state_dict().items()}
    course = [part.mean() for part in np.array_split(losses, min(_POINTS, len(losses)))]
    path.parent.mkdir(exist_ok=True)
    np.savez_compressed(path, about=np.array(json.dumps(about)), losses=np.array(course), **arrays)


def _told(steps: Iterable[int], total: int) -> Iterable[int]:
    left = list(steps)
    return track(left, "training", total=total, completed=total - len(left))
