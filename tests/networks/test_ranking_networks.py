"""Networks that rank learn what there is to learn, and NumPy serves what PyTorch trained."""

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `deep` is not installed")

from app.metalearning.metalearners.embedding import EmbeddedDatasets  # noqa: E402
from app.metalearning.metalearners.levels import log_levels  # noqa: E402
from app.metalearning.metalearners.multitask import REGRET, MultiTask  # noqa: E402
from tests.tables import evidence  # noqa: E402
from workers.networks.ranking import embedding, fitting, multitask, recurrent, surrogate  # noqa: E402
from workers.networks.ranking.lessons import Lessons, as_tensor  # noqa: E402
from workers.networks.training import seeded  # noqa: E402

pytestmark = pytest.mark.deep

random = np.random.default_rng(0)
N_DATASETS = 48
# One metafeature says which of two configurations wins; a third is never good and never bad.
DECIDER = np.arange(N_DATASETS) % 2
REGRETS = np.column_stack([2.0 * DECIDER, 2.0 * (1 - DECIDER), np.full(N_DATASETS, 0.7)])
VECTORS = np.column_stack([DECIDER + 0.1 * random.random(N_DATASETS), random.random((N_DATASETS, 5))])
KNOWN = evidence(REGRETS, VECTORS, tuple(map(str, range(N_DATASETS))))
SECRET = evidence(REGRETS, random.random((N_DATASETS, 6)), KNOWN.groups)


@pytest.fixture
def short(monkeypatch):
    steps = {"surrogate": 300}
    plans = {
        name: dataclasses.replace(plan, steps=steps.get(name, 80)) for name, plan in fitting.PLANS.items()
    }
    monkeypatch.setattr(fitting, "PLANS", plans)


@pytest.mark.usefixtures("short")
def test_networks_find_the_metafeature_that_decides():
    networks = fitting.fit_networks(KNOWN).networks
    learners = [
        EmbeddedDatasets(networks.encoder, KNOWN.regret, KNOWN.metafeatures),
        MultiTask(networks.shared),
        networks.surrogate,
        networks.recurrent,
    ]
    for learner in learners:
        for decided in (0, 1):
            vector = np.array([decided + 0.05, *random.random(5)])
            assert learner.rank(vector, [0, 1, 2])[0] == decided, learner.name


@pytest.mark.usefixtures("short")
def test_networks_that_read_results_find_what_no_metafeature_tells():
    networks = fitting.fit_networks(SECRET, names=("surrogate", "recurrent")).networks
    for learner in (networks.surrogate, networks.recurrent):
        outlook = learner.outlook(random.random(6))
        for failed, right in ((0, 1), (1, 0)):
            assert outlook.suggest_next([right, 2], {failed: 2.0}) == right, learner.name


def test_a_cut_off_fit_goes_on_to_the_same_networks(tmp_path, monkeypatch):
    plans = {"embedding": dataclasses.replace(fitting.PLANS["embedding"], steps=20, keep_every=5)}
    monkeypatch.setattr(fitting, "PLANS", plans)
    whole = fitting.fit_networks(KNOWN, names=["embedding"])

    class CutOffError(Exception):
        pass

    def cut_off(steps, _):
        for step in steps:
            if step == 12:
                raise CutOffError
            yield step

    with pytest.raises(CutOffError):
        fitting.fit_networks(KNOWN, tmp_path, ["embedding"], lambda _: cut_off)
    again = fitting.fit_networks(KNOWN, tmp_path, ["embedding"])
    assert np.array_equal(again.losses["embedding"], whole.losses["embedding"])
    for name, values in whole.networks.arrays().items():
        assert np.array_equal(again.networks.arrays()[name], values)


class TestServedAsTrained:
    """The numbers that NumPy computes are those of PyTorch."""

    lessons = Lessons.of(KNOWN)

    def served(self, **networks):
        return fitting.as_served(KNOWN, networks)

    def test_embedding(self):
        tower = seeded(lambda: embedding.Tower(6), 0).eval()
        places = self.served(embedding=tower).encoder.places(VECTORS)
        assert places == pytest.approx(tower(self.lessons.inputs).detach().numpy(), abs=1e-5)

    def test_multitask(self):
        targets = multitask.targets_of(KNOWN)
        network = seeded(lambda: multitask.Shared(6, targets), 0).eval()
        told = network(self.lessons.inputs)[REGRET].detach().numpy()
        told = REGRETS.mean(axis=0) + np.maximum(REGRETS.std(axis=0), 1e-3) * told
        served = self.served(multitask=network).shared
        assert np.stack([served.expected(each, REGRET) for each in VECTORS]) == pytest.approx(told, abs=1e-5)

    def test_surrogate(self):
        network = seeded(lambda: surrogate.Network(6, 3), 0)
        seen = torch.tensor([[True, False, True]])
        told = surrogate.adapted(
            network, network.inputs(self.lessons.inputs[:1]), as_tensor(log_levels(REGRETS[:1])), seen
        )
        outlook = self.served(surrogate=network).surrogate.outlook(VECTORS[0])
        levels, _ = outlook.expected({0: REGRETS[0, 0], 2: REGRETS[0, 2]})
        assert levels == pytest.approx(told[0].detach().numpy(), abs=1e-5)

    def test_recurrent(self):
        network = seeded(lambda: recurrent.Proposer(6, 3), 0)
        levels = as_tensor(log_levels(np.array([0.7, np.nan, 0.2])))
        state = torch.tanh(network.start(self.lessons.inputs[:1]))
        first = best = torch.full((1,), torch.nan)
        for index in (0, 1, 2):
            told = recurrent.told_of_many(levels[index][None], first, best)
            state = network.cell(torch.cat([network.tried(torch.tensor([index])), told], dim=1), state)
            first, best = (
                torch.where(first.isnan(), levels[index][None], first),
                torch.fmin(best, levels[index][None]),
            )
        outlook = self.served(recurrent=network).recurrent.outlook(VECTORS[0])
        expected = network.choice(state)[0].detach().numpy()
        assert outlook.scores({0: 0.7, 1: np.nan, 2: 0.2}) == pytest.approx(expected, abs=1e-5)
