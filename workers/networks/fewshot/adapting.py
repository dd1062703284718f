"""MAML (Finn et al. 2017) for tables: weights from which a few gradient steps on the labelled rows tell the classes apart.

The size of a step is learned as well (Meta-SGD, Li et al. 2017, with one for all weights). Which class is which output is
chance, so the last layer begins at zero: before the first step all classes are alike.
"""

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional

from workers.networks.fewshot.standardising import MOST_FEATURES, one_hot, padded, standardised
from workers.networks.fewshot.tasks import MOST_CLASSES, Tasks
from workers.networks.maml import adapt

STEPS = 8
_WIDTH = 64
_RATE = 0.3


class Adapting(nn.Module):
    """Log-probabilities of queries, after gradient steps on the support."""

    def __init__(self) -> None:
        super().__init__()
        self.start = nn.Sequential(
            nn.Linear(MOST_FEATURES, _WIDTH),
            nn.ReLU(),
            nn.Linear(_WIDTH, _WIDTH),
            nn.ReLU(),
            nn.Linear(_WIDTH, MOST_CLASSES),
        )
        nn.init.zeros_(self.start[4].weight)
        nn.init.zeros_(self.start[4].bias)
        self.log_rate = nn.Parameter(torch.tensor(_RATE).log())

    def forward(self, tasks: Tasks) -> Tensor:
        """Shape (tasks, queries, classes)."""
        tasks, _ = standardised(tasks)
        members = one_hot(tasks.labels, tasks.n_classes)
        # Every class weighs the same, however many rows it has.
        weights = members / members.sum(dim=1, keepdim=True) / tasks.n_classes
        start = dict(self.start.named_parameters())

        def answer(support: Tensor, weights: Tensor, queries: Tensor) -> Tensor:
            adapted = adapt(self.start, _loss, start, (support, weights), STEPS, self.log_rate.exp())
            return functional_call(self.start, adapted, (queries,))

        outputs = vmap(answer)(padded(tasks.support), weights, padded(tasks.queries))
        return functional.log_softmax(outputs[:, :, : tasks.n_classes], dim=2)


def _loss(outputs: Tensor, weights: Tensor) -> Tensor:
    """Cross-entropy of weighted classes, shape (rows, classes) of both; outputs beyond these belong to nobody."""
    return -(functional.log_softmax(outputs[:, : weights.shape[1]], dim=1) * weights).sum()
