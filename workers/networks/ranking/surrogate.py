"""Meta-train the surrogate (`app.metalearning.metalearners.surrogate`): a task is a dataset, its support a few results."""

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from app.metalearning.metalearners.levels import log_levels
from app.metalearning.metalearners.surrogate import LAYERS, N_STEPS
from workers.networks.maml import adapt
from workers.networks.ranking.lessons import Lessons, as_tensor

N_ABOUT, N_CONFIGURATION, N_HIDDEN = 8, 8, 32
MOST_RESULTS = 20
_N_TASKS = 32  # in a batch
_FIRST_RATE = 0.05
_NOISE = 0.03  # of a result, as another split of the rows would have it


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
        self.levels = as_tensor(log_levels(lessons.evidence.headline_losses))

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
        log_spread = self.network.log_spreads[seen.sum(dim=1)][:, None]
        losses = 0.5 * ((told - levels) / log_spread.exp()) ** 2 + log_spread
        weights = torch.exp(-self.lessons.regret[rows]) * known
        return (weights * losses).sum() / weights.sum()


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

    def expected(inputs: Tensor, levels: Tensor, seen: Tensor) -> Tensor:
        after = adapt(network, _error, layers, (inputs, levels, seen), N_STEPS, rates)
        told: Tensor = functional_call(network, after, (inputs,))
        return told

    told: Tensor = vmap(expected)(inputs, levels, seen.to(levels.dtype))
    return told


def _error(told: Tensor, levels: Tensor, seen: Tensor) -> Tensor:
    """Mean squared error of what was seen."""
    return (seen * (told - levels) ** 2).sum() / seen.sum().clamp_min(1)
