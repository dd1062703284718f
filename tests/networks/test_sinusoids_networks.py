"""The sine waves of the MAML paper, and that first weights learned on them are worth something."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `deep` is not installed")

from dataclasses import replace  # noqa: E402

from workers.networks.toys import sinusoids, weights  # noqa: E402
from workers.networks.training import seeded, train  # noqa: E402

pytestmark = pytest.mark.deep


def test_waves_are_within_the_papers_bounds():
    generator = torch.Generator().manual_seed(3)
    waves = sinusoids.draw(2_000, generator)
    assert 0.1 <= waves.amplitudes.min() < 0.15
    assert 4.95 < waves.amplitudes.max() <= 5.0
    assert 0 <= waves.phases.min() < 0.01
    assert 3.13 < waves.phases.max() <= np.pi
    inputs, targets = (part.cpu() for part in waves.points(7, generator))
    assert inputs.shape == targets.shape == (2_000, 7, 1)
    assert inputs.abs().max() <= 5
    torch.testing.assert_close(targets, waves.amplitudes * torch.sin(inputs - waves.phases))


def test_errors_are_those_along_whole_waves_before_and_after_every_step():
    network = seeded(sinusoids.make_network, 0)
    learned = sinusoids.learn(network, 0.01, 3, seed=4)
    assert learned.errors.shape == (3, sinusoids.STEPS + 1)
    inputs, truth = torch.tensor(learned.truth, dtype=torch.float32)
    with torch.no_grad():
        before = network.cpu()(inputs[..., None])[..., 0]
    np.testing.assert_allclose(learned.errors[:, 0], ((before - truth) ** 2).mean(dim=1), rtol=1e-4)


def test_the_rate_is_the_one_trained_for_or_chosen_on_other_waves():
    network = seeded(sinusoids.make_network, 0)
    assert sinusoids.chosen_rate("maml", network) == sinusoids.INNER_RATE
    chosen = sinusoids.chosen_rate("random", network)
    errors = {
        rate: sinusoids.learn(network, rate, 200, sinusoids.VALIDATION_SEED).errors[:, -1].mean()
        for rate in (chosen, 0.001)
    }
    assert errors[chosen] < errors[0.001]


@pytest.mark.parametrize("method", sinusoids.TRAINED)
def test_every_method_trains(method):
    network = seeded(sinusoids.make_network, 0)
    before = [value.clone() for value in network.parameters()]
    losses = train(network, sinusoids.loss_of(method, network), replace(sinusoids.plan_of(method), steps=3))
    assert np.isfinite(losses).all()
    assert all(not torch.equal(*pair) for pair in zip(before, network.parameters(), strict=True))


def test_what_ships_learns_a_wave_in_one_step_where_others_do_not():
    errors = {}
    for method in ("maml", "pretrained"):
        network = seeded(sinusoids.make_network, 0)
        weights.load(network, weights.path_of(sinusoids.name_of(method)))
        errors[method] = sinusoids.learn(network, sinusoids.INNER_RATE, 100, seed=1_000_000_007).errors.mean(
            axis=0
        )
    assert errors["maml"][1] < errors["maml"][0] / 2
    assert errors["maml"][1] < errors["pretrained"][1] / 2
