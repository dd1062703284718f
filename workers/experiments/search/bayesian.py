"""Choosing trials by a model of what was seen: TPE as Optuna has it, and a Gaussian process.

Both see the search spaces as unit cubes, so that logarithmic ranges and whole numbers mean to them what they mean to a grid.
"""

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial
from scipy.stats import norm, rankdata
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from app.metalearning.portfolio import Configuration
from app.metalearning.portfolio.spaces import Choice, Hyperparameter
from app.metalearning.search import Spaces
from app.metalearning.table import FloatArray
from workers.experiments.search.history import History, Point, Random, Seen
from workers.experiments.search.sampling import at_random

_ALGORITHM = "algorithm"
# A model of fewer results is worth less than chance.
_FEWEST_SCORES = 5
_ASKED = 5  # so often; what was tried before is passed over
_CANDIDATES, _NEIGHBOURS, _NEAREST = 1_500, 60, 5
_MOST_OF_EACH = 120  # of the best, and of the others
_STEP = 0.1  # standard deviation of a neighbour's coordinate in the unit cube
_UNIT = FloatDistribution(0.0, 1.0)


def tpe(history: History, random: Random) -> Iterator[Point]:
    """The tree-structured Parzen estimator (Bergstra et al. 2011), multivariate and by groups of what occurs together."""
    if len(history.scored) >= _FEWEST_SCORES:
        for _ in range(_ASKED):
            yield _ask_tpe(history, int(random.integers(2**31)))
    yield from at_random(history, random)


def _ask_tpe(history: History, seed: int) -> Point:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that options are experimental
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler = optuna.samplers.TPESampler(
            n_startup_trials=0, multivariate=True, group=True, constant_liar=True, seed=seed
        )
        study = optuna.create_study(sampler=sampler)
        study.add_trials(_trials(history))
        trial = study.ask()
        name = trial.suggest_categorical(_ALGORITHM, list(history.spaces))

        def position(hyperparameter: Hyperparameter) -> float:
            key = f"{name}.{hyperparameter.name}"
            if not isinstance(hyperparameter, Choice):
                return trial.suggest_float(key, 0.0, 1.0)
            size = len(hyperparameter.values)
            return (int(trial.suggest_categorical(key, list(range(size)))) + 0.5) / size

        return Point(name, history.spaces[name].chosen(position))


def _trials(history: History) -> list[FrozenTrial]:
    """What was seen, what failed as what is no better than anything, and what is under way."""
    trials = []
    for each in history.seen:
        ended = TrialState.PRUNED if each.loss is None else TrialState.COMPLETE
        trials.append(_trial(history.spaces, each.configuration, ended, each.loss))
    trials += [_trial(history.spaces, each, TrialState.RUNNING, None) for each in history.pending]
    return trials


def _trial(
    spaces: Spaces, configuration: Configuration, state: TrialState, loss: float | None
) -> FrozenTrial:
    name = configuration.algorithm.name
    params: dict[str, Any] = {_ALGORITHM: name}
    distributions: dict[str, Any] = {_ALGORITHM: CategoricalDistribution(list(spaces))}
    positions = spaces[name].positions(configuration.hyperparameters)
    for each in spaces[name].hyperparameters:
        if each.name not in positions:
            continue
        key, position = f"{name}.{each.name}", positions[each.name]
        if isinstance(each, Choice):
            size = len(each.values)
            params[key] = min(int(position * size), size - 1)
            distributions[key] = CategoricalDistribution(list(range(size)))
        else:
            params[key], distributions[key] = position, _UNIT
    return create_trial(state=state, value=loss, params=params, distributions=distributions)


def gp(history: History, random: Random) -> Iterator[Point]:
    """A Gaussian process over all algorithms at once, and what it expects the largest improvement of (Snoek et al. 2012).

    Optuna's own one models only what all trials have in common, which of several algorithms is next to nothing, and needs
    PyTorch. What is under way counts as what is expected of it, so that trials at once differ.
    """
    if len(history.scored) >= _FEWEST_SCORES:
        yield from _most_promising(history, random)
    yield from at_random(history, random)


def _most_promising(history: History, random: Random) -> Iterator[Point]:
    coded = _Coding(history.spaces)
    seen = _some(history, random)
    known = [Point(each.algorithm, each.configuration.hyperparameters) for each in seen]
    losses = _comparable([each.loss for each in seen])
    points = coded.rows(known)
    model = _fitted(points, losses, optimize=True)
    if history.pending:
        waiting = coded.rows([Point(each.algorithm.name, each.hyperparameters) for each in history.pending])
        points = np.vstack([points, waiting])
        losses = np.concatenate([losses, model.predict(waiting)])
        model = _fitted(points, losses, kernel=model.kernel_, optimize=False)
    best = [known[index] for index in np.argsort(losses[: len(known)])[:_NEAREST]]
    candidates = [*_anywhere(history, random), *_around(history.spaces, best, random)]
    mean, spread = model.predict(coded.rows(candidates), return_std=True)
    for index in np.argsort(-_expected_improvement(losses.min(), mean, spread))[:_ASKED]:
        yield candidates[index]


def _some(history: History, random: Random) -> Sequence[Seen]:
    """All that was seen, or of a long history the best and a draw of the others: the process costs their number cubed."""
    if len(history.seen) <= 2 * _MOST_OF_EACH:
        return history.seen
    ranked = sorted(history.seen, key=lambda each: np.inf if each.loss is None else each.loss)
    best, others = ranked[:_MOST_OF_EACH], ranked[_MOST_OF_EACH:]
    drawn = random.choice(len(others), _MOST_OF_EACH, replace=False)
    return [*best, *(others[index] for index in sorted(drawn.tolist()))]


class _Coding:
    """Points as rows of numbers: which algorithm, and its place in the unit cube; other algorithms' places are their middles."""

    def __init__(self, spaces: Spaces) -> None:
        self.spaces = spaces
        self.algorithms = {name: index for index, name in enumerate(spaces)}
        places = [(name, each.name) for name, space in spaces.items() for each in space.hyperparameters]
        self.places = {place: len(spaces) + index for index, place in enumerate(places)}

    def rows(self, points: list[Point]) -> FloatArray:
        """Shape (points, algorithms + hyperparameters)."""
        rows = np.zeros((len(points), len(self.algorithms) + len(self.places)))
        rows[:, len(self.algorithms) :] = 0.5
        for row, (name, hyperparameters) in zip(rows, points, strict=True):
            row[self.algorithms[name]] = 1.0
            for each, position in self.spaces[name].positions(hyperparameters).items():
                row[self.places[name, each]] = position
        return rows


def _comparable(losses: list[float | None]) -> FloatArray:
    """Losses as normal scores of their ranks, so that absurd ones do not rule; what failed is as bad as the worst."""
    worst = max((loss for loss in losses if loss is not None), default=0.0)
    ranks = rankdata([worst if loss is None else loss for loss in losses])  # of equal losses the same
    scores: FloatArray = norm.ppf((ranks - 0.5) / len(losses))
    return scores


def _fitted(
    points: FloatArray, losses: FloatArray, *, optimize: bool, kernel: Any = None
) -> GaussianProcessRegressor:
    kernel = kernel or ConstantKernel(1.0, (0.1, 10.0)) * Matern(0.5, (0.1, 3.0), nu=2.5) + WhiteKernel(
        0.1, (1e-3, 1.0)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a length is at its end
        optimizer = "fmin_l_bfgs_b" if optimize else None
        return GaussianProcessRegressor(kernel, optimizer=optimizer).fit(points, losses)


def _anywhere(history: History, random: Random) -> list[Point]:
    points: list[Point] = []
    while len(points) < _CANDIDATES:
        points += at_random(history, random)
    return points[:_CANDIDATES]


def _around(spaces: Spaces, best: list[Point], random: Random) -> list[Point]:
    """Neighbours of the best, a small step away in some of their coordinates."""
    points = []
    for name, hyperparameters in best:
        space = spaces[name]
        places = space.positions(hyperparameters)
        for _ in range(_NEIGHBOURS):

            def position(each: Hyperparameter, places: dict[str, float] = places) -> float:
                usual = places.get(each.name)
                if usual is None or (isinstance(each, Choice) and random.random() < _STEP):
                    return float(random.random())
                step = 0.0 if isinstance(each, Choice) else random.normal(0.0, _STEP)
                return float(np.clip(usual + step, 0.0, 1.0))

            points.append(Point(name, space.chosen(position)))
    return points


def _expected_improvement(best: float, mean: FloatArray, spread: FloatArray) -> FloatArray:
    spread = np.maximum(spread, 1e-9)
    ratio = (best - mean) / spread
    improvement: FloatArray = spread * (ratio * norm.cdf(ratio) + norm.pdf(ratio))
    return improvement
