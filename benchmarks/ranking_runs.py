"""What `make bench-recommender` measures: ways of ranking on datasets whose groups they have not seen."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from rich.progress import track

from app.metalearning.baselines import WORST_REGRET, best_of_first
from app.metalearning.costs import LocalLaw, PowerLaw, fit_costs, fit_power_laws
from app.metalearning.evidence import Evidence, deal_folds
from app.metalearning.importing.evidence import as_evidence, measured_rows
from app.metalearning.importing.matrix import PerformanceMatrix
from app.metalearning.learned import seen_by
from app.metalearning.metadataset import load_evidence
from app.metalearning.metafeatures import LEARNED, SCHEMA
from app.metalearning.metalearners.hybrid import Hybrid, HybridOutlook
from app.metalearning.metalearners.portfolio import greedy_order
from app.metalearning.metrics import headline_metric
from app.metalearning.protocol import ANCHORS
from app.metalearning.table import FloatArray, TaskType
from app.metalearning.uncertainty import factor_after
from benchmarks.public_matrices import TimedMatrix
from workers.training import importing, proof
from workers.training.fitting import folds_of
from workers.training.forests import fit_forest, train
from workers.training.uncertainty import Seen, first_stops, summarise
from workers.training.uncertainty import hold_out as held_out

OWN_FOLDS = 20
OWN_KS = (1, 3, 5, 10, 20)
OWN_BUDGETS = (0.1, 0.3, 1.0, 3.0, 10.0)  # CPU seconds of fits
OBOE_KS = (1, 3, 5, 10, 20, 60)
OBOE_BUDGETS = (1.0, 10.0, 100.0)
SCENARIO_FOLDS = 10
COVERAGES = (0.8, 0.9)
N_RANDOM_ORDERS = 50
N_POINTS = 5  # configurations whose learning curves are begun
_TRIES_UNDER_A_BUDGET = 80


def own(task_type: TaskType, variant: str) -> dict[str, Any]:
    """Every way of ranking on the shipped meta-dataset.

    Args:
        task_type: which half of it.
        variant: `complete`; `without landmarkers`: no learner's score among the metafeatures; `permuted`: every dataset
            has another one's metafeatures, a control that must find nothing.
    """
    evidence: Evidence = load_evidence(task_type)
    folds = [str(fold) for fold in deal_folds(evidence.groups, OWN_FOLDS)]
    if variant == "without landmarkers":
        kept = [
            LEARNED.index(each.name)
            for each in SCHEMA
            if each.name in LEARNED and each.family != "landmarking"
        ]
        names = tuple(LEARNED[index] for index in kept)
        evidence = dataclasses.replace(
            evidence, metafeature_names=names, metafeatures=evidence.metafeatures[:, kept]
        )
    if variant == "permuted":
        order = np.random.default_rng(0).permutation(len(evidence.datasets))
        evidence = dataclasses.replace(evidence, metafeatures=evidence.metafeatures[order])
    return _ranked(evidence, folds, OWN_KS, f"{task_type}, {variant}")


def oboe(matrix: TimedMatrix, partition: str) -> dict[str, Any]:
    """Every way of ranking on Oboe's error matrix, on one of its fixed partitions."""
    return _ranked(matrix.evidence, matrix.folds[partition], OBOE_KS, partition)


def _ranked(evidence: Evidence, folds: list[str], ks: tuple[int, ...], about: str) -> dict[str, Any]:
    """Regret of the best of the first k for every dataset and way of ranking, and of random orders."""
    seen = proof.hold_out(evidence, folds, train, proof.shown(about), ks)
    random = np.random.default_rng(0)
    regrets: dict[str, Any] = dict(seen.regrets)
    for name, times in (("random", 1), ("random, twice as many", 2), ("random, three times as many", 3)):
        regrets[name] = [
            np.mean(
                [
                    [best_of_first(truth, order, times * k, observed) for k in ks]
                    for order in _random_orders(truth, random)
                ],
                axis=0,
            ).tolist()
            for truth, observed in zip(
                evidence.regret_b[seen.rows], evidence.headline_losses_a[seen.rows], strict=True
            )
        ]
    return {"groups": [evidence.groups[row] for row in seen.rows], "ks": list(ks), "regret": regrets}


def _random_orders(truth: FloatArray, random: np.random.Generator) -> list[list[int]]:
    tried = np.flatnonzero(~np.isnan(truth))
    return [random.permutation(tried).tolist() for _ in range(N_RANDOM_ORDERS)]


def own_budgets(task_type: TaskType) -> dict[str, Any]:
    """Regret within CPU seconds on the shipped meta-dataset, where a try costs one fit; and the predicted seconds."""
    evidence = load_evidence(task_type)
    columns = [LEARNED.index(name) for name in ("nr_inst", "nr_attr", "nr_class")]
    sizes = np.nan_to_num(evidence.metafeatures[:, columns], nan=1.0)

    def laws(rows: list[int]) -> LocalLaw:
        return fit_costs(evidence.of(rows)).fit_seconds

    folds = [str(fold) for fold in deal_folds(evidence.groups, OWN_FOLDS)]
    seconds = np.where(evidence.fit_seconds > 0, evidence.fit_seconds, np.inf)  # a failure ends every budget
    return _within_budgets(evidence, folds, seconds, sizes, laws, OWN_BUDGETS)


def own_points(task_type: TaskType) -> dict[str, Any]:
    """Regret of the first choice on the shipped meta-dataset, after points of learning curves of a few configurations.

    The points of the portfolio's first ones, at ever larger anchors; of each dataset by its headline metric.
    """
    evidence = load_evidence(task_type)
    folds = folds_of(evidence)
    everything = list(range(len(evidence.configurations)))
    headlines = [
        headline_metric(task_type, int(np.nan_to_num(each, nan=0)))
        for each in evidence.metafeatures[:, LEARNED.index("nr_class")]
    ]
    regrets: list[list[float]] = []
    groups: list[str] = []
    for fold in track(sorted(set(folds)), f"points, {task_type}"):
        known = evidence.of([row for row, each in enumerate(folds) if each != fold])
        forest = fit_forest(known.metafeatures, known.regret)
        few = greedy_order(
            known.regret, np.full(len(known.regret), 1 / len(known.regret)), everything, most=N_POINTS
        )
        for row in (index for index, each in enumerate(folds) if each == fold):
            metric = headlines[row]
            seen = seen_by(known, metric, keeps_regret=True)
            outlook = Hybrid(forest, seen.regret, seen.headline_losses).outlook(evidence.metafeatures[row])
            firsts = [outlook.suggest_next(everything, {})]
            for n_anchors in range(1, len(ANCHORS) + 1):
                places = [(index, place) for index in few for place in range(n_anchors)]
                told = [evidence.curves[metric.name][row, index, place] for index, place in places]
                points = np.stack(
                    [known.curves[metric.name][:, index, place] for index, place in places], axis=1
                )
                observed = {len(everything) + place: float(loss) for place, loss in enumerate(told)}
                if np.isnan(told).all():  # too few rows for any
                    firsts.append(firsts[0])
                    continue
                firsts.append(dataclasses.replace(outlook, points=points).suggest_next(everything, observed))
            regrets.append([float(evidence.regret_b[row, first]) for first in firsts])
            groups.append(evidence.groups[row])
    return {"groups": groups, "anchors": [0, *ANCHORS], "regret": regrets}


def oboe_budgets(matrix: TimedMatrix, partition: str) -> dict[str, Any]:
    """Regret within seconds on Oboe's error matrix."""

    def laws(rows: list[int]) -> LocalLaw:
        law = fit_power_laws(*matrix.sizes[rows].T, matrix.seconds[rows])
        return LocalLaw.of(law, matrix.sizes[rows], matrix.seconds[rows])

    return _within_budgets(
        matrix.evidence, matrix.folds[partition], matrix.seconds, matrix.sizes, laws, OBOE_BUDGETS
    )


def _within_budgets(
    evidence: Evidence,
    folds: list[str],
    seconds: FloatArray,
    sizes: FloatArray,
    laws: Callable[[list[int]], LocalLaw],
    budgets: tuple[float, ...],
) -> dict[str, Any]:
    """Regret of what was found within each budget, and the ratios of true to predicted seconds.

    Three ways: the greedy portfolio, blind for time; the greedy portfolio by gain per second; the hybrid by gain per second.
    Only what ends within the budget is found; nothing found counts as the worst regret.
    """
    regrets: dict[str, list[list[float]]] = {name: [] for name in ("portfolio", "timed portfolio", "hybrid")}
    groups: list[str] = []
    factors: list[float] = []
    everything = list(range(len(evidence.configurations)))
    for fold in track(sorted(set(folds)), "within budgets"):
        rows = [row for row, each in enumerate(folds) if each != fold]
        known, law = evidence.of(rows), laws(rows)
        equal = np.full(len(rows), 1 / len(rows))
        forest = fit_forest(known.metafeatures, known.regret)
        hybrid = Hybrid(forest, known.regret, known.headline_losses)
        blind = greedy_order(known.regret, equal, everything)
        for row in (index for index, each in enumerate(folds) if each == fold):
            vector, taken = evidence.metafeatures[row], seconds[row]
            predicted = law.predict(*sizes[row], forest.shrunk_weights(vector))
            finite = np.isfinite(taken)
            factors += (taken[finite] / predicted[finite]).tolist()
            timed = greedy_order(known.regret, equal, everything, cost=predicted)
            outlook = hybrid.outlook(vector)
            groups.append(evidence.groups[row])
            for name, found in (
                ("portfolio", [_in_order(blind, taken, budget) for budget in budgets]),
                ("timed portfolio", [_in_order(timed, taken, budget) for budget in budgets]),
                (
                    "hybrid",
                    [
                        _suggested(
                            outlook, law.law, predicted, taken, evidence.headline_losses_a[row], budget
                        )
                        for budget in budgets
                    ],
                ),
            ):
                regrets[name].append([_best_found(evidence, row, each) for each in found])
    return {"groups": groups, "budgets": list(budgets), "regret": regrets, "factors": factors}


def _in_order(order: list[int], taken: FloatArray, budget: float) -> list[int]:
    """What ends within the budget when configurations are tried in a fixed order."""
    return [index for index, spent in zip(order, np.cumsum(taken[order]), strict=True) if spent <= budget]


def _suggested(
    outlook: HybridOutlook,
    law: PowerLaw,
    predicted: FloatArray,
    taken: FloatArray,
    losses: FloatArray,
    budget: float,
) -> list[int]:
    """What ends within the budget when every result is told before the next suggestion."""
    left, observed, spent = list(range(len(taken))), dict[int, float](), 0.0
    while len(observed) < _TRIES_UNDER_A_BUDGET:
        affordable = [index for index in left if predicted[index] <= budget - spent]
        if not affordable:
            break
        following = outlook.suggest_next(affordable, observed, law.per_gain(predicted, budget - spent))
        left.remove(following)
        spent += taken[following]
        if spent > budget:
            break
        observed[following] = float(losses[following])
    return list(observed)


def _best_found(evidence: Evidence, row: int, found: list[int]) -> float:
    if not found:
        return WORST_REGRET
    return best_of_first(evidence.regret_b[row], found, len(found), evidence.headline_losses_a[row])


def calibration(task_type: TaskType) -> dict[str, Any]:
    """Whether what is told of uncertainty holds, for every metric: each fold is judged by what the others call for."""
    evidence = load_evidence(task_type)
    folds = folds_of(evidence)
    found: dict[str, Any] = {}
    for name, seen in held_out(evidence, folds, proof.shown(f"{task_type}, calibration")).items():
        parts = [_judged(seen, folds, fold) for fold in sorted(set(folds))]
        found[name] = {what: _share([part[what] for part in parts]) for what in parts[0]}
    return found


def _judged(seen: Seen, folds: list[str], fold: str) -> dict[str, list[bool]]:
    """What held on the fold's datasets, an entry per event."""
    others = seen.of([row for row, each in enumerate(folds) if each != fold])
    own = seen.of([row for row, each in enumerate(folds) if each == fold])
    told = summarise({"": others})[""]
    judged = {
        f"{coverage:.0%} interval": (own.before[:, 1] <= np.quantile(others.before[:, 1], coverage)).tolist()
        for coverage in COVERAGES
    }
    judged["90% interval of what is suggested after results"] = [
        distance <= factor_after(told, int(results)) for _, results, distance in own.after
    ]
    stopped = first_stops(own.nearly_best, told, told["stop_at"])
    judged["first stop that is right"] = list(stopped.values())
    judged["datasets with a stop within 20 results"] = [row in stopped for row in set(own.nearly_best[:, 0])]
    return judged


def _share(parts: list[list[bool]]) -> float | None:
    """Of all events; None where there was none."""
    events = [event for part in parts for event in part]
    return float(np.mean(events)) if events else None


def scenario(matrix: PerformanceMatrix, partition: int | None) -> dict[str, Any]:
    """Every way of ranking on an imported scenario, in its own unit.

    Args:
        matrix: the scenario.
        partition: None for the official folds, otherwise the seed of ten random ones of about the same size.
    """
    evidence = as_evidence(matrix)
    rows = measured_rows(matrix)
    if partition is None:
        folds = [str(fold) for fold in matrix.folds[0, rows]]
    else:
        order = np.random.default_rng(partition).permutation(len(rows))
        folds = [str(place % SCENARIO_FOLDS) for place in np.argsort(order)]
    about = "official folds" if partition is None else f"partition {partition}"
    return importing.on_folds(matrix, evidence, folds, about)
