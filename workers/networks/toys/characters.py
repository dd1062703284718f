"""Five characters told apart after one or five drawings of each, by MAML and by prototypical networks.

Both have the same small convolutional network: four layers of 32 filters, each halving the sides (the papers have 64). Every
image is normalised by itself and not with others (group normalisation), so that a query drawing is judged alone: with batch
normalisation, as in the MAML paper, the query drawings of a task would be told of each other.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.functional import cross_entropy

from app.metalearning.table import FloatArray
from workers.networks.maml import Batch, adapt, detached, meta_loss
from workers.networks.toys import prototypes
from workers.networks.toys.omniglot import draw
from workers.networks.training import Loss, Plan

METHODS = ("prototypes", "maml")
WAYS, SHOTS, QUERIES = 5, (1, 5), 15
TRAINED = tuple((method, shots) for method in METHODS for shots in SHOTS)
INNER_RATE = 0.4
INNER_STEPS = 1  # in training and test: on the validation alphabet more steps, as the MAML paper takes them, are worse here
_FILTERS, _GROUPS, _DIMENSIONS = 32, 4, 128
_TRAINING_QUERIES = 5
_TASKS = 8  # MAML's, per step
_MANY_WAYS = 20  # of the one task that prototypes train on per step: more ways than in the test, as their paper advises
_STEPS = {("prototypes", 1): 800, ("prototypes", 5): 500, ("maml", 1): 700, ("maml", 5): 800}
_LONGER_ON_A_GPU = 20
_AT_ONCE = 50  # tasks that are tested together


def make_network(method: str) -> nn.Module:
    """From images, shape (images, 1, 28, 28), to embeddings, (images, 128), or with MAML to a logit per class."""
    layers: list[nn.Module] = []
    for inputs in (1, _FILTERS, _FILTERS, _FILTERS):
        layers += [
            nn.Conv2d(inputs, _FILTERS, 3, stride=2, padding=1),
            nn.GroupNorm(_GROUPS, _FILTERS),
            nn.ReLU(),
        ]
    head = [] if method == "prototypes" else [nn.Linear(_DIMENSIONS, WAYS)]
    return nn.Sequential(*layers, nn.Flatten(), *head)


def name_of(method: str, shots: int) -> str:
    """Of the files of a trained network."""
    return f"omniglot-{method}-{shots}-shot"


def plan_of(method: str, shots: int, *, gpu: bool) -> Plan:
    """How a method is trained: for at most a few minutes of one CPU core, or on a GPU for many times as many steps."""
    steps = _STEPS[method, shots] * (_LONGER_ON_A_GPU if gpu else 1)
    return Plan(steps=steps, rate=2e-3 if method == "prototypes" else 5e-3, keep_every=50)


def loss_of(method: str, shots: int, images: Tensor, network: nn.Module) -> Loss:
    """The loss of a batch of tasks that are drawn from these classes."""

    def of_prototypes(generator: torch.Generator) -> Tensor:
        support, query = _split(draw(images, 1, _MANY_WAYS, shots + _TRAINING_QUERIES, generator), shots)
        embedded, classes = network(support[0][0]), support[1][0]
        return prototypes.prototype_loss(embedded, classes, network(query[0][0]), query[1][0], _MANY_WAYS)

    def of_maml(generator: torch.Generator) -> Tensor:
        support, query = _split(draw(images, _TASKS, WAYS, shots + _TRAINING_QUERIES, generator), shots)
        return meta_loss(network, cross_entropy, support, query, INNER_STEPS, INNER_RATE)

    return of_prototypes if method == "prototypes" else of_maml


def accuracies(
    method: str, shots: int, network: nn.Module, images: Tensor, n_tasks: int, generator: torch.Generator
) -> FloatArray:
    """The share of the query drawings that are told right in every task, shape (tasks,)."""
    found = []
    for at in range(0, n_tasks, _AT_ONCE):
        drawn = draw(images, min(_AT_ONCE, n_tasks - at), WAYS, shots + QUERIES, generator)
        support, query = _split(drawn, shots)
        with torch.no_grad():
            scores = (
                _by_prototypes(network, support, query[0])
                if method == "prototypes"
                else _by_adapting(network, support, query[0])
            )
        found.append((scores.argmax(dim=-1) == query[1]).double().mean(dim=1).cpu().numpy())
    return np.concatenate(found)


def _by_prototypes(network: nn.Module, support: Batch, query: Tensor) -> Tensor:
    """Probabilities, shape (tasks, rows, WAYS)."""
    embedded, asked = (
        network(each.flatten(0, 1)).unflatten(0, each.shape[:2]) for each in (support[0], query)
    )
    return prototypes.predict(embedded, support[1], asked, WAYS)


def _by_adapting(network: nn.Module, support: Batch, query: Tensor) -> Tensor:
    """Logits, shape (tasks, rows, WAYS)."""
    start = detached(dict(network.named_parameters()))

    def of_task(support: Batch, query: Tensor) -> Tensor:
        adapted = adapt(network, cross_entropy, start, support, INNER_STEPS, INNER_RATE)
        return functional_call(network, adapted, (query,))

    return vmap(of_task)(support, query)


def _split(drawn: Tensor, shots: int) -> tuple[Batch, Batch]:
    """Support and query rows with their classes, shapes (tasks, ways * rows, 1, side, side) and (tasks, ways * rows)."""
    n_tasks, ways = drawn.shape[:2]

    def rows_of(part: Tensor) -> Batch:
        classes = torch.arange(ways, device=part.device).repeat_interleave(part.shape[2])
        return part.flatten(1, 2), classes.expand(n_tasks, -1)

    return rows_of(drawn[:, :, :shots]), rows_of(drawn[:, :, shots:])
