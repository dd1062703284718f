"""Hold datasets out, rank them by what the others teach, and measure the regret on rows nobody chose by."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from rich.progress import track

from app.metalearning.baselines import WORST_REGRET, best_of_first, mean_regret, single_best
from app.metalearning.evidence import Evidence, deal_folds
from app.metalearning.experience import LARGEST_LOSS, weighted_losses
from app.metalearning.metalearners import AdaptiveMetaLearner, MetaLearner, all_metalearners
from app.metalearning.metalearners.trained import Trained
from app.metalearning.scaling import QuantileScale
from app.metalearning.table import FloatArray

KS = (1, 3, 5, 10, 20)
COVERAGE = 0.9
N_FOLDS = 20
_SELECTING_KS = (1, 3, 5, 10)

Train = Callable[[Evidence], Trained]
Follow = Callable[[list[str]], Iterable[str]]


def shown(about: str) -> Follow:
    """Progress as a bar in the terminal."""
    return lambda folds: track(folds, f"held out: {about}")


@dataclass(frozen=True)
class HeldOut:
    """What was seen on datasets while they were held out, one entry per dataset in the order of `rows`."""

    rows: list[int] = field(default_factory=list)
    orders: dict[str, list[list[int]]] = field(
        default_factory=dict
    )  # strategy → configurations as they were tried
    regrets: dict[str, list[list[float]]] = field(default_factory=dict)  # strategy → best of the first k
    interval_ratios: list[FloatArray] = field(default_factory=list)
    advantages: list[FloatArray] = field(default_factory=list)
    distances: list[float] = field(default_factory=list)


def prove(evidence: Evidence, train: Train, follow: Follow = iter) -> dict[str, object]:
    """Held-out regret of every way of ranking, and the calibration that held-out groups give."""
    folds = [str(fold) for fold in deal_folds(evidence.groups, N_FOLDS)]
    return summarise(evidence, hold_out(evidence, folds, train, follow))


def hold_out(
    evidence: Evidence,
    folds: Sequence[str | None],
    train: Train,
    follow: Follow,
    ks: Sequence[int] = KS,
) -> HeldOut:
    """Rank the datasets of each fold by what all others teach; where nobody tried a configuration, it cannot be chosen.

    Args:
        evidence: what is known.
        folds: the fold of every dataset; None where it only teaches, except about datasets of its own group.
        train: grows what has to be grown.
        follow: is handed the folds, and tells of the progress through them.
        ks: how many configurations are tried.
    """
    seen = HeldOut()
    for fold in follow(sorted({each for each in folds if each is not None})):
        held_out = {evidence.groups[row] for row, each in enumerate(folds) if each == fold}
        known = evidence.of(
            [
                row
                for row, each in enumerate(folds)
                if each != fold and (each is not None or evidence.groups[row] not in held_out)
            ]
        )
        trained = train(known)
        learners = all_metalearners(known, trained)
        scale = QuantileScale(known.metafeatures)
        sbs = single_best(known.regret)
        for row in (index for index, each in enumerate(folds) if each == fold):
            vector = evidence.metafeatures[row]
            truth, observed = evidence.regret_b[row], evidence.headline_losses_a[row]
            tried = [index for index, regret in enumerate(truth) if not np.isnan(regret)]
            seen.rows.append(row)
            for name, learner in learners.items():
                order = trajectory(learner, vector, tried, observed, max(ks))
                seen.orders.setdefault(name, []).append(order)
                seen.regrets.setdefault(name, []).append(
                    [best_of_first(truth, order, k, observed) for k in ks]
                )
            mean, spread = weighted_losses(known.headline_losses, trained.level.weights(vector))
            truth_losses = np.minimum(evidence.headline_losses[row], LARGEST_LOSS)
            seen.interval_ratios.append(np.abs(truth_losses - mean) / spread)
            expected = mean_regret(known.regret, trained.forest.shrunk_weights(vector))
            seen.advantages.append((truth - truth[sbs]) - (expected - expected[sbs]))
            seen.distances.append(scale.distances(vector).min())
    return seen


def trajectory(
    learner: MetaLearner, vector: FloatArray, feasible: list[int], losses: FloatArray, most: int
) -> list[int]:
    """The configurations that are tried one after another, each result told before the next choice.

    Args:
        learner: the way of ranking.
        vector: the dataset's metafeatures.
        feasible: what may be tried.
        losses: what is observed of each configuration, shape (configurations,), NaN where it fails.
        most: how many are tried.
    """
    if not isinstance(learner, AdaptiveMetaLearner):
        return learner.rank(vector, feasible, most)
    outlook, left, observed = learner.outlook(vector), list(feasible), dict[int, float]()
    while left and len(observed) < most:
        following = outlook.suggest_next(left, observed)
        left.remove(following)
        observed[following] = float(losses[following])
    return list(observed)


def summarise(evidence: Evidence, seen: HeldOut) -> dict[str, object]:
    """The report that answers quote.

    Returns: `regret` (strategy → k → mean normalised regret of the best of the first k, the virtual best has 0),
    `score` (strategy → its mean over k = 1, 3, 5, 10), `default` (the strategy with the least), `interval_factor`,
    `advantage_sd`, `distance_limit`.
    """
    means = {name: np.mean(values, axis=0) for name, values in seen.regrets.items()}
    selecting = [KS.index(k) for k in _SELECTING_KS]
    score = {name: float(np.mean(values[selecting])) for name, values in means.items()}
    ratios = np.concatenate(seen.interval_ratios)
    ratios = np.sort(ratios[~np.isnan(ratios)])
    return {
        "datasets": len(seen.rows),
        "groups": len({evidence.groups[row] for row in seen.rows}),
        "configurations": list(evidence.configurations),
        "regret": {
            name: {str(k): round(float(value), 4) for k, value in zip(KS, values, strict=True)}
            for name, values in means.items()
        },
        "score": score,
        "default": min(score, key=lambda name: score[name]),
        "interval_factor": float(np.quantile(ratios, COVERAGE)),
        "advantage_sd": _spreads(np.array(seen.advantages)),
        "distance_limit": float(np.quantile(seen.distances, 0.99)),
    }


def _spreads(advantages: FloatArray) -> list[float]:
    """Standard deviation of every configuration's advantage; the widest there is where none could be seen."""
    seen = ~np.isnan(advantages).all(axis=0)
    spreads = np.where(seen, np.nanstd(np.where(seen, advantages, 0.0), axis=0), WORST_REGRET)
    return [max(0.05, float(value)) for value in spreads]
