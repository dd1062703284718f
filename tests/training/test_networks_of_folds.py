"""Networks that never saw a fold, where there is no PyTorch to train them."""

import dataclasses

import numpy as np
import pytest

from app.metalearning.metalearners import NEURAL_STRATEGIES
from app.metalearning.table import TaskType
from tests.metalearning.test_networks_served import KNOWN, NETWORKS
from tests.tables import evidence
from workers.training import networks
from workers.training.networks import WithoutFold
from workers.training.proof import hold_out, summarise

EVIDENCE = evidence(np.random.default_rng(0).random((3, 3)), KNOWN, ("a", "b", "c"))
CLASSIFICATION = TaskType.CLASSIFICATION


def of_fold(row):
    others = [index for index in range(3) if index != row]
    shifted = {
        network: {name: array + row for name, array in weights.items()}
        for network, weights in NETWORKS.weights.items()
    }
    return WithoutFold(
        (EVIDENCE.datasets[row],), dataclasses.replace(NETWORKS, known=KNOWN[others], weights=shifted)
    )


FOLDS = [of_fold(row) for row in range(3)]


def test_networks_of_folds_come_back_in_half_precision(tmp_path):
    networks.save(FOLDS, CLASSIFICATION, tmp_path)
    for saved, back in zip(FOLDS, networks.load(EVIDENCE, CLASSIFICATION, tmp_path), strict=True):
        assert back.held_out == saved.held_out
        assert back.networks.configurations == saved.networks.configurations
        assert np.array_equal(back.networks.known, saved.networks.known)
        for network, weights in saved.networks.weights.items():
            for name, array in weights.items():
                assert back.networks.weights[network][name] == pytest.approx(array, rel=2e-3, abs=1e-3)


def test_held_out_datasets_are_ranked_by_networks_that_never_saw_them(tmp_path):
    networks.save(FOLDS, CLASSIFICATION, tmp_path)
    train = networks.training_of(EVIDENCE, CLASSIFICATION, tmp_path)
    for row in range(3):
        known = EVIDENCE.of([index for index in range(3) if index != row])
        found = train(known).networks
        assert np.array_equal(found.known, KNOWN[[index for index in range(3) if index != row]])
        weights = found.weights["recurrent"]["start.bias"]
        assert weights == pytest.approx(NETWORKS.weights["recurrent"]["start.bias"] + row, abs=5e-3)
    report = summarise(EVIDENCE, hold_out(EVIDENCE, ["0", "1", "2"], train, iter))
    assert report["regret"].keys() >= NEURAL_STRATEGIES.keys()


def test_a_fold_that_networks_saw_is_not_ranked_by_them(tmp_path):
    networks.save(FOLDS, CLASSIFICATION, tmp_path)
    train = networks.training_of(EVIDENCE, CLASSIFICATION, tmp_path)
    with pytest.raises(RuntimeError, match="train-networks"):
        train(EVIDENCE)


def test_networks_of_other_evidence_are_refused(tmp_path):
    networks.save(FOLDS, CLASSIFICATION, tmp_path)
    others = dataclasses.replace(EVIDENCE, configurations=("one", "two", "three"))
    with pytest.raises(RuntimeError, match="train-networks"):
        networks.load(others, CLASSIFICATION, tmp_path)


def test_without_networks_the_trees_are_alone(tmp_path):
    assert networks.training_of(EVIDENCE, CLASSIFICATION, tmp_path)(EVIDENCE).networks is None


def test_losses_come_back(tmp_path):
    networks.save(FOLDS, CLASSIFICATION, tmp_path)
    networks.save_losses({"embedding": np.array([2.0, 1.5])}, CLASSIFICATION, tmp_path)
    assert networks.load_losses(CLASSIFICATION, tmp_path)["embedding"].tolist() == [2.0, 1.5]
