"""MAML, its first-order variant and Reptile against gradients that are taken step by step."""

import pytest

torch = pytest.importorskip("torch", reason="the extra `deep` is not installed")

from torch import nn  # noqa: E402
from torch.func import functional_call  # noqa: E402
from torch.nn.functional import mse_loss  # noqa: E402

from workers.networks.maml import adapt, detached, meta_loss, reptile_loss, task_loss  # noqa: E402
from workers.networks.training import Plan, seeded, train  # noqa: E402

pytestmark = pytest.mark.deep
RATE, STEPS, TASKS = 0.1, 3, 4


@pytest.fixture
def network():
    return seeded(lambda: nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 1)).to(torch.float64), 0).to(
        "cpu"
    )


def rows(n, seed):
    """Regression rows of several tasks, shapes (tasks, n, 2) and (tasks, n, 1)."""
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(TASKS, n, 2, generator=generator, dtype=torch.float64),
        torch.randn(TASKS, n, 1, generator=generator, dtype=torch.float64),
    )


def of_task(batch, task):
    return tuple(part[task] for part in batch)


def step_by_step(network, support, create_graph):
    """Adapted parameters by plain autograd; gradients are constants unless their graph is kept."""
    parameters = dict(network.named_parameters())
    for _ in range(STEPS):
        loss = mse_loss(functional_call(network, parameters, (support[0],)), support[1])
        slopes = torch.autograd.grad(loss, list(parameters.values()), create_graph=create_graph)
        parameters = {
            name: value - RATE * slope
            for (name, value), slope in zip(parameters.items(), slopes, strict=True)
        }
    return parameters


def gradient_of(network, value):
    return torch.autograd.grad(value, list(network.parameters()))


def assert_same(first, second):
    for one, other in zip(first, second, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


def test_second_order_gradient_is_that_through_all_steps(network):
    support, query = rows(6, 1), rows(7, 2)
    expected = 0
    for task in range(TASKS):
        adapted = step_by_step(network, of_task(support, task), create_graph=True)
        inputs, targets = of_task(query, task)
        expected += mse_loss(functional_call(network, adapted, (inputs,)), targets) / TASKS
    found = meta_loss(network, mse_loss, support, query, STEPS, RATE)
    torch.testing.assert_close(found, expected)
    assert_same(gradient_of(network, found), gradient_of(network, expected))


def test_first_order_gradient_is_that_at_the_adapted_parameters(network):
    support, query = rows(6, 1), rows(7, 2)
    slopes = []
    for task in range(TASKS):
        adapted = step_by_step(network, of_task(support, task), create_graph=False)
        leaves = {name: value.detach().requires_grad_() for name, value in adapted.items()}
        loss = task_loss(network, mse_loss, leaves, of_task(query, task))
        slopes.append(torch.autograd.grad(loss, list(leaves.values())))
    expected = [torch.stack(of_parameter).mean(dim=0) for of_parameter in zip(*slopes, strict=True)]
    first = meta_loss(network, mse_loss, support, query, STEPS, RATE, first_order=True)
    second = meta_loss(network, mse_loss, support, query, STEPS, RATE)
    torch.testing.assert_close(first, second)
    assert_same(gradient_of(network, first), expected)
    differences = [
        float((one - other).detach().abs().max())
        for one, other in zip(gradient_of(network, second), expected, strict=True)
    ]
    assert max(differences) > 1e-3


def test_a_task_is_adapted_among_others_as_alone(network):
    support = rows(6, 1)
    start = detached(dict(network.named_parameters()))

    def adapted(batch):
        return adapt(network, mse_loss, start, batch, STEPS, RATE)

    together = torch.func.vmap(adapted)(support)
    for task in range(TASKS):
        alone = adapted(of_task(support, task))
        assert_same([together[name][task] for name in start], [alone[name] for name in start])


def test_adaptation_lowers_the_loss_and_leaves_the_network_alone(network):
    support = of_task(rows(6, 1), 0)
    before = {name: value.clone() for name, value in network.named_parameters()}
    adapted = adapt(network, mse_loss, dict(network.named_parameters()), support, STEPS, RATE)
    assert task_loss(network, mse_loss, adapted, support) < task_loss(network, mse_loss, before, support)
    for name, value in network.named_parameters():
        assert torch.equal(value, before[name])


def test_parameters_that_are_not_given_are_not_adapted(network):
    support, query = rows(6, 1), rows(7, 2)
    last = {name: value for name, value in network.named_parameters() if name.startswith("2.")}
    adapted = adapt(network, mse_loss, last, of_task(support, 0), STEPS, RATE)
    assert set(adapted) == {"2.weight", "2.bias"}
    assert not torch.equal(adapted["2.weight"], last["2.weight"])
    task_loss(network, mse_loss, adapted, of_task(query, 0)).backward()
    assert network[0].weight.grad.abs().max() > 0


def test_reptile_moves_to_where_training_on_the_tasks_ends(network):
    minibatches = tuple(part.unflatten(1, (STEPS, 4)) for part in rows(4 * STEPS, 3))
    value = reptile_loss(network, mse_loss, minibatches, RATE)
    way = dict(zip(dict(network.named_parameters()), gradient_of(network, value), strict=True))
    ends = []
    for task in range(TASKS):
        parameters = detached(dict(network.named_parameters()))
        for at in range(STEPS):
            minibatch = of_task(tuple(part[:, at] for part in minibatches), task)
            parameters = adapt(network, mse_loss, parameters, minibatch, 1, RATE)
        ends.append(parameters)
    for name, start in network.named_parameters():
        expected = (start - torch.stack([end[name] for end in ends]).mean(dim=0)) / (RATE * STEPS)
        torch.testing.assert_close(way[name], expected.detach())


def test_reptile_with_one_minibatch_is_training_on_all_tasks_together(network):
    batch = rows(6, 1)
    reptile = reptile_loss(network, mse_loss, tuple(part[:, None] for part in batch), RATE)
    together = mse_loss(network(batch[0]), batch[1])
    assert_same(gradient_of(network, reptile), gradient_of(network, together))


def test_meta_training_makes_the_adapted_loss_small():
    """Tasks are lines with slopes about three, which one step from there finds."""
    network = seeded(lambda: nn.Linear(1, 1), 0)

    def loss(generator):
        slopes = 3 + torch.randn(16, 1, 1, generator=generator)
        x = torch.randn(16, 20, 1, generator=generator)
        batch = tuple(part.to(next(network.parameters()).device) for part in (x, slopes * x))
        support, query = (tuple(part[:, rows] for part in batch) for rows in (slice(10), slice(10, None)))
        return meta_loss(network, mse_loss, support, query, 1, 0.4)

    losses = train(network, loss, Plan(steps=100, rate=0.05))
    assert losses[-20:].mean() < losses[:5].mean() / 2
