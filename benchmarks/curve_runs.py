"""What `make bench-curves` measures: where learning curves of unseen groups lead, as several ways of telling have it."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from rich.progress import track
from scipy.stats import norm
from scipy.stats import t as student
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

from app.metalearning.evidence import deal_folds
from app.metalearning.metalearners.layers import Weights
from app.metalearning.metalearners.levels import log_levels
from app.metalearning.metrics import METRICS
from app.metalearning.table import FloatArray, TaskType
from benchmarks.curve_data import Curve, as_curves
from benchmarks.verification import ORDERS, replay, summary, verifications
from workers.experiments.curvereading import FREEDOM, forecast
from workers.experiments.extrapolation import FEWEST_POINTS, extrapolate
from workers.networks.curves import fit_reader

N_FOLDS = 5
POINTS = (1, 2, 3, 5, 8)  # that are seen
_FLOOR = 0.01  # of log levels
_N_CHOOSING = 300  # curves, for the constants of the Gaussian process
_KERNELS = [
    ConstantKernel(size) * RBF(length) + WhiteKernel(noise)
    for size in (0.1, 0.5, 2.0)
    for length in (1.0, 3.0, 6.0)
    for noise in (0.002, 0.01, 0.05)
]
_SPREADS = np.geomspace(0.005, 2.0, 60)
_THRESHOLDS = (0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 1e-4, 1e-5, 1e-6)

# From the points that are seen and the number of all rows: the loss there, and the logarithm of a density of losses.
Tell = Callable[[Mapping[int, float], int], tuple[float, Callable[[float], float]]]


def errors(found: list[Curve]) -> dict[str, Any]:
    """Error and log-likelihood of every way on every curve, each told by what other groups teach."""
    folds = deal_folds(tuple(group for group, *_ in found), N_FOLDS)
    told: dict[str, dict[str, list[Any]]] = {}
    for fold in track(range(N_FOLDS), "folds"):
        known = [curve for curve, each in zip(found, folds, strict=True) if each != fold]
        ways = {
            "recurrent": partial(_by_network, fit_reader(as_curves(known))),
            "last value": _by_last_value(known),
            "power law": _by_power_law,
            "Gaussian process": _by_gaussian_process(known),
        }
        for group, points, n_rows, last in (
            curve for curve, each in zip(found, folds, strict=True) if each == fold
        ):
            for n_points in (each for each in POINTS if each <= len(points)):
                seen = dict(list(points.items())[:n_points])
                for way, tell in ways.items():
                    if way == "power law" and n_points < FEWEST_POINTS:
                        continue
                    expected, log_density = tell(seen, n_rows)
                    into = told.setdefault(f"{way} after {n_points}", {"group": [], "error": [], "log": []})
                    into["group"].append(group)
                    into["error"].append(abs(math.log((expected + _FLOOR) / (last + _FLOOR))))
                    into["log"].append(max(log_density(last), -20.0))
    return {"curves": len(found), "told": told}


def stopping(task_type: TaskType, found: list[Curve]) -> dict[str, float]:
    """What is saved where the network says what is hopeless, with groups that it never saw; the threshold is chosen on one half."""
    groups = tuple(group for group, *_ in found)
    folds = deal_folds(groups, N_FOLDS)
    fold_of = dict(zip(groups, folds.tolist(), strict=True))
    readers = [
        fit_reader(as_curves([curve for curve, each in zip(found, folds, strict=True) if each != fold]))
        for fold in range(N_FOLDS)
    ]

    def replayed(order: str, half: int, hopeless: float) -> dict[str, float]:
        return summary(
            [
                # Groups without curves of two points taught nobody.
                replay(metric, cells, partial(ReaderRival, readers[fold_of.get(group, 0)], hopeless))
                for group, metric, cells in verifications(task_type, order, half)
            ]
        )

    lost = "best of the ten lost [share]"
    harmless = [each for each in _THRESHOLDS if not any(replayed(order, 0, each)[lost] for order in ORDERS)]
    chosen = max(harmless, default=0.0)  # of which no chance is below
    figures = {"chance below which it is hopeless": chosen}
    for order in ORDERS:
        figures |= {f"{order}: {name}": value for name, value in replayed(order, 1, chosen).items()}
    return figures


@dataclass(frozen=True)
class ReaderRival:
    """As `extrapolation.Rival`, by a network."""

    weights: Weights
    hopeless: float
    configuration: str
    metric: str
    fold_scores: Sequence[float]

    def leaves_behind(self, curve: Sequence[Mapping[str, Any]], n_rows: int) -> float | None:
        """The chance, where there is no hope."""
        metric = METRICS[self.metric]
        points = {
            point["anchor"]: float(metric.loss(point[self.metric]))
            for point in curve
            if point.get(self.metric) is not None
        }
        if not points:
            return None
        losses = metric.loss(np.array(self.fold_scores))
        luck = float(np.std(losses, ddof=1)) if len(losses) > 1 else 0.0
        chance = forecast(self.weights, points, n_rows).chance_below(float(losses[0]), luck)
        return chance if chance < self.hopeless else None


def _by_network(weights: Weights, seen: Mapping[int, float], n_rows: int) -> tuple[float, Any]:
    found = forecast(weights, seen, n_rows)
    return math.exp(found.level) - _FLOOR, partial(_student, found.level, found.spread)


def _by_last_value(known: list[Curve]) -> Tell:
    """As wide as it was right on known curves that are as far from their end."""
    gaps, misses = _last_misses(known)

    def tell(seen: Mapping[int, float], n_rows: int) -> tuple[float, Any]:
        anchor, last = list(seen.items())[-1]
        near = np.argsort(np.abs(gaps - math.log(n_rows / anchor)), kind="stable")[:_N_CHOOSING]
        logs = student.logpdf(misses[near][None] / _SPREADS[:, None], FREEDOM).mean(axis=1) - np.log(_SPREADS)
        return last, partial(_student, float(log_levels(np.array(last))), float(_SPREADS[logs.argmax()]))

    return tell


def _last_misses(known: list[Curve]) -> tuple[FloatArray, FloatArray]:
    """Of every point: how far from the end it was, and how much the log loss changed until there."""
    gaps, misses = [], []
    for _, points, n_rows, last in known:
        levels = log_levels(np.array([*points.values(), last]))
        gaps += np.log(n_rows / np.array(list(points), dtype=np.float64)).tolist()
        misses += (levels[-1] - levels[:-1]).tolist()
    return np.array(gaps), np.array(misses)


def _by_power_law(seen: Mapping[int, float], n_rows: int) -> tuple[float, Any]:
    found = extrapolate(seen, n_rows)

    def log_density(loss: float) -> float:
        return float(np.log(found.weights @ norm.pdf(loss, found.means, found.spreads) + 1e-300))

    return found.expected, log_density


def _by_gaussian_process(known: list[Curve]) -> Tell:
    """Over log rows and log losses, against the last point; the kernel of the greatest likelihood on known curves."""
    drawn = np.random.default_rng(0).permutation(len(known))[:_N_CHOOSING]

    def likelihood(kernel: Any) -> float:
        tell = partial(_gaussian_process, kernel)
        return sum(tell(known[index][1], known[index][2])[1](known[index][3]) for index in drawn)

    return partial(_gaussian_process, max(_KERNELS, key=likelihood))


def _gaussian_process(kernel: Any, seen: Mapping[int, float], n_rows: int) -> tuple[float, Any]:
    levels = log_levels(np.array(list(seen.values())))
    places = np.log(np.array(list(seen), dtype=np.float64) / n_rows)[:, None]
    process = GaussianProcessRegressor(kernel, optimizer=None).fit(places, levels - levels[-1])
    mean, spread = process.predict(np.zeros((1, 1)), return_std=True)
    level = float(levels[-1] + mean[0])

    def log_density(loss: float) -> float:
        true = float(log_levels(np.array(loss)))
        return float(norm.logpdf(true, level, spread[0])) - math.log(loss + _FLOOR)

    return math.exp(level) - _FLOOR, log_density


def _student(level: float, spread: float, loss: float) -> float:
    """Log density of the loss where its logarithm has a Student distribution."""
    true = float(log_levels(np.array(loss)))
    return (
        float(student.logpdf((true - level) / spread, FREEDOM)) - math.log(spread) - math.log(loss + _FLOOR)
    )
