"""Tables of different columns and units, made alike by their support alone, so that no query changes another's answer.

`workers/experiments/fewshot/standardising.py` does the same to one table, in NumPy.
"""

import torch
from torch import Tensor
from torch.nn import functional

from workers.networks.fewshot.tasks import Tasks

MOST_FEATURES = 32  # that the learners with a place for each feature see, the most relevant of all
CLIP = 5.0  # standard deviations


def standardised(tasks: Tasks) -> tuple[Tasks, Tensor]:
    """Features in standard deviations of the support, the most relevant first; and how relevant each is, (tasks, features).

    Relevance is the correlation ratio in the support: which part of a feature's variance lies between the classes. Features that
    are constant there say nothing, and become zero.
    """
    mean = tasks.support.mean(dim=1, keepdim=True)
    spread = tasks.support.std(dim=1, keepdim=True, correction=0)
    scale = torch.where(spread > 1e-6 * (1 + mean.abs()), 1 / spread, 0.0)
    support, queries = (((each - mean) * scale).clamp(-CLIP, CLIP) for each in (tasks.support, tasks.queries))
    relevance = _relevance(support, tasks.labels, tasks.n_classes)
    order = (-torch.round(relevance, decimals=3)).argsort(dim=1, stable=True)
    support, queries = (
        each.gather(2, order[:, None].expand(-1, each.shape[1], -1)) for each in (support, queries)
    )
    return Tasks(support, tasks.labels, queries, tasks.answers, tasks.n_classes), relevance.gather(1, order)


def padded(rows: Tensor) -> Tensor:
    """The first features in their places, the places that are left zero; the fewer there are, the larger (as TabPFN has it)."""
    count = min(rows.shape[2], MOST_FEATURES)
    filled = functional.pad(rows[:, :, :count], (0, MOST_FEATURES - count))
    return filled * (MOST_FEATURES / count) ** 0.5


def one_hot(labels: Tensor, n_classes: int) -> Tensor:
    """Shape (tasks, rows, classes)."""
    return functional.one_hot(labels, n_classes).to(torch.get_default_dtype())


def _relevance(support: Tensor, labels: Tensor, n_classes: int) -> Tensor:
    members = one_hot(labels, n_classes).to(support.dtype)
    counts = members.sum(dim=1)  # (tasks, classes)
    sums = members.transpose(1, 2) @ support
    between = (sums**2 / counts[:, :, None]).sum(dim=1)
    total = (support**2).sum(dim=1)
    return torch.where(total > 0, between / total.clamp(min=1e-12), 0.0)
