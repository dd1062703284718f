"""Leave one group of datasets out, rank it by what the others teach, and measure the regret on rows nobody chose by."""

from collections.abc import Callable

import numpy as np
from rich.progress import track

from app.metalearning.baselines import best_of_first, single_best
from app.metalearning.metadataset import Evidence
from app.metalearning.metalearners import MetaLearner, ProximityForest, simple_metalearners
from app.metalearning.metalearners.forest import ForestArrays
from app.metalearning.recommendation import LARGEST_LOSS, weighted_losses
from app.metalearning.scaling import QuantileScale
from app.metalearning.table import FloatArray

KS = (1, 3, 5, 10)
COVERAGE = 0.9
_SELECTING_KS = (1, 3, 5)

FitForest = Callable[[FloatArray, FloatArray], ForestArrays]
FitLevel = Callable[[Evidence], ForestArrays]


def prove(evidence: Evidence, fit_forest: FitForest, fit_level: FitLevel) -> dict[str, object]:
    """Held-out regret of every way of ranking, and the calibration that held-out datasets give.

    Returns: `regret` (strategy → k → mean normalised regret of the best of the first k, the virtual best has 0),
    `default` (the strategy with the least mean over k = 1, 3, 5), `interval_factor`, `advantage_sd`, `distance_limit`.
    """
    n_configurations = len(evidence.configurations)
    everything = list(range(n_configurations))
    regrets: dict[str, list[list[float]]] = {}
    interval_ratios, advantages, distances = [], [], []
    groups = sorted(set(evidence.groups))
    for group in track(groups, f"held out: {evidence.task_type}"):
        known = evidence.without_group(group)
        learners: dict[str, MetaLearner] = simple_metalearners(known)
        forest = ProximityForest(fit_forest(known.metafeatures, known.regret), known.regret)
        learners["forest"] = forest
        level = fit_level(known)
        scale = QuantileScale(known.metafeatures)
        sbs = single_best(known.regret)
        for row in (index for index, each in enumerate(evidence.groups) if each == group):
            vector = evidence.metafeatures[row]
            for name, learner in learners.items():
                order = learner.rank(vector, everything)
                scores = [best_of_first(evidence.regret_b[row], order, k) for k in KS]
                regrets.setdefault(name, []).append(scores)
            mean, spread = weighted_losses(known.headline_losses, level.weights(vector))
            truth_losses = np.minimum(evidence.headline_losses[row], LARGEST_LOSS)
            interval_ratios.append(np.abs(truth_losses - mean) / spread)
            expected = forest.expected_regret(vector)
            truth = evidence.regret_b[row]
            advantages.append((truth - truth[sbs]) - (expected - expected[sbs]))
            distances.append(scale.distances(vector).min())
    means = {name: np.mean(values, axis=0) for name, values in regrets.items()}
    selecting = [KS.index(k) for k in _SELECTING_KS]
    ratios = np.concatenate(interval_ratios)
    ratios = np.sort(ratios[~np.isnan(ratios)])
    return {
        "datasets": len(evidence.datasets),
        "groups": len(groups),
        "configurations": list(evidence.configurations),
        "regret": {
            name: {str(k): round(float(value), 4) for k, value in zip(KS, values, strict=True)}
            for name, values in means.items()
        },
        "default": min(means, key=lambda name: float(np.mean(means[name][selecting]))),
        "interval_factor": float(np.quantile(ratios, COVERAGE)),
        "advantage_sd": [max(0.05, float(value)) for value in np.std(advantages, axis=0)],
        "distance_limit": float(np.quantile(distances, 0.99)),
    }
