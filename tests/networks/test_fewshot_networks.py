"""Networks that learn from few rows: what they are trained on, what they promise, and that NumPy computes the same."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `deep` is not installed")

from app.metalearning.fewshot.task import Task  # noqa: E402
from workers.experiments.fewshot import adapting, classical, incontext, prototypical  # noqa: E402
from workers.experiments.fewshot.weights import read  # noqa: E402
from workers.networks.fewshot import tasks as generated  # noqa: E402
from workers.networks.fewshot.learners import LEARNERS, cross_entropy, ship  # noqa: E402
from workers.networks.fewshot.standardising import standardised  # noqa: E402
from workers.networks.training import Plan, seeded, train  # noqa: E402

pytestmark = pytest.mark.deep
IN_NUMPY = {"prototypical": prototypical.predict, "in_context": incontext.predict, "maml": adapting.predict}


def batch(seed, count=4):
    return generated.draw(torch.Generator().manual_seed(seed), count)


def as_task(tasks, index):
    arrays = (each[index].double().numpy() for each in (tasks.support, tasks.queries))
    support, queries = arrays
    return Task(support, tasks.labels[index].numpy(), queries, tasks.n_classes)


def test_tasks_are_those_of_their_seed_and_all_classes_are_there():
    for seed in range(30):
        tasks, again = batch(seed), batch(seed)
        assert torch.equal(tasks.support, again.support)
        assert torch.equal(tasks.queries, again.queries)
        assert torch.isfinite(tasks.support).all()
        assert torch.isfinite(tasks.queries).all()
        for labels in (*tasks.labels, *tasks.answers):
            assert set(labels.tolist()) == set(range(tasks.n_classes))
    assert not torch.equal(batch(0).support[0, 0], batch(0).support[1, 0])


def test_tasks_can_be_learned_but_not_all_of_them():
    beyond_chance = []
    for seed in range(40):
        tasks = batch(seed)
        for index in range(len(tasks.support)):
            shares = classical.nearest(as_task(tasks, index))
            right = (shares.argmax(axis=1) == tasks.answers[index].numpy()).mean()
            beyond_chance.append((right - 1 / tasks.n_classes) / (1 - 1 / tasks.n_classes))
    assert 0.1 < np.mean(beyond_chance) < 0.6
    assert np.mean(np.array(beyond_chance) > 0.9) < 0.2


@pytest.mark.parametrize("name", LEARNERS)
def test_numpy_computes_what_the_network_does(name, tmp_path):
    make, plan = LEARNERS[name]
    network = seeded(make, 1)
    for value in network.parameters():
        value.data *= 1.5  # so that little things would show
    ship(network, np.ones(10), plan, tmp_path / "weights.npz")
    weights = read(tmp_path / "weights.npz")
    network.load_state_dict({each: torch.from_numpy(array) for each, array in weights.arrays.items()})
    for seed in range(12):
        tasks = batch(seed)
        double = replace(tasks, support=tasks.support.double(), queries=tasks.queries.double())
        torch.set_default_dtype(torch.float64)
        try:
            expected = network.double()(double).exp().detach().numpy()
        finally:
            torch.set_default_dtype(torch.float32)
        for index in range(len(tasks.support)):
            found = IN_NUMPY[name](weights, as_task(tasks, index))
            assert np.abs(found - expected[index]).max() < 1e-6


@pytest.mark.parametrize("name", LEARNERS)
def test_a_query_is_answered_the_same_whoever_else_is_asked(name):
    network = seeded(LEARNERS[name][0], 0)
    tasks = batch(3)
    alone = replace(tasks, queries=tasks.queries[:, :1], answers=tasks.answers[:, :1])
    assert torch.allclose(network(tasks)[:, :1], network(alone), atol=1e-5)


def clearly_ordered(tasks):
    """Whether no two features are alike in relevance: those stay as they came."""
    relevance = standardised(tasks)[1]
    return relevance.shape[1] > 3 and (relevance[:, :-1] - relevance[:, 1:]).min() > 0.0011


@pytest.mark.parametrize("name", LEARNERS)
def test_the_order_of_columns_makes_no_difference(name):
    network = seeded(LEARNERS[name][0], 0)
    tasks = next(tasks for tasks in (batch(seed, 1) for seed in range(1000)) if clearly_ordered(tasks))
    turned = replace(tasks, support=tasks.support.flip(2), queries=tasks.queries.flip(2))
    assert torch.allclose(network(tasks), network(turned), atol=1e-4)
    scrambled = replace(tasks, support=tasks.support.flip(2))
    assert not torch.allclose(network(tasks), network(scrambled), atol=1e-4)


@pytest.mark.parametrize("name", LEARNERS)
def test_learners_learn_from_generated_tasks(name):
    make, plan = LEARNERS[name]
    network = seeded(make, 0)

    def loss_elsewhere():
        with torch.no_grad():
            return np.mean([float(cross_entropy(network, batch(10**9 + seed))) for seed in range(60)])

    before = loss_elsewhere()
    train(
        network,
        lambda generator: cross_entropy(network, generated.draw(generator, 8)),
        Plan(steps=80, rate=plan.rate),
    )
    assert loss_elsewhere() < before - 0.02
