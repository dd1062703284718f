"""The proof must find skill where there is some, and none where there is none."""

import dataclasses

import numpy as np
import pytest

from app.metalearning.metalearners import STRATEGIES
from tests.tables import evidence
from workers.training.forests import train
from workers.training.proof import KS, prove

random = np.random.default_rng(0)
N_DATASETS = 48
# Of two configurations one is perfect and one hopeless; a third is never good and never bad.
DECIDER = np.arange(N_DATASETS) % 2
REGRET = np.column_stack([2.0 * DECIDER, 2.0 * (1 - DECIDER), np.full(N_DATASETS, 0.7)])
GROUPS = tuple(f"group {row // 6}" for row in range(N_DATASETS))
METAFEATURES = np.column_stack([DECIDER + 0.1 * random.random(N_DATASETS), random.random((N_DATASETS, 5))])


def proof_of(regret=REGRET, metafeatures=METAFEATURES, groups=GROUPS, **changes):
    known = dataclasses.replace(evidence(regret, metafeatures, groups), **changes)
    return prove(known, train)


def test_forest_finds_the_metafeature_that_decides():
    report = proof_of()
    assert report["regret"]["single_best"]["1"] == pytest.approx(0.7)
    assert report["regret"]["forest"]["1"] < 0.2
    assert set(report["regret"]) == set(STRATEGIES)
    assert report["regret"][report["default"]]["1"] < 0.3
    assert (report["datasets"], report["groups"]) == (48, 8)


def test_permuted_metafeatures_teach_nothing():
    report = proof_of(metafeatures=METAFEATURES[random.permutation(N_DATASETS)])
    assert report["regret"]["forest"]["1"] > 0.65
    assert report["regret"]["nearest"]["1"] > 0.65


def test_duplicates_in_a_group_do_not_help():
    """Datasets come in six copies, and nothing says which configuration wins: only who peeks can know."""
    copies = np.repeat(np.arange(8), 6)
    winner = np.array([0, 1, 1, 0, 0, 1, 0, 1])[copies]
    regret = np.column_stack([2.0 * winner, 2.0 * (1 - winner), np.full(N_DATASETS, 0.7)])
    vectors = random.random((8, 6))[copies]
    honest = proof_of(regret, vectors)["regret"]["forest"]["1"]
    peeking = proof_of(regret, vectors, tuple(map(str, range(N_DATASETS))))["regret"]["forest"]["1"]
    assert honest > 0.65
    assert peeking < 0.3


def test_choice_is_scored_on_the_rows_that_did_not_choose():
    other_half = np.full_like(REGRET, 1.5)
    report = proof_of(regret_b=other_half)
    assert {regret["1"] for regret in report["regret"].values()} == {1.5}


def test_more_tries_never_have_more_regret():
    regret = random.random((N_DATASETS, 12))
    for values in proof_of(regret)["regret"].values():
        numbers = [values[str(k)] for k in KS]
        assert numbers == sorted(numbers, reverse=True)


def test_default_has_the_least_regret():
    for regret in (REGRET, random.random((N_DATASETS, 6))):
        report = proof_of(regret)
        means = {
            name: np.mean([values[k] for k in ("1", "3", "5", "10")])
            for name, values in report["regret"].items()
        }
        assert means[report["default"]] == pytest.approx(min(means.values()), abs=1e-4)


def test_interval_factor_covers_nine_of_ten_held_out_losses():
    losses = random.normal(1.0, 0.2, (N_DATASETS, 20))
    factor = proof_of(losses)["interval_factor"]
    assert 1.3 < factor < 2.4  # 1.64 for a normal distribution with a known spread


def test_unmeasured_losses_do_not_disturb_the_calibration():
    losses = random.normal(1.0, 0.2, (N_DATASETS, 6))
    losses[::5, 2] = np.nan
    report = proof_of(
        headline_losses=losses,
        regret=random.random((N_DATASETS, 6)),
        regret_b=random.random((N_DATASETS, 6)),
        configurations=tuple("abcdef"),
    )
    assert np.isfinite(report["interval_factor"])
    assert all(spread >= 0.05 for spread in report["advantage_sd"])
