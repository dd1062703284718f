"""What `make bench-networks` measures: networks that rank, on datasets whose groups they never saw."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from rich.progress import track
from scipy.stats import rankdata, spearmanr

from app.metalearning.baselines import best_of_first
from app.metalearning.evidence import Evidence
from app.metalearning.metadataset import DATA_DIR, load_evidence
from app.metalearning.metalearners import MetaLearner
from app.metalearning.metalearners.embedding import EmbeddedDatasets
from app.metalearning.metalearners.forest import MultiOutputForest
from app.metalearning.metalearners.hybrid import Hybrid
from app.metalearning.metalearners.multitask import REGRET, SECONDS, MultiTask
from app.metalearning.metalearners.nearest import NearestDatasets
from app.metalearning.metalearners.networks import Networks
from app.metalearning.metalearners.portfolio import GreedyPortfolio
from app.metalearning.scaling import QuantileScale
from app.metalearning.table import FloatArray, TaskType
from benchmarks.public_matrices import TimedMatrix
from workers.networks.ranking.fitting import PLANS, as_served, fit_networks
from workers.networks.ranking.lessons import Lessons
from workers.networks.ranking.multitask import MaskedError, Shared, targets_of
from workers.networks.training import seeded, train
from workers.training import networks
from workers.training.forests import fit_forest
from workers.training.proof import trajectory

KS = (1, 3, 5, 10, 20)
N_RANDOM_ORDERS = 50
# Tasks of which networks of their own are trained, to see what sharing is worth.
COMPARED = {
    TaskType.CLASSIFICATION: (REGRET, "log_loss", SECONDS),
    TaskType.REGRESSION: (REGRET, "rmse", SECONDS),
}
TELLERS = ("shared network", "network of its own", "forest", "mean")


def ways(task_type: TaskType) -> dict[str, Any]:
    """Regret on the shipped meta-dataset, by the networks that ship for each fold."""
    evidence = load_evidence(task_type)
    return _ranked(evidence, _shipped_folds(evidence, task_type))


def ways_on_oboe(matrix: TimedMatrix, partition: str) -> dict[str, Any]:
    """The same on Oboe's error matrix, on one of its fixed partitions; the networks are trained here."""
    evidence, folds = matrix.evidence, matrix.folds[partition]

    def trained() -> Iterator[tuple[list[int], Networks]]:
        for fold in sorted(set(folds)):
            held_out = [row for row, each in enumerate(folds) if each == fold]
            known = evidence.of([row for row in range(len(folds)) if row not in held_out])
            yield held_out, fit_networks(known).networks

    return _ranked(evidence, trained())


def _shipped_folds(evidence: Evidence, task_type: TaskType) -> Iterator[tuple[list[int], Networks]]:
    for fold in networks.load(evidence, task_type, DATA_DIR):
        yield [row for row, name in enumerate(evidence.datasets) if name in fold.held_out], fold.networks


def _ranked(evidence: Evidence, folds: Iterator[tuple[list[int], Networks]]) -> dict[str, Any]:
    """Regret of the best of the first k, for every held-out dataset."""
    regrets: dict[str, list[list[float]]] = {}
    groups: list[str] = []
    random = np.random.default_rng(0)
    for held_out, found in folds:
        known = evidence.of([row for row in range(len(evidence.datasets)) if row not in held_out])
        learners = _learners(known, found)
        for row in held_out:
            truth, observed = evidence.regret_b[row], evidence.headline_losses_a[row]
            tried = np.flatnonzero(~np.isnan(truth)).tolist()
            groups.append(evidence.groups[row])
            for learner in learners:
                order = trajectory(learner, evidence.metafeatures[row], tried, observed, max(KS))
                regrets.setdefault(learner.name, []).append(_best(truth, order, observed))
            orders = [random.permutation(tried).tolist() for _ in range(N_RANDOM_ORDERS)]
            mean = np.mean([_best(truth, order, observed) for order in orders], axis=0)
            regrets.setdefault("random", []).append(mean.tolist())
    return {"groups": groups, "ks": list(KS), "regret": regrets}


def _best(truth: FloatArray, order: list[int], observed: FloatArray) -> list[float]:
    return [best_of_first(truth, order, k, observed) for k in KS]


def _learners(known: Evidence, found: Networks) -> list[MetaLearner]:
    forest = fit_forest(known.metafeatures, known.regret)
    return [
        GreedyPortfolio(known.regret),
        NearestDatasets(known.regret, known.metafeatures),
        MultiOutputForest(forest, known.regret),
        Hybrid(forest, known.regret, known.headline_losses),
        EmbeddedDatasets(found.encoder, known.regret, known.metafeatures),
        MultiTask(found.shared),
        found.surrogate,
        found.recurrent,
    ]


def distances(task_type: TaskType) -> dict[str, Any]:
    """Whether what lies near has a similar profile: rank correlation of both distances, from each held-out dataset."""
    evidence = load_evidence(task_type)
    agreement: dict[str, list[float]] = {
        name: [] for name in ("learned", "forest", "metafeatures", "learned, places exchanged")
    }
    groups: list[str] = []
    random = np.random.default_rng(0)
    for held_out, found in _shipped_folds(evidence, task_type):
        known = evidence.of([row for row in range(len(evidence.datasets)) if row not in held_out])
        learner = EmbeddedDatasets(found.encoder, known.regret, known.metafeatures)
        scale, forest = QuantileScale(known.metafeatures), fit_forest(known.metafeatures, known.regret)
        for row in held_out:
            vector = evidence.metafeatures[row]
            profile = np.linalg.norm(known.regret - evidence.regret[row], axis=1)
            learned = learner.distances(vector)
            for name, distance in (
                ("learned", learned),
                ("forest", -forest.weights(vector)),
                ("metafeatures", scale.distances(vector)),
                ("learned, places exchanged", random.permutation(learned)),
            ):
                agreement[name].append(float(spearmanr(distance, profile).statistic))
            groups.append(evidence.groups[row])
    return {"groups": groups, "agreement": agreement}


def tasks(task_type: TaskType) -> dict[str, Any]:
    """What sharing is worth: how well held-out numbers are told by the shared network, by one of its own, and by a forest.

    Of every held-out dataset the rank correlation over configurations, and the mean absolute error in standard deviations of
    the known datasets' numbers.
    """
    evidence = load_evidence(task_type)
    targets = targets_of(evidence)
    told: dict[str, dict[str, dict[str, list[float]]]] = {
        task: {name: {"correlation": [], "error": []} for name in TELLERS} for task in COMPARED[task_type]
    }
    groups: list[str] = []
    folds = list(_shipped_folds(evidence, task_type))
    for held_out, found in track(folds, f"{task_type}, tasks"):
        seen = [row for row in range(len(evidence.datasets)) if row not in held_out]
        known = evidence.of(seen)
        groups += [evidence.groups[row] for row in held_out]
        for task, measured in told.items():
            values = targets[task]
            spread = np.maximum(np.nanstd(values[seen], axis=0), 1e-9)
            ways_of_telling = {
                "shared network": partial(found.shared.expected, task=task),
                "network of its own": _alone(known, task, values[seen]),
                "forest": _by_forest(known.metafeatures, values[seen]),
                "mean": _by_mean(values[seen]),
            }
            for row in held_out:
                for name, tell in ways_of_telling.items():
                    _note(measured[name], tell(evidence.metafeatures[row]), values[row], spread)
    return {"groups": groups, "told": told}


def _alone(known: Evidence, task: str, values: FloatArray) -> Callable[[FloatArray], FloatArray]:
    """A network like the shared one that learns this task only."""
    lessons, targets = Lessons.of(known), {task: values}
    plan = PLANS["multitask"]
    network = seeded(lambda: Shared(known.metafeatures.shape[1], targets), plan.seed)
    train(network, MaskedError(network, lessons, targets), plan)
    served = as_served(known, {"multitask": network}).shared
    return lambda vector: served.expected(vector, task)


def _by_mean(values: FloatArray) -> Callable[[FloatArray], FloatArray]:
    mean = np.nanmean(values, axis=0)
    return lambda _: mean


def _by_forest(metafeatures: FloatArray, values: FloatArray) -> Callable[[FloatArray], FloatArray]:
    forest = fit_forest(metafeatures, values)
    known = ~np.isnan(values)

    def tell(vector: FloatArray) -> FloatArray:
        weights = forest.weights(vector)
        share = weights @ known
        mean = weights @ np.where(known, values, 0.0) / np.where(share > 0, share, 1.0)
        return np.where(share > 0, mean, np.nanmean(values, axis=0))

    return tell


def _note(measured: dict[str, list[float]], told: FloatArray, true: FloatArray, spread: FloatArray) -> None:
    here = ~np.isnan(true)
    error = np.abs(told - true)[here] / spread[here]
    measured["error"].append(float(error.mean()))
    both = (rankdata(told[here]), rankdata(true[here]))
    varies = all(np.ptp(each) > 0 for each in both)
    measured["correlation"].append(float(np.corrcoef(*both)[0, 1]) if varies else 0.0)
