"""Train the encoder of metric learning (`app.metalearning.metalearners.embedding`)."""

import torch
from torch import Tensor, nn

from workers.networks.ranking.lessons import Lessons

N_HIDDEN, N_DIMENSIONS = 64, 8
# How many datasets count as neighbours by their profiles, about.
PERPLEXITY = 10.0
_DROPPED = 0.3
_STEPS_OF_BISECTION = 40


class Tower(nn.Module):
    """From scaled metafeatures to a place."""

    def __init__(self, n_metafeatures: int) -> None:
        super().__init__()
        self.first = nn.Linear(n_metafeatures, N_HIDDEN)
        self.second = nn.Linear(N_HIDDEN, N_DIMENSIONS)
        self.drop = nn.Dropout(_DROPPED)

    def forward(self, inputs: Tensor) -> Tensor:
        """Shape (..., metafeatures) → (..., dimensions)."""
        places: Tensor = self.second(self.drop(torch.relu(self.first(inputs))))
        return places


class Contrast:
    """Neighbours in the learned space should be those by performance profile: the cross-entropy between both."""

    def __init__(self, tower: Tower, lessons: Lessons) -> None:
        self.tower = tower
        self.lessons = lessons
        self.wanted = neighbourhoods(lessons.regret, lessons.same_group)

    def __call__(self, generator: torch.Generator) -> Tensor:
        """The loss of all datasets, which are never their own neighbours."""
        one, other = (self.tower(self.lessons.seen(generator)) for _ in range(2))
        nearness = -(torch.cdist(one, other) ** 2)
        logs = nearness.masked_fill(self.lessons.same_group, -torch.inf).log_softmax(dim=1)
        return -(self.wanted * logs.masked_fill(self.lessons.same_group, 0.0)).sum(dim=1).mean()


def neighbourhoods(regret: Tensor, same_group: Tensor) -> Tensor:
    """How much every dataset is another one's neighbour by what configurations reach on both; shape (D, D), rows sum to 1.

    As wide as `PERPLEXITY` wants it (van der Maaten & Hinton 2008); nobody is a neighbour within the group.
    """
    squared = (torch.cdist(regret, regret) ** 2 / regret.shape[1]).masked_fill(same_group, torch.inf)
    low = torch.full((len(regret), 1), 1e-3, device=regret.device)
    high = torch.full_like(low, 1e4)
    target = torch.log(torch.tensor(min(PERPLEXITY, (~same_group).sum(dim=1).min().item())))
    for _ in range(_STEPS_OF_BISECTION):
        middle = torch.sqrt(low * high)
        shares = torch.softmax(-middle * squared, dim=1)
        entropy = -(shares * torch.log(shares.clamp_min(1e-12))).sum(dim=1, keepdim=True)
        too_wide = entropy > target
        low, high = torch.where(too_wide, middle, low), torch.where(too_wide, high, middle)
    return torch.softmax(-torch.sqrt(low * high) * squared, dim=1)
