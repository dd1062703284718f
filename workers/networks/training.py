"""How every network here is trained: small, seeded, told step by step, and gone on with where it was cut off."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from app.metalearning.table import FloatArray

Loss = Callable[[torch.Generator], Tensor]
Follow = Callable[[Iterable[int], int], Iterable[int]]  # tells of the progress through so many steps

_WARM_UP = 0.05  # the share of the steps in which the rate grows to its full size


@dataclass(frozen=True)
class Plan:
    """How long and how fast: Adam with decoupled weight decay, its rate falling along a cosine."""

    steps: int
    rate: float
    decay: float = 0.0
    seed: int = 0
    clip: float = 1.0  # the largest norm of all gradients together
    keep_every: int = 200  # steps between checkpoints


def device() -> torch.device:
    """The first GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def seeded(make: Callable[[], nn.Module], seed: int) -> nn.Module:
    """A network whose first weights are always the same, on the device; nobody else's random numbers change."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make().to(device())


def train(
    network: nn.Module,
    loss: Loss,
    plan: Plan,
    checkpoint: Path | None = None,
    follow: Follow = lambda steps, _: steps,
) -> FloatArray:
    """Train in place; what every step draws depends on the plan's seed and the step alone, so a cut costs nothing.

    Args:
        network: what is trained.
        loss: of one batch, drawn by the generator (on the CPU) that it is handed.
        plan: how long and how fast.
        checkpoint: a file that is written now and then, and gone on from where it is there.
        follow: tells of the progress.

    Returns: the loss of every step, shape (steps,).
    """
    optimiser = torch.optim.AdamW(network.parameters(), lr=plan.rate, weight_decay=plan.decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _share_of_rate(step, plan.steps))
    parts = {"network": network, "optimiser": optimiser, "schedule": schedule}
    losses = np.full(plan.steps, np.nan)
    done = 0
    if checkpoint is not None and checkpoint.exists():
        kept = torch.load(checkpoint, map_location=device(), weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(kept[name])
        done = len(kept["losses"])
        losses[:done] = kept["losses"].cpu().numpy()
    network.train()
    with torch.random.fork_rng():
        for step in follow(range(done, plan.steps), plan.steps):
            seed = plan.seed * 1_000_003 + step
            torch.manual_seed(seed)  # what drops units out asks nobody for a generator
            optimiser.zero_grad()
            value = loss(torch.Generator().manual_seed(seed))
            value.backward()
            nn.utils.clip_grad_norm_(network.parameters(), plan.clip)
            optimiser.step()
            schedule.step()
            losses[step] = float(value.detach())
            if checkpoint is not None and ((step + 1) % plan.keep_every == 0 or step + 1 == plan.steps):
                _keep(checkpoint, parts, losses[: step + 1])
    network.train(mode=False)
    return losses


def _share_of_rate(step: int, steps: int) -> float:
    warm = max(1.0, _WARM_UP * steps)
    return min((step + 1) / warm, 0.5 * (1 + math.cos(math.pi * step / steps)))


def _keep(checkpoint: Path, parts: dict[str, nn.Module], losses: FloatArray) -> None:
    """Whoever reads sees the old checkpoint or the new one, never a part."""
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    writing = checkpoint.with_suffix(".writing")
    states = {name: part.state_dict() for name, part in parts.items()}
    torch.save({**states, "losses": torch.from_numpy(losses)}, writing)
    writing.replace(checkpoint)
