"""Prototypical networks (Snell et al. 2017) for tables: a row belongs to the class whose mean embedding is nearest.

Tables have different columns, so no column has weights of its own. The embedding is made feature by feature, by one network for
all: it sees the value and how relevant the feature is in the support, and what it makes of them are the feature's
coordinates. So any number of features and classes is taken, and their order makes no difference.
"""

import math

import torch
from torch import Tensor, nn

from workers.networks.fewshot.standardising import one_hot, standardised
from workers.networks.fewshot.tasks import Tasks

_WIDTH, _COORDINATES = 48, 8


class Prototypical(nn.Module):
    """Log-probabilities of queries, by their distances to the prototypes."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Sequential(
            nn.Linear(5, _WIDTH),
            nn.ReLU(),
            nn.Linear(_WIDTH, _WIDTH),
            nn.ReLU(),
            nn.Linear(_WIDTH, _COORDINATES),
        )
        self.sharpness = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 1))

    def forward(self, tasks: Tasks) -> Tensor:
        """Shape (tasks, queries, classes)."""
        tasks, relevance = standardised(tasks)
        about = size(tasks)
        seen = torch.cat([relevance[:, :, None], about.expand(*relevance.shape, 3)], dim=2)
        members = one_hot(tasks.labels, tasks.n_classes)
        support, queries = (self._embed(rows, seen) for rows in (tasks.support, tasks.queries))
        prototypes = members.transpose(1, 2) @ support / members.sum(dim=1)[:, :, None]
        distances = torch.cdist(queries, prototypes) ** 2
        return torch.log_softmax(-distances * torch.exp(self.sharpness(about)), dim=2)

    def _embed(self, rows: Tensor, seen: Tensor) -> Tensor:
        """Shape (tasks, rows, features * coordinates)."""
        each = torch.cat([rows[..., None], seen[:, None].expand(-1, rows.shape[1], -1, -1)], dim=3)
        return self.embedding(each).flatten(2) / rows.shape[2] ** 0.5


def size(tasks: Tasks) -> Tensor:
    """What is to know of a task's size: classes, rows of each, features, on scales of about one."""
    n_rows, n_features = tasks.support.shape[1:]
    numbers = (tasks.n_classes, n_rows / tasks.n_classes, n_features)
    return torch.tensor([math.log(each) / 3 for each in numbers], device=tasks.support.device)
