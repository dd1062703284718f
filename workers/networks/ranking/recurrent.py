"""Train the recurrent recommender (`app.metalearning.metalearners.recurrent`) on whole episodes.

An episode is a dataset of the evidence on which configurations are tried one after another; the reward is how little regret
the best of them leaves, early more than late. Policy gradient (Williams 1992) with the mean of several episodes on the same
dataset as the baseline; and a hint, without which it takes many more episodes: what is good on the dataset is liked.
"""

import torch
from torch import Tensor, nn

from app.metalearning.metalearners.levels import log_levels
from app.metalearning.metalearners.recurrent import FARTHEST
from workers.networks.ranking.lessons import Lessons, as_tensor

N_UNITS, N_TRIED = 48, 12
LENGTH = 10  # tries in an episode
N_DATASETS, N_EPISODES = 16, 8  # in a batch: datasets, and episodes on each
_ENTROPY = 0.02  # how much it is paid for variety
_HINT, _GOOD = 0.2, 0.25  # how much the hint counts, and the regret at which a configuration is hardly good
_NOISE = 0.03  # of a result, as another split of the rows would have it


class Proposer(nn.Module):
    """The state, what moves it, and what it would try next."""

    def __init__(self, n_metafeatures: int, n_configurations: int) -> None:
        super().__init__()
        self.start = nn.Linear(n_metafeatures, N_UNITS)
        self.tried = nn.Embedding(n_configurations, N_TRIED)
        self.cell = nn.GRUCell(N_TRIED + 4, N_UNITS)
        self.choice = nn.Linear(N_UNITS, n_configurations)


class Episodes:
    """The loss of a batch of episodes that are played by the network as it is."""

    def __init__(self, network: Proposer, lessons: Lessons) -> None:
        self.network = network
        self.lessons = lessons
        losses = lessons.evidence.headline_losses
        # (D, C), NaN where it failed or nobody tried
        self.levels = as_tensor(log_levels(losses))
        self.untried = as_tensor(lessons.evidence.regret).isnan()
        self.length = min(LENGTH, int((~self.untried).sum(dim=1).min()))
        weights = 1 / torch.arange(1, self.length + 1, device=self.levels.device)
        self.weights = weights / weights.sum()

    def __call__(self, generator: torch.Generator) -> Tensor:
        """Play, and blame every choice for the regret that was left from then on."""
        n_datasets = len(self.levels)
        drawn = torch.randint(n_datasets, (min(N_DATASETS, n_datasets),), generator=generator)
        rows = drawn.repeat_interleave(N_EPISODES).to(self.levels.device)
        state = torch.tanh(self.network.start(self.lessons.seen(generator, rows)))
        forbidden = self.untried[rows]
        first = torch.full((len(rows),), torch.nan, device=state.device)
        best, regret = first.clone(), torch.full_like(first, 2.0)
        liked = torch.softmax(-self.lessons.regret[rows] / _GOOD, dim=1)
        chances, varieties, regrets, hints = [], [], [], []
        for _ in range(self.length):
            logs = self.network.choice(state).masked_fill(forbidden, -torch.inf).log_softmax(dim=1)
            shares = logs.exp()
            chosen = torch.multinomial(shares.cpu(), 1, generator=generator).to(state.device)
            hints.append(-(liked * logs.masked_fill(forbidden, 0.0)).sum(dim=1))
            chances.append(logs.gather(1, chosen)[:, 0])
            varieties.append(-(shares * logs.masked_fill(forbidden, 0.0)).sum(dim=1))
            forbidden = forbidden.scatter(1, chosen, value=True)
            regret = torch.minimum(regret, self.lessons.regret[rows].gather(1, chosen)[:, 0])
            regrets.append(regret)
            noise = _NOISE * torch.randn(len(rows), generator=generator).to(state.device)
            level = self.levels[rows].gather(1, chosen)[:, 0] + noise
            told = told_of_many(level, first, best)
            state = self.network.cell(torch.cat([self.network.tried(chosen[:, 0]), told], dim=1), state)
            first, best = torch.where(first.isnan(), level, first), torch.fmin(best, level)
        left = torch.stack(regrets, dim=1) * self.weights
        to_come = left.flip(1).cumsum(1).flip(1)  # (episodes, tries): the regret from each try on
        by_dataset = to_come.view(-1, N_EPISODES, self.length)
        blame = (by_dataset - by_dataset.mean(dim=1, keepdim=True)).view(-1, self.length)
        policy = (blame * torch.stack(chances, dim=1)).sum(dim=1).mean()
        return policy - _ENTROPY * torch.stack(varieties).mean() + _HINT * torch.stack(hints).mean()


def told_of_many(level: Tensor, first: Tensor, best: Tensor) -> Tensor:
    """As `told_of` has it, for many episodes."""
    told = torch.stack([level / 2, level - first, level - best, torch.zeros_like(level)], dim=1)
    told = torch.nan_to_num(told, nan=0.0).clamp(-FARTHEST, FARTHEST)
    told[:, 3] = level.isnan().to(told.dtype)
    return told
