"""How networks are trained: the same whatever interrupts it."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `deep` is not installed")

from torch import nn  # noqa: E402

from workers.networks.training import Plan, seeded, train  # noqa: E402

pytestmark = pytest.mark.deep
PLAN = Plan(steps=60, rate=1e-2, keep_every=20)


def sine_network():
    return seeded(lambda: nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 1)), 0)


def sine_loss(network):
    def loss(generator):
        x = torch.rand(32, 1, generator=generator) * 6 - 3
        return ((network(x) - torch.sin(x)) ** 2).mean()

    return loss


def test_training_learns_and_is_the_same_again():
    losses = []
    for _ in range(2):
        network = sine_network()
        losses.append(train(network, sine_loss(network), PLAN))
    assert np.array_equal(*losses)
    assert losses[0][-10:].mean() < losses[0][:10].mean() / 2


@pytest.mark.parametrize("cut", [19, 20, 45])
def test_training_that_was_cut_off_goes_on_to_the_same_end(tmp_path, cut):
    def until_cut(steps, _):
        yield from (step for step in steps if step < cut)

    whole = sine_network()
    expected = train(whole, sine_loss(whole), PLAN)
    checkpoint = tmp_path / "kept.pt"
    first = sine_network()
    train(first, sine_loss(first), PLAN, checkpoint, until_cut)
    again = sine_network()
    losses = train(again, sine_loss(again), PLAN, checkpoint)
    assert np.array_equal(losses, expected)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])


def test_first_weights_leave_the_random_numbers_of_others_alone():
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    sine_network()
    assert torch.equal(torch.rand(3), expected)
