"""Generated tasks of classification, from which learners for tables with few rows learn how to learn.

In the manner of TabPFN's prior (Hollmann et al. 2023), but small: random structural causal models. Either a rule labels the rows,
and some node of the model, cut into as many parts as there are classes, is the label; or the class is the cause, and the
features are what follows from it. With no hidden layer the first is a linear rule, the second a mixture of Gaussians.

All tasks of a batch have the same shape, so nothing is padded; what they are like differs. Whatever is drawn comes from the
generator alone, on the CPU: the same batch everywhere.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

MOST_CLASSES = 10  # more are seldom labelled by hand; the in-context learner has a place for each
MOST_ROWS_PER_CLASS = 20  # with more, ordinary learners have enough
MOST_FEATURES = (
    60  # before the most relevant are taken: as wide as small tables are once their categories are numbers
)
_MOST_SUPPORT = 120  # rows: what a step of training costs grows with it
_QUERIES = 60  # rows, shared among the classes
_HIDDEN = 24  # nodes of a layer
_FEWEST_ROOTS, _MOST_ROOTS = 2, 12
_ACTIVATIONS = (torch.tanh, torch.relu, torch.sin, torch.abs, torch.square, lambda values: values)


@dataclass(frozen=True)
class Tasks:
    """A batch: labelled rows to learn from (the support), and rows whose labels are asked for (the queries)."""

    support: Tensor  # (tasks, support rows, features)
    labels: Tensor  # (tasks, support rows), from 0
    queries: Tensor  # (tasks, query rows, features)
    answers: Tensor  # (tasks, query rows)
    n_classes: int

    def to(self, where: torch.device) -> "Tasks":
        """The same on a device."""
        return Tasks(
            self.support.to(where),
            self.labels.to(where),
            self.queries.to(where),
            self.answers.to(where),
            self.n_classes,
        )


def draw(generator: torch.Generator, count: int) -> Tasks:
    """So many tasks of one shape, itself drawn: classes, rows of each, features."""
    n_classes = _integer(generator, 2, MOST_CLASSES, skew=2.0)
    most = min(MOST_ROWS_PER_CLASS, _MOST_SUPPORT // n_classes)
    rows = _integer(generator, 1, most)
    n_features = _integer(generator, 1, MOST_FEATURES, skew=1.5)
    queries = max(2, _QUERIES // n_classes)
    make = _labelled_by_a_rule if _share(generator) < 0.4 else _caused_by_the_class
    features = make(generator, count, n_classes, rows + queries, n_features)
    features = _as_measured(generator, features)
    return _split(generator, features, rows)


def _labelled_by_a_rule(
    generator: torch.Generator, count: int, n_classes: int, rows: int, n_features: int
) -> Tensor:
    """Features of shape (tasks, classes, rows, features): a node is the label, the class how high it is."""
    total = n_classes * rows
    roots = _normal(generator, count, total, _integer(generator, _FEWEST_ROOTS, _MOST_ROOTS))
    nodes = _consequences(generator, roots, depth=_integer(generator, 0, 2))
    rule = _sparse(generator, count, nodes.shape[2], 1)
    noise = _uniform(generator, count, 1, low=0.0, high=0.3)
    scores = _scaled(nodes @ rule).squeeze(2) + noise * _normal(generator, count, total)
    ordered = scores.argsort(dim=1)
    features = _observed(generator, nodes, n_features)
    features = features.gather(1, ordered[:, :, None].expand_as(features))
    return _with_shuffled_classes(generator, features.reshape(count, n_classes, rows, n_features))


def _caused_by_the_class(
    generator: torch.Generator, count: int, n_classes: int, rows: int, n_features: int
) -> Tensor:
    """Features of shape (tasks, classes, rows, features): each class is a few clusters of roots, and what follows from them."""
    n_roots = _integer(generator, _FEWEST_ROOTS, _MOST_ROOTS)
    n_clusters = _integer(generator, 1, 3, skew=2.0)
    apart = torch.exp(_uniform(generator, count, 1, 1, low=math.log(0.7), high=math.log(6.0)))
    centres = apart * _normal(generator, count, n_classes * n_clusters, n_roots)
    spread = torch.exp(0.5 * _normal(generator, count, n_classes * n_clusters, n_roots))
    which = torch.randint(n_clusters, (count, n_classes, rows), generator=generator)
    which = (which + n_clusters * torch.arange(n_classes)[None, :, None]).reshape(count, -1, 1)
    which = which.expand(-1, -1, n_roots)
    roots = centres.gather(1, which) + spread.gather(1, which) * _normal(generator, *which.shape)
    nodes = _consequences(generator, roots, depth=_integer(generator, 0, 2))
    return _observed(generator, nodes, n_features).reshape(count, n_classes, rows, n_features)


def _consequences(generator: torch.Generator, roots: Tensor, depth: int) -> Tensor:
    """All nodes of a model of so many layers: each node a random function of some of the layer above, and noise."""
    layers = [_scaled(roots)]
    for _ in range(depth):
        above = layers[-1]
        sums = _scaled(above @ _sparse(generator, len(above), above.shape[2], _HIDDEN))
        kinds = torch.randint(len(_ACTIVATIONS), (len(above), 1, _HIDDEN), generator=generator)
        values = torch.stack([activation(sums) for activation in _ACTIVATIONS])
        values = values.gather(0, kinds[None].expand(1, *sums.shape)).squeeze(0)
        noise = _uniform(generator, len(above), 1, _HIDDEN, low=0.0, high=0.3)
        layers.append(_scaled(values) + noise * _normal(generator, *values.shape))
    return torch.cat(layers, dim=2)


def _observed(generator: torch.Generator, nodes: Tensor, n_features: int) -> Tensor:
    """So many features: nodes drawn at random, mixed a little, with noise; some of them nothing but noise."""
    count, rows, n_nodes = nodes.shape
    which = torch.randint(n_nodes, (count, 1, n_features), generator=generator).expand(-1, rows, -1)
    features = nodes.gather(2, which) + 0.3 * _scaled(nodes @ _sparse(generator, count, n_nodes, n_features))
    noise = _uniform(generator, count, 1, n_features, low=0.0, high=0.4)
    share = _uniform(generator, count, 1, 1, low=0.0, high=0.5)
    irrelevant = torch.rand(count, 1, n_features, generator=generator) < share
    random = _normal(generator, *features.shape)
    return torch.where(irrelevant, random, _scaled(features) + noise * random)


def _as_measured(generator: torch.Generator, features: Tensor) -> Tensor:
    """Some features skewed, some heavy-tailed, some cut into few levels or two, as tables have them."""
    kinds = torch.rand(len(features), 1, 1, features.shape[3], generator=generator)
    cuts = torch.exp(_uniform(generator, len(features), 1, 1, features.shape[3], low=-1.0, high=1.0))
    features = torch.where(kinds < 0.15, torch.exp(features.clamp(max=4.0)), features)
    features = torch.where((kinds >= 0.15) & (kinds < 0.2), features**3, features)
    features = torch.where((kinds >= 0.75) & (kinds < 0.88), torch.round(features / cuts), features)
    return torch.where(kinds >= 0.88, (features > cuts - 1.0).to(features.dtype), features)


def _split(generator: torch.Generator, features: Tensor, rows: int) -> Tasks:
    """The first rows of each class as support, in half of the batches fewer of some classes; the others as queries."""
    count, n_classes, n_rows, _ = features.shape
    shuffled = torch.rand(features.shape[:3], generator=generator).argsort(dim=2)
    features = features.gather(2, shuffled[:, :, :, None].expand_as(features))
    kept = torch.full((n_classes,), rows)
    if _share(generator) < 0.5:
        kept = torch.randint(1, rows + 1, (n_classes,), generator=generator)
    is_support = torch.arange(n_rows)[None, :] < kept[:, None]
    is_query = (torch.arange(n_rows) >= rows)[None, :].expand(n_classes, -1)
    classes = torch.arange(n_classes)[:, None].expand_as(is_support)
    return Tasks(
        features[:, is_support],
        classes[is_support].expand(count, -1),
        features[:, is_query],
        classes[is_query].expand(count, -1),
        n_classes,
    )


def _with_shuffled_classes(generator: torch.Generator, features: Tensor) -> Tensor:
    order = torch.rand(features.shape[:2], generator=generator).argsort(dim=1)
    return features.gather(1, order[:, :, None, None].expand_as(features))


def _sparse(generator: torch.Generator, count: int, n_in: int, n_out: int) -> Tensor:
    """Weights of shape (tasks, in, out), a random share of them zero."""
    share = _uniform(generator, count, 1, 1, low=0.2, high=1.0)
    there = torch.rand(count, n_in, n_out, generator=generator) < share
    return there * _normal(generator, count, n_in, n_out)


def _scaled(values: Tensor) -> Tensor:
    """Every node with mean 0 and standard deviation 1 over the rows of its task."""
    return functional.layer_norm(values.transpose(1, 2), values.shape[1:2]).transpose(1, 2)


def _normal(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator)


def _uniform(generator: torch.Generator, *shape: int, low: float, high: float) -> Tensor:
    return low + (high - low) * torch.rand(*shape, generator=generator)


def _share(generator: torch.Generator) -> float:
    return float(torch.rand((), generator=generator))


def _integer(generator: torch.Generator, low: int, high: int, skew: float = 1.0) -> int:
    """From low to high; the larger the skew, the more often a small one."""
    return low + int((high - low + 1) * _share(generator) ** skew)
