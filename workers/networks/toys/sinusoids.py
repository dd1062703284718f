"""The regression toy of the MAML paper (Finn et al. 2017, 5.1): every task is a sine wave, ten points of it are known.

Amplitudes are uniform in 0.1 … 5, phases in 0 … pi, inputs in -5 … 5; the network has two hidden layers of 40 rectified units.
Five ways lead to the weights from which a new wave is learned by gradient steps.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.functional import mse_loss

from app.metalearning.table import FloatArray
from workers.networks.maml import Batch, adapt, detached, meta_loss, reptile_loss
from workers.networks.training import Loss, Plan, device

SHOTS = 10
STEPS = 10  # gradient steps that are measured
INNER_RATE = 0.01  # the paper's
RATES = (
    0.001,
    0.002,
    0.005,
    0.01,
    0.02,
    0.05,
)  # of which validation tasks choose where no rate was trained for
TRAINED = ("maml", "first-order maml", "reptile", "pretrained")
METHODS = (*TRAINED, "random")
TRAINED_FOR_RATE = ("maml", "first-order maml")
VALIDATION_SEED = 1_000_000_000  # further than the steps of any training, whose numbers seed their tasks
_TASKS = 25  # per step
_N_MINIBATCHES = 5  # Reptile's, of SHOTS points each
_PLAN = Plan(steps=6_000, rate=2e-3, clip=10.0, keep_every=500)
_PLANS = {"reptile": replace(_PLAN, steps=2_500)}  # its steps take three times as long
_N_CURVE = 100  # points on which an adapted network is judged


@dataclass(frozen=True)
class Waves:
    """Several tasks: y = amplitude * sin(x - phase), shapes (tasks, 1, 1)."""

    amplitudes: Tensor
    phases: Tensor

    def of(self, inputs: Tensor) -> Batch:
        """Inputs and what the waves are there, on the device; shape (tasks, points, 1) or one that broadcasts to it."""
        targets = self.amplitudes * torch.sin(inputs - self.phases)
        return inputs.expand_as(targets).to(device()), targets.to(device())

    def points(self, n: int, generator: torch.Generator) -> Batch:
        """So many points drawn of every wave, shapes (tasks, n, 1)."""
        return self.of(torch.rand(len(self.phases), n, 1, generator=generator) * 10 - 5)

    def curves(self) -> Batch:
        """Every wave at the same points from end to end, shapes (tasks, points, 1)."""
        return self.of(torch.linspace(-5, 5, _N_CURVE)[None, :, None])


def draw(n_tasks: int, generator: torch.Generator) -> Waves:
    """So many waves."""
    amplitudes = torch.rand(n_tasks, 1, 1, generator=generator) * 4.9 + 0.1
    return Waves(amplitudes, torch.rand(n_tasks, 1, 1, generator=generator) * math.pi)


def make_network() -> nn.Module:
    """The paper's network."""
    return nn.Sequential(nn.Linear(1, 40), nn.ReLU(), nn.Linear(40, 40), nn.ReLU(), nn.Linear(40, 1))


def name_of(method: str) -> str:
    """Of the files of a trained network."""
    return f"sinusoids-{method.replace(' ', '-')}"


def plan_of(method: str) -> Plan:
    """How a method's weights are trained."""
    return _PLANS.get(method, _PLAN)


def loss_of(method: str, network: nn.Module) -> Loss:
    """The loss by which a method trains, of tasks that are drawn for it."""
    losses = {
        "maml": partial(_adapted, network, first_order=False),
        "first-order maml": partial(_adapted, network, first_order=True),
        "reptile": partial(_reptile, network),
        "pretrained": partial(_pooled, network),
    }
    return lambda generator: losses[method](draw(_TASKS, generator), generator)


def _adapted(network: nn.Module, waves: Waves, generator: torch.Generator, *, first_order: bool) -> Tensor:
    support, query = waves.points(SHOTS, generator), waves.points(SHOTS, generator)
    return meta_loss(network, mse_loss, support, query, 1, INNER_RATE, first_order=first_order)


def _reptile(network: nn.Module, waves: Waves, generator: torch.Generator) -> Tensor:
    points = waves.points(_N_MINIBATCHES * SHOTS, generator)
    minibatches = tuple(part.unflatten(1, (_N_MINIBATCHES, SHOTS)) for part in points)
    return reptile_loss(network, mse_loss, minibatches, INNER_RATE)


def _pooled(network: nn.Module, waves: Waves, generator: torch.Generator) -> Tensor:
    inputs, targets = waves.points(SHOTS, generator)
    return mse_loss(network(inputs), targets)


@dataclass(frozen=True)
class Learned:
    """Waves of which ten points were known, and what was made of them after 0, 1, … STEPS gradient steps."""

    known: FloatArray  # inputs and outputs of the points, shape (2, tasks, SHOTS)
    truth: FloatArray  # inputs and outputs along the whole waves, shape (2, tasks, points)
    predicted: FloatArray  # shape (STEPS + 1, tasks, points)

    @property
    def errors(self) -> FloatArray:
        """Mean squared error along whole waves, shape (tasks, STEPS + 1)."""
        errors: FloatArray = ((self.predicted - self.truth[1]) ** 2).mean(axis=2).T
        return errors


def learn(network: nn.Module, rate: float, n_tasks: int, seed: int) -> Learned:
    """Take gradient steps of this size on so many waves, each from the network's weights; the seed draws the waves."""
    generator = torch.Generator().manual_seed(seed)
    waves = draw(n_tasks, generator)
    known, truth = waves.points(SHOTS, generator), waves.curves()
    start = detached(dict(network.named_parameters()))
    parameters = {name: value.expand(n_tasks, *value.shape) for name, value in start.items()}
    predict = vmap(lambda at, inputs: functional_call(network, at, (inputs,)))
    step = vmap(lambda at, points: adapt(network, mse_loss, at, points, 1, rate))
    predicted = [predict(parameters, truth[0])]
    for _ in range(STEPS):
        parameters = step(parameters, known)
        predicted.append(predict(parameters, truth[0]))
    return Learned(_array(known), _array(truth), _array(predicted))


def chosen_rate(method: str, network: nn.Module) -> float:
    """The rate a method was trained for, else that with the smallest error after all steps on 200 validation waves."""
    if method in TRAINED_FOR_RATE:
        return INNER_RATE

    def error(rate: float) -> float:
        found = float(learn(network, rate, 200, VALIDATION_SEED).errors[:, -1].mean())
        return found if math.isfinite(found) else math.inf

    return min(RATES, key=error)


def _array(parts: Sequence[Tensor]) -> FloatArray:
    array: FloatArray = torch.stack(tuple(parts))[..., 0].double().cpu().numpy()
    return array
