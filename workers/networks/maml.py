"""Learn first weights from which a few gradient steps suffice: MAML, its first-order variant, and Reptile.

MAML (Finn, Abbeel & Levine 2017) descends along the loss that a task's query rows have *after* the network took gradient steps on
the task's support rows, and therefore differentiates through these steps. First-order MAML (the same paper, 5.2) takes the steps'
gradients for constants. Reptile (Nichol, Achiam & Schulman 2018) moves the first weights towards those where training on a task ends.

Nothing here knows what a task is about. A batch is a tuple of tensors: the network's inputs, and then what the loss
compares its outputs with. Tasks of a batch are stacked along the first dimension and adapted together (`vmap`), so a
network must not keep running statistics nor draw random numbers.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

Parameters = dict[str, Tensor]
Batch = tuple[Tensor, ...]
Loss = Callable[..., Tensor]  # (outputs, *whatever follows the inputs in the batch) → a number


def adapt(
    network: nn.Module,
    loss: Loss,
    parameters: Parameters,
    support: Batch,
    steps: int,
    rate: float,
    *,
    first_order: bool = False,
) -> Parameters:
    """The parameters after gradient steps on one task's support rows; the network itself stays as it is.

    Args:
        network: whose parameters these are. Those not given stay the network's own, and are not adapted.
        loss: of the outputs and what follows the inputs in the batch.
        parameters: where to start, by name.
        support: the task's rows.
        steps: how many, each on all rows.
        rate: the size of a step.
        first_order: take the gradients for constants when the result is differentiated.
    """
    gradient = grad(lambda at: task_loss(network, loss, at, support))
    for _ in range(steps):
        slopes = gradient(detached(parameters) if first_order else parameters)
        parameters = {name: value - rate * slopes[name] for name, value in parameters.items()}
    return parameters


def task_loss(network: nn.Module, loss: Loss, parameters: Parameters, batch: Batch) -> Tensor:
    """The loss of the network with these parameters in place of its own."""
    inputs, *targets = batch
    return loss(functional_call(network, parameters, (inputs,)), *targets)


def meta_loss(
    network: nn.Module,
    loss: Loss,
    support: Batch,
    query: Batch,
    steps: int,
    rate: float,
    *,
    first_order: bool = False,
) -> Tensor:
    """MAML's objective (Finn et al. 2017, equation 1): the mean loss on query rows after adaptation to support rows.

    Args:
        network: whose parameters are the common start.
        loss: as of `adapt`.
        support: of several tasks, shapes (tasks, rows, ...).
        query: of the same tasks, shapes (tasks, rows, ...).
        steps: as of `adapt`.
        rate: as of `adapt`.
        first_order: first-order MAML.
    """
    start = dict(network.named_parameters())

    def of_task(support: Batch, query: Batch) -> Tensor:
        adapted = adapt(network, loss, start, support, steps, rate, first_order=first_order)
        return task_loss(network, loss, adapted, query)

    return vmap(of_task)(support, query).mean()


def reptile_loss(network: nn.Module, loss: Loss, minibatches: Batch, rate: float) -> Tensor:
    """What has Reptile's direction for its gradient, so that any optimiser can follow it (Nichol et al. 2018, section 3).

    The gradient is (start - end) / (rate * minibatches), the mean over tasks of the mean gradient along the way. The
    value is the mean loss at the ends, on the rows that were trained on.

    Args:
        network: whose parameters are the common start.
        loss: as of `adapt`.
        minibatches: of several tasks, shapes (tasks, minibatches, rows, ...); a step is taken on each. With a single
            one this is training on all tasks together.
        rate: the size of a step.
    """
    start = dict(network.named_parameters())
    length = minibatches[0].shape[1]

    def of_task(minibatches: Batch) -> tuple[Parameters, Tensor]:
        parameters = detached(start)
        for at in range(length):
            rows = tuple(part[at] for part in minibatches)
            parameters = adapt(network, loss, parameters, rows, 1, rate)
        joined = tuple(part.flatten(0, 1) for part in minibatches)
        return parameters, task_loss(network, loss, parameters, joined)

    ends, losses = vmap(of_task)(minibatches)
    way = {name: (value.detach() - ends[name].mean(dim=0)) / (rate * length) for name, value in start.items()}
    slope = torch.stack([(value * way[name]).sum() for name, value in start.items()]).sum()
    return losses.mean() + slope - slope.detach()


def detached(parameters: Parameters) -> Parameters:
    """The same numbers, through which nothing is differentiated."""
    return {name: value.detach() for name, value in parameters.items()}
