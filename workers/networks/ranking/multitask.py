"""Train the network of multi-task learning (`app.metalearning.metalearners.multitask`)."""

import numpy as np
import torch
from torch import Tensor, nn

from app.metalearning.evidence import Evidence
from app.metalearning.experience import LARGEST_LOSS
from app.metalearning.metadataset import TabularEvidence
from app.metalearning.metalearners.multitask import REGRET, SECONDS
from app.metalearning.table import FloatArray
from workers.networks.ranking.lessons import Lessons, as_tensor

N_FIRST, N_SECOND = 96, 48
_DROPPED = 0.3
_LEAST_SPREAD = 1e-3


def targets_of(evidence: Evidence) -> dict[str, FloatArray]:
    """Every task's numbers by name, shape (D, C), NaN where nobody knows.

    Regret alone where the evidence has nothing else (an imported matrix).
    """
    targets = {REGRET: evidence.regret}
    if isinstance(evidence, TabularEvidence):
        targets |= {name: np.minimum(losses, LARGEST_LOSS) for name, losses in evidence.losses.items()}
        with np.errstate(divide="ignore"):
            targets[SECONDS] = np.log(np.where(evidence.fit_seconds > 0, evidence.fit_seconds, np.nan))
    return targets


class Shared(nn.Module):
    """Layers that all tasks share, and a linear head for each."""

    def __init__(self, n_metafeatures: int, targets: dict[str, FloatArray]) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(n_metafeatures, N_FIRST), nn.Linear(N_FIRST, N_SECOND)
        self.drop = nn.Dropout(_DROPPED)
        self.heads = nn.ModuleDict(
            {name: nn.Linear(N_SECOND, values.shape[1]) for name, values in targets.items()}
        )
        for name, values in targets.items():
            known = np.where(np.isnan(values).all(axis=0), 0.0, values)
            spread = np.maximum(np.nanstd(known, axis=0), _LEAST_SPREAD)
            self.register_buffer(f"mean_{name}", as_tensor(np.nanmean(known, axis=0)))
            self.register_buffer(f"spread_{name}", as_tensor(spread))

    def forward(self, inputs: Tensor) -> dict[str, Tensor]:
        """Standardised numbers of every task, shape (..., metafeatures) → (..., configurations)."""
        shared = self.drop(torch.relu(self.first(self.drop(inputs))))
        shared = self.drop(torch.relu(self.second(shared)))
        return {name: head(shared) for name, head in self.heads.items()}


class MaskedError:
    """The squared error of all tasks that were measured, every task counting alike."""

    def __init__(self, network: Shared, lessons: Lessons, targets: dict[str, FloatArray]) -> None:
        self.network = network
        self.lessons = lessons
        self.wanted: dict[str, Tensor] = {}
        for name, values in targets.items():
            mean, spread = (network.get_buffer(f"{kind}_{name}") for kind in ("mean", "spread"))
            self.wanted[name] = (as_tensor(values) - mean) / spread

    def __call__(self, generator: torch.Generator) -> Tensor:
        """The loss on all datasets."""
        told = self.network(self.lessons.seen(generator))
        return torch.stack([_error(told[name], wanted) for name, wanted in self.wanted.items()]).mean()


def _error(told: Tensor, wanted: Tensor) -> Tensor:
    known = ~torch.isnan(wanted)
    # What is far off in one dataset must not decide what all learn.
    return nn.functional.smooth_l1_loss(told[known], wanted[known])
