"""Prototypical networks (Snell, Swersky & Zemel 2017): a class is the mean of its embedded rows, and the nearest mean wins.

Everything starts from embeddings, so any network may have made them. Leading dimensions (several tasks at once) are kept. Tasks
with fewer rows or classes than others are padded: a row of class -1 is nobody's, and a class without rows is never predicted.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional


def class_means(embedded: Tensor, classes: Tensor, n_classes: int) -> tuple[Tensor, Tensor]:
    """The prototypes (equation 1), shape (..., n_classes, dimensions), and how many rows each one has, (..., n_classes).

    Args:
        embedded: support rows, shape (..., rows, dimensions).
        classes: of each row, from 0, shape (..., rows); -1 for padding.
        n_classes: how many there are at most. The prototype of a class without rows is all zero.
    """
    member = (classes[..., None] == torch.arange(n_classes, device=classes.device)).to(embedded)
    counts = member.sum(dim=-2)
    return member.mT @ embedded / counts.clamp(min=1)[..., None], counts


def logits(embedded: Tensor, means: Tensor, counts: Tensor) -> Tensor:
    """Minus the squared Euclidean distance to every prototype (equation 2), shape (..., rows, n_classes).

    Args:
        embedded: query rows, shape (..., rows, dimensions).
        means: prototypes, shape (..., n_classes, dimensions).
        counts: support rows of each class, shape (..., n_classes); without any the logit is minus infinity.
    """
    distances = ((embedded[..., :, None, :] - means[..., None, :, :]) ** 2).sum(dim=-1)
    return (-distances).masked_fill((counts == 0)[..., None, :], -math.inf)


def predict(support: Tensor, classes: Tensor, query: Tensor, n_classes: int) -> Tensor:
    """The probability of every class for every query row, shape (..., rows, n_classes); arguments as above."""
    return logits(query, *class_means(support, classes, n_classes)).softmax(dim=-1)


def prototype_loss(
    support: Tensor, classes: Tensor, query: Tensor, query_classes: Tensor, n_classes: int
) -> Tensor:
    """The mean negative log-probability of the query rows' own classes; rows of class -1 do not count."""
    scores = logits(query, *class_means(support, classes, n_classes))
    return functional.cross_entropy(
        scores.flatten(0, -2), query_classes.flatten().to(torch.int64), ignore_index=-1
    )
