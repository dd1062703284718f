"""Meta-train the surrogate (`app.metalearning.metalearners.surrogate`): a task is a dataset, its support a few results.

How hard a dataset is decides nothing between configurations, yet it is most of what tells one dataset's losses from
another's. So the network's level on a dataset hardly counts, and a dataset counts no more because its losses lie far apart.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from app.metalearning.evidence import Evidence
from app.metalearning.metalearners.levels import log_levels
from app.metalearning.metalearners.surrogate import LAYERS, N_STEPS
from app.metalearning.table import FloatArray
from workers.networks.maml import adapt
from workers.networks.ranking.lessons import Lessons, as_tensor

N_ABOUT, N_CONFIGURATION, N_HIDDEN = 8, 8, 32
MOST_RESULTS = 20
_N_TASKS = 32  # in a batch
_FIRST_RATE = 0.05
_NOISE = 0.03  # of a result, as another split of the rows would have it
_LEVEL_COUNTS = 0.2  # the share of what the network is off by on the whole dataset that it is blamed for
_LEAST_SIZE = 0.1  # of a dataset's log losses' standard deviation


class Network(nn.Module):
    """What is adapted (the layers), and what stays: how datasets and configurations are seen, rates and spreads."""

    def __init__(self, n_metafeatures: int, n_configurations: int) -> None:
        super().__init__()
        self.about = nn.Linear(n_metafeatures, N_ABOUT)
        self.configurations = nn.Embedding(n_configurations, N_CONFIGURATION)
        self.first = nn.Linear(N_ABOUT + N_CONFIGURATION, N_HIDDEN)
        self.second = nn.Linear(N_HIDDEN, N_HIDDEN)
        self.last = nn.Linear(N_HIDDEN, 1)
        self.log_rates = nn.ParameterDict(
            {name: nn.Parameter(torch.tensor(_FIRST_RATE).log()) for name in LAYERS}
        )
        self.log_faith = nn.Parameter(torch.zeros(()))
        self.log_spreads = nn.Parameter(torch.zeros(MOST_RESULTS + 1))

    def forward(self, inputs: Tensor) -> Tensor:
        """Log losses, shape (..., configurations, inputs) → (..., configurations)."""
        levels: Tensor = self.last(torch.tanh(self.second(torch.tanh(self.first(inputs)))))
        return levels[..., 0]

    def inputs(self, metafeatures: Tensor) -> Tensor:
        """All configurations as they are seen on datasets, shape (tasks, configurations, inputs)."""
        about = torch.tanh(self.about(metafeatures))[:, None]
        known = self.configurations.weight[None]
        shape = (len(metafeatures), known.shape[1], -1)
        return torch.cat([about.expand(shape), known.expand(shape)], dim=2)


class FewResults:
    """How badly the network, adapted to a few results, expects the others."""

    def __init__(self, network: Network, lessons: Lessons) -> None:
        self.network = network
        self.lessons = lessons
        levels = _with_failures(lessons.evidence)
        self.levels = as_tensor(levels)
        self.sizes = as_tensor(np.maximum(np.nanstd(levels, axis=1, keepdims=True), _LEAST_SIZE))

    def __call__(self, generator: torch.Generator) -> Tensor:
        """The loss of a batch of tasks: negative log-likelihood, the better configurations counting more."""
        rows = torch.randint(len(self.levels), (_N_TASKS,), generator=generator).to(self.levels.device)
        levels = self.levels[rows]
        known = ~levels.isnan()
        # Squared: the first choices, made after few results or none, matter as much as all that follow.
        shares = torch.rand((_N_TASKS, 1), generator=generator) ** 2
        counts = ((MOST_RESULTS + 1) * shares).long().to(levels.device)
        order = torch.rand(levels.shape, generator=generator).to(levels.device).masked_fill(~known, 2.0)
        seen = (order.argsort(dim=1).argsort(dim=1) < counts) & known
        levels = levels.nan_to_num()
        noisy = levels + _NOISE * torch.randn(levels.shape, generator=generator).to(levels.device)
        told = adapted(self.network, self.network.inputs(self.lessons.seen(generator, rows)), noisy, seen)
        weights = torch.exp(-self.lessons.regret[rows]) * known
        misses = told - levels
        middle = (weights * misses).sum(dim=1, keepdim=True) / weights.sum(dim=1, keepdim=True)
        misses = (misses - (1 - _LEVEL_COUNTS) * middle) / self.sizes[rows]
        log_spread = self.network.log_spreads[seen.sum(dim=1)][:, None]
        losses = 0.5 * (misses / log_spread.exp()) ** 2 + log_spread
        return (weights * losses).sum() / weights.sum()


def _with_failures(evidence: Evidence) -> FloatArray:
    """Log losses; a failure is as bad as the worst that was measured on the dataset, or nobody would learn to avoid it."""
    levels = log_levels(evidence.headline_losses)
    failed = np.isnan(levels) & ~np.isnan(evidence.regret)
    return np.where(failed, np.nanmax(levels, axis=1, keepdims=True), levels)


def adapted(network: Network, inputs: Tensor, levels: Tensor, seen: Tensor) -> Tensor:
    """What the network expects after a few steps on what was seen; gradients flow through the steps.

    Args:
        network: with its first weights.
        inputs: shape (tasks, configurations, inputs).
        levels: log losses, shape (tasks, configurations).
        seen: which of them are the support, same shape.
    """
    layers = {name: weight for name, weight in network.named_parameters() if name.partition(".")[0] in LAYERS}
    rates = {name: network.log_rates[name.partition(".")[0]].exp() for name in layers}
    faith = network.log_faith.exp()

    def offset(told: Tensor, levels: Tensor, seen: Tensor) -> Tensor:
        """By how much everything is told too high, as far as one knows: shrunk as if so many results had been right before."""
        return (seen * (told - levels)).sum() / (seen.sum() + faith)

    def error(told: Tensor, levels: Tensor, seen: Tensor) -> Tensor:
        """Mean squared error of what was seen, once the offset is taken off, and what that costs."""
        off = offset(told, levels, seen)
        squares = (seen * (told - levels - off) ** 2).sum() + faith * off**2
        return squares / seen.sum().clamp_min(1)

    def expected(inputs: Tensor, levels: Tensor, seen: Tensor) -> Tensor:
        after = adapt(network, error, layers, (inputs, levels, seen), N_STEPS, rates)
        told: Tensor = functional_call(network, after, (inputs,))
        return told - offset(told, levels, seen)

    told: Tensor = vmap(expected)(inputs, levels, seen.to(levels.dtype))
    return told
