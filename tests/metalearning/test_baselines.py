import numpy as np
import pytest
from scipy.stats import rankdata

from app.metalearning.baselines import (
    average_ranks,
    best_of_first,
    gap_closed,
    normalised_regret,
    single_best,
)


def test_regret_is_zero_for_the_best_and_one_for_the_median():
    losses = np.array([[0.1, 0.2, 0.3, 0.2, 9.0]])
    assert normalised_regret(losses, np.zeros(1))[0] == pytest.approx([0, 1, 2, 1, 2])


def test_what_was_not_measured_has_the_worst_regret():
    regret = normalised_regret(np.array([[0.1, np.nan, 0.3]]), np.zeros(1))
    assert regret[0] == pytest.approx([0, 2, 2])


def test_differences_below_the_noise_count_little():
    losses = np.array([[0.100, 0.101, 0.102]])
    assert normalised_regret(losses, np.array([0.01]))[0] == pytest.approx([0, 0.1, 0.2])
    assert normalised_regret(losses, np.array([0.0]))[0] == pytest.approx([0, 1, 2])


def test_equal_configurations_have_no_regret():
    assert normalised_regret(np.full((2, 3), 0.4), np.zeros(2)).tolist() == [[0] * 3] * 2


def test_units_of_the_loss_do_not_matter():
    losses = np.random.default_rng(0).random((5, 7))
    regret = normalised_regret(losses, np.full(5, 0.1))
    assert normalised_regret(8 * losses + 3, np.full(5, 0.8)) == pytest.approx(regret)


def test_single_best_has_the_least_mean_not_the_most_wins():
    regret = np.array([[0.0, 0.3, 1.0], [0.0, 0.3, 1.0], [2.0, 0.3, 0.0]])
    assert single_best(regret) == 1
    assert single_best(regret, np.array([1.0, 1.0, 0.0])) == 0


def test_ties_share_their_mean_rank():
    assert average_ranks(np.array([[0.0, 1.0, 1.0, 2.0]])).tolist() == [1, 2.5, 2.5, 4]
    regret = np.random.default_rng(0).integers(0, 4, (20, 6)) * 1.0
    assert average_ranks(regret) == pytest.approx(rankdata(regret, axis=1).mean(axis=0))


def test_best_of_the_first_never_gets_worse():
    regret, order = np.array([0.5, 0.0, 1.0]), [2, 0, 1]
    assert [best_of_first(regret, order, k) for k in (1, 2, 3, 10)] == [1.0, 0.5, 0.0, 0.0]


def test_gap_closed_is_a_share_of_the_way_to_the_virtual_best():
    assert gap_closed(0.5, 0.5) == 0
    assert gap_closed(0.0, 0.5) == 1
    assert gap_closed(1.0, 0.5) == -1
    assert gap_closed(0.2, 0.3, vbs=0.1) == pytest.approx(0.5)
    assert gap_closed(0.0, 0.0) == 0  # nothing to close
