"""Train the network that reads learning curves (`workers.experiments.curvereading`)."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from app.metalearning.metalearners.layers import Weights
from app.metalearning.table import FloatArray, IntArray
from workers.experiments.curvereading import FREEDOM, told_of
from workers.networks.training import Follow, Plan, device, seeded, train

N_UNITS = 16
FEWEST_POINTS = 1
PLAN = Plan(steps=1_500, rate=5e-3, decay=1e-3)
_BATCH = 256


@dataclass(frozen=True)
class Curves:
    """Learning curves that begin at the first point, padded with what is never read; NaN is what nobody measured."""

    levels: FloatArray  # (curves, points): log losses
    gaps: FloatArray  # (curves, points): log of all rows over those of the point
    lengths: IntArray  # (curves,): points there are
    targets: FloatArray  # (curves,): log loss on all rows
    groups: tuple[str, ...]

    def of(self, rows: IntArray) -> "Curves":
        """Only these."""
        return Curves(
            self.levels[rows],
            self.gaps[rows],
            self.lengths[rows],
            self.targets[rows],
            tuple(self.groups[row] for row in rows),
        )


class Reader(nn.Module):
    """Reads point after point; the state says how the curve goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRUCell(3, N_UNITS)
        self.head = nn.Linear(N_UNITS + 1, 2)

    def forward(self, told: Tensor, lengths: Tensor) -> Tensor:
        """Shift from the last level, and log spread, shape (curves, 2).

        Args:
            told: as `told_of` has it, shape (curves, points, 3).
            lengths: how many points are read, shape (curves,).
        """
        state = torch.zeros(len(told), N_UNITS, device=told.device)
        for place in range(told.shape[1]):
            after = self.cell(told[:, place], state)
            state = torch.where((place < lengths)[:, None], after, state)
        last = told[torch.arange(len(told)), lengths - 1, 0]
        forecast: Tensor = self.head(torch.cat([state, last[:, None]], dim=1))
        return forecast


class Likelihood:
    """The negative log-likelihood of what curves led to, each read up to some point."""

    def __init__(self, reader: Reader, curves: Curves) -> None:
        self.reader = reader
        levels = np.nan_to_num(curves.levels)
        self.told = _tensor(told_of(levels, np.nan_to_num(curves.gaps)))
        self.levels = _tensor(levels)
        self.targets = _tensor(curves.targets)
        self.lengths = torch.as_tensor(curves.lengths, device=device())

    def __call__(self, generator: torch.Generator) -> Tensor:
        """The mean of a batch."""
        rows = torch.randint(len(self.told), (_BATCH,), generator=generator).to(self.told.device)
        share = torch.rand(_BATCH, generator=generator).to(self.told.device)
        lengths = FEWEST_POINTS + (share * (self.lengths[rows] - FEWEST_POINTS + 1)).long()
        shift, log_spread = self.reader(self.told[rows], lengths).unbind(dim=1)
        last = self.levels[rows, lengths - 1]
        forecast = torch.distributions.StudentT(FREEDOM, last + shift, log_spread.exp())
        return -forecast.log_prob(self.targets[rows]).mean()


def fit_reader(curves: Curves, plan: Plan = PLAN, follow: Follow = lambda steps, _: steps) -> Weights:
    """Train on curves; the weights by name."""
    reader = seeded(Reader, plan.seed)
    assert isinstance(reader, Reader)
    train(reader, Likelihood(reader, curves), plan, follow=follow)
    return {
        name: values.detach().cpu().numpy().astype(np.float64) for name, values in reader.state_dict().items()
    }


def _tensor(values: FloatArray) -> Tensor:
    return torch.as_tensor(values, dtype=torch.float32, device=device())
