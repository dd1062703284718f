"""Networks as NumPy serves them: steps are downhill, files hold numbers, states follow the results."""

import dataclasses

import numpy as np
import pytest

from app.metalearning.metalearners import NEURAL_STRATEGIES, STRATEGIES, all_metalearners
from app.metalearning.metalearners.layers import gru_step
from app.metalearning.metalearners.levels import log_levels
from app.metalearning.metalearners.networks import Networks
from app.metalearning.metalearners.surrogate import LAYERS, SurrogateOutlook
from app.metalearning.metalearners.trained import Trained
from tests.metalearning.test_metalearners import TRAINED
from tests.tables import evidence

N_METAFEATURES, N_CONFIGURATIONS = 2, 3
KNOWN = np.random.default_rng(1).random((3, N_METAFEATURES))


def dense_layer(random, name, inputs, outputs):
    return {
        f"{name}.weight": random.normal(size=(outputs, inputs)),
        f"{name}.bias": random.normal(size=outputs),
    }


def some_networks() -> Networks:
    """Networks that nobody trained, of few units."""
    random = np.random.default_rng(0)
    heads = {}
    for task in ("regret", "log_seconds"):
        heads |= dense_layer(random, f"heads.{task}", 4, N_CONFIGURATIONS)
        heads |= {f"mean_{task}": random.random(3), f"spread_{task}": random.random(3)}
    cell = {
        f"cell.{kind}_{of}": random.normal(size=(12, width) if kind == "weight" else 12)
        for of, width in (("ih", 6), ("hh", 4))
        for kind in ("weight", "bias")
    }
    weights = {
        "embedding": dense_layer(random, "first", 2, 5) | dense_layer(random, "second", 5, 2),
        "multitask": dense_layer(random, "first", 2, 5) | dense_layer(random, "second", 5, 4) | heads,
        "recurrent": dense_layer(random, "start", 2, 4)
        | {"tried.weight": random.normal(size=(N_CONFIGURATIONS, 2))}
        | cell
        | dense_layer(random, "choice", 4, N_CONFIGURATIONS),
        "surrogate": dense_layer(random, "about", 2, 2)
        | {"configurations.weight": random.normal(size=(N_CONFIGURATIONS, 2))}
        | dense_layer(random, "first", 4, 5)
        | dense_layer(random, "second", 5, 5)
        | dense_layer(random, "last", 5, 1)
        | {f"log_rates.{name}": np.log(0.01) for name in LAYERS}
        | {"log_spreads": np.zeros(4)},
    }
    return Networks(tuple(f"configuration {number}" for number in range(N_CONFIGURATIONS)), KNOWN, weights)


NETWORKS = some_networks()


@pytest.fixture
def learners():
    known = evidence(np.random.default_rng(0).random((3, 3)), KNOWN, ("a", "b", "c"))
    return all_metalearners(known, dataclasses.replace(TRAINED, networks=NETWORKS))


def test_networks_rank_beside_the_others(learners):
    assert {name: type(learner) for name, learner in learners.items()} == STRATEGIES | NEURAL_STRATEGIES
    for name in NEURAL_STRATEGIES:
        assert learners[name].name == name
        assert sorted(learners[name].rank(np.full(2, np.nan), [0, 1, 2])) == [0, 1, 2]
        first = learners[name].rank(np.array([0.2, 0.9]), [0, 2], 1)
        assert first == learners[name].rank(np.array([0.2, 0.9]), [0, 2])[:1]


@pytest.mark.parametrize("name", ["recurrent", "surrogate"])
def test_networks_that_read_results_change_their_mind(learners, name):
    """Of the same two configurations the one or the other was good: what is liked of a third differs."""
    outlook = learners[name].outlook(np.array([0.2, 0.9]))
    liked = outlook.scores if name == "recurrent" else lambda observed: outlook.expected(observed)[0]
    one, other = liked({0: 0.1, 1: 0.9}), liked({0: 0.9, 1: 0.1})
    assert not np.allclose(one, other)
    for observed in ({}, {0: np.nan}, {0: 0.3, 2: np.nan}):
        assert np.isfinite(liked(observed)).all()
        assert outlook.suggest_next([1], observed) == 1


def test_failures_move_the_state_and_teach_the_surrogate_nothing(learners):
    vector = np.array([0.2, 0.9])
    recurrent, surrogate = (learners[name].outlook(vector) for name in ("recurrent", "surrogate"))
    assert not np.allclose(recurrent.scores({0: np.nan}), recurrent.scores({}))
    assert np.array_equal(surrogate.expected({0: np.nan})[0], surrogate.expected({})[0])


def test_surrogate_goes_down_the_slope():
    """Every step of every layer is its rate times the slope that small changes of the weights show."""
    weights = NETWORKS.weights["surrogate"]
    inputs = np.random.default_rng(2).normal(size=(N_CONFIGURATIONS, 4))
    observed = {0: 0.3, 2: 0.8}
    rate = 1e-4  # so small that all steps have nearly the same slope
    slow = {**weights, **{f"log_rates.{name}": np.log(rate) for name in LAYERS}}

    def error(changed):
        told = SurrogateOutlook(changed, inputs).expected({})[0]
        return np.mean((told[[0, 2]] - log_levels(np.array([0.3, 0.8]))) ** 2)

    after = SurrogateOutlook(slow, inputs).expected(observed)[0]
    stepped = dict(slow)
    for name in (f"{layer}.{kind}" for layer in LAYERS for kind in ("weight", "bias")):
        slope = np.zeros_like(slow[name])
        for place in np.ndindex(slope.shape):
            ends = []
            for change in (1e-5, -1e-5):
                moved = slow[name].copy()
                moved[place] += change
                ends.append(error({**slow, name: moved}))
            slope[place] = (ends[0] - ends[1]) / 2e-5
        stepped[name] = slow[name] - 5 * rate * slope
    expected = SurrogateOutlook(stepped, inputs).expected({})[0]
    before = SurrogateOutlook(slow, inputs).expected({})[0]
    assert after - before == pytest.approx(expected - before, rel=0.05, abs=1e-6)
    assert error(slow) > np.mean((after[[0, 2]] - log_levels(np.array([0.3, 0.8]))) ** 2)


def test_spread_goes_by_the_number_of_results(learners):
    weights = {**NETWORKS.weights["surrogate"], "log_spreads": np.log([0.8, 0.4, 0.2])}
    outlook = SurrogateOutlook(weights, np.zeros((3, 4)))
    assert [outlook.expected(dict.fromkeys(range(n), 0.5))[1] for n in range(4)] == pytest.approx(
        [0.8, 0.4, 0.2, 0.2]
    )


def test_recurrent_unit_keeps_its_state_where_the_gate_is_closed():
    """A gate that is wide open for the past, then one that is shut."""
    state = np.array([0.3, -0.7])
    for bias, expected in ((50.0, state), (-50.0, np.zeros(2))):
        cell = {
            "cell.weight_ih": np.zeros((6, 1)),
            "cell.weight_hh": np.zeros((6, 2)),
            "cell.bias_ih": np.array([0, 0, bias, bias, 0, 0]),
            "cell.bias_hh": np.zeros(6),
        }
        assert gru_step(cell, "cell", np.ones(1), state) == pytest.approx(expected)


def test_networks_are_loaded_as_they_were_saved(tmp_path):
    NETWORKS.save(tmp_path / "networks.npz")
    back = Networks.load(tmp_path / "networks.npz")
    assert back.configurations == NETWORKS.configurations
    for name, values in NETWORKS.arrays().items():
        assert np.array_equal(back.arrays()[name], values)
    whole = dataclasses.replace(TRAINED, networks=NETWORKS)
    whole.save(tmp_path / "trained.npz")
    assert Trained.load(tmp_path / "trained.npz").arrays().keys() == whole.arrays().keys()


def test_pickled_networks_are_never_loaded(tmp_path):
    np.savez(tmp_path / "networks.npz", known=np.array([{"any": "object"}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        Networks.load(tmp_path / "networks.npz")
