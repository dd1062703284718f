"""What the shipped meta-dataset says of algorithms: who wins where, at what cost, and how they complement each other."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from app.metalearning.baselines import best_of_first, single_best
from app.metalearning.metadataset import Evidence, load_evidence
from app.metalearning.metafeatures import LEARNED
from app.metalearning.metalearners.portfolio import greedy_order
from app.metalearning.metrics import headline_metric, loss_scale
from app.metalearning.portfolio import find_configuration
from app.metalearning.protocol import ANCHORS
from app.metalearning.table import FloatArray, TaskType

CLOSE = 1.01  # a loss at most this many times the least one is as good as the best
_FEW_ROWS, _MANY_ROWS = 500, 2_000

# Algorithm families that behave alike share a colour and an entry in the legend.
KINDS = {
    "linear": "linear or additive",
    "linear_svm": "linear or additive",
    "additive": "linear or additive",
    "discriminant": "discriminant or naive Bayes",
    "naive_bayes": "discriminant or naive Bayes",
    "kernel": "kernel or neighbours",
    "neighbours": "kernel or neighbours",
    "gaussian_process": "kernel or neighbours",
    "tree": "single tree",
    "random_forest": "forest",
    "extra_trees": "forest",
    "histogram_boosting": "boosting",
    "lightgbm": "boosting",
    "xgboost": "boosting",
    "catboost": "boosting",
    "explainable_boosting": "boosting",
    "neural_network": "neural network",
}


@dataclass(frozen=True)
class Segment:
    """Some of the datasets, and what they have in common."""

    name: str
    members: FloatArray  # (D,), bool


@dataclass(frozen=True)
class Complementarity:
    """Mean normalised regret of greedy portfolios by size, shape (C,)."""

    seen: FloatArray  # chosen and judged on the same datasets
    held_out: FloatArray  # chosen on the other groups of datasets, judged on half B of the rows
    held_out_single_best: float


@dataclass(frozen=True)
class Judged:
    """The complete part of the evidence of one task type: D datasets, C configurations, A algorithms."""

    evidence: Evidence
    cells: list[list[dict[str, Any]]]  # (D, C)

    @property
    def task_type(self) -> TaskType:
        """Of all its datasets."""
        return TaskType(self.cells[0][0]["task_type"])

    @cached_property
    def losses(self) -> FloatArray:
        """By the headline metric, (D, C); infinite where there is no score."""
        return np.nan_to_num(self.evidence.headline_losses, nan=np.inf)

    @cached_property
    def close(self) -> FloatArray:
        """Whether a configuration is best or within 1 % of the least loss, (D, C)."""
        return np.asarray(self.losses <= self.losses.min(axis=1, keepdims=True) * CLOSE)

    @cached_property
    def fit_seconds(self) -> FloatArray:
        """CPU seconds of one fit, (D, C); infinite where none ended."""
        return np.nan_to_num(self.column("fit_cpu_seconds"), nan=np.inf)

    @cached_property
    def tried(self) -> npt.NDArray[np.bool_]:
        """Whether a configuration applies to a dataset, and so was tried, (D, C)."""
        return np.array([[cell["status"] != "not_applicable" for cell in row] for row in self.cells])

    def column(self, name: str) -> FloatArray:
        """A number of every cell, (D, C), NaN where there is none."""
        values = [[np.nan if cell[name] is None else cell[name] for cell in row] for row in self.cells]
        return np.array(values, dtype=float)

    @cached_property
    def algorithms(self) -> dict[str, list[int]]:
        """The configurations of every algorithm, by name."""
        found: dict[str, list[int]] = {}
        for index, name in enumerate(self.evidence.configurations):
            found.setdefault(find_configuration(name).algorithm.name, []).append(index)
        return found

    def by_algorithm(self, values: FloatArray, choose: Callable[..., FloatArray]) -> FloatArray:
        """The best of each algorithm's configurations, (D, A)."""
        return np.column_stack([choose(values[:, columns], axis=1) for columns in self.algorithms.values()])

    @cached_property
    def segments(self) -> list[Segment]:
        """All datasets, then by size, then by share of categorical columns."""
        rows = self.evidence.metafeatures[:, LEARNED.index("nr_inst")]
        share = self.evidence.metafeatures[:, LEARNED.index("cat_share")]
        return [
            Segment("all", rows > 0),
            Segment(f"< {_FEW_ROWS} rows", rows < _FEW_ROWS),
            Segment(f"{_FEW_ROWS} to {_MANY_ROWS:,} rows", (rows >= _FEW_ROWS) & (rows <= _MANY_ROWS)),
            Segment(f"> {_MANY_ROWS:,} rows", rows > _MANY_ROWS),
            Segment("no categories", share == 0),
            Segment("some categories", (share > 0) & (share <= 0.5)),
            Segment("mostly categories", share > 0.5),
        ]


def judge(task_type: TaskType, rows: list[dict[str, Any]]) -> Judged:
    """The evidence with its cells, from all evaluations that ship."""
    evidence = load_evidence(task_type)
    fingerprints = {find_configuration(name).fingerprint for name in evidence.configurations}
    cells = {
        (row["dataset"], row["configuration"]): row
        for row in rows
        if row["task_type"] == task_type and row["fingerprint"] in fingerprints
    }
    return Judged(
        evidence, [[cells[name, each] for each in evidence.configurations] for name in evidence.datasets]
    )


def complementarity(judged: Judged) -> Complementarity:
    """Regret of greedy portfolios: as fitted, and with every group of datasets left out once."""
    evidence = judged.evidence
    sizes = range(1, len(evidence.configurations) + 1)
    order = _greedy(evidence)
    seen = [np.mean([best_of_first(row, order, size) for row in evidence.regret]) for size in sizes]
    held_out, singles = [], []
    for group in sorted(set(evidence.groups)):
        known = evidence.of([row for row, each in enumerate(evidence.groups) if each != group])
        order, single = _greedy(known), single_best(known.regret)
        for row in (index for index, each in enumerate(evidence.groups) if each == group):
            held_out.append([best_of_first(evidence.regret_b[row], order, size) for size in sizes])
            singles.append(evidence.regret_b[row, single])
    return Complementarity(np.array(seen), np.mean(held_out, axis=0), float(np.mean(singles)))


def _greedy(evidence: Evidence) -> list[int]:
    n_datasets, n_configurations = evidence.regret.shape
    return greedy_order(evidence.regret, np.full(n_datasets, 1 / n_datasets), list(range(n_configurations)))


def learning_curves(judged: Judged) -> tuple[int, dict[str, FloatArray]]:
    """How many datasets have every anchor, and each algorithm's median normalised score at the anchors and in full.

    0 is knowing nothing, 1 the best configuration after training in full; all on the first fold, where learning curves
    are measured. Of every algorithm the configuration with the least mean regret. Shape (anchors + 1,). Algorithms that do
    not apply to such datasets are left out.
    """
    means = judged.evidence.regret.mean(axis=0)
    chosen = {
        name: min(columns, key=lambda index: means[index]) for name, columns in judged.algorithms.items()
    }
    large = [
        index
        for index, row in enumerate(judged.cells)
        if any(point["anchor"] == ANCHORS[-1] for cell in row for point in cell["learning_curve"] or ())
    ]
    applicable = {name: index for name, index in chosen.items() if judged.tried[large, index].all()}
    scores = np.array([_normalised_curves(judged.cells[row], list(applicable.values())) for row in large])
    return len(large), dict(zip(applicable, np.median(scores, axis=0), strict=True))


def _normalised_curves(row: list[dict[str, Any]], chosen: list[int]) -> FloatArray:
    """One dataset's scores, shape (chosen, anchors + 1); what could not be learned counts as knowing nothing."""
    first = row[0]
    metric = headline_metric(TaskType(first["task_type"]), first["n_classes"])
    scale = loss_scale(
        metric, target_sd=first["target_sd"] or 1.0, prior_entropy=first["prior_entropy"] or 1.0
    )
    nothing = 0.5 if metric.name == "roc_auc" else 1.0
    best = min(
        float(metric.loss(cell["fold_scores"][0][metric.name], scale)) for cell in row if cell["fold_scores"]
    )
    curves = np.zeros((len(chosen), len(ANCHORS) + 1))
    for curve, cell in zip(curves, (row[index] for index in chosen), strict=True):
        points = {point["anchor"]: point for point in cell["learning_curve"] or ()}
        measured = [*(points.get(anchor) for anchor in ANCHORS), (cell["fold_scores"] or [None])[0]]
        for at, point in enumerate(measured):
            if point is not None:
                loss = float(metric.loss(point[metric.name], scale))
                curve[at] = (nothing - loss) / max(nothing - best, 1e-9)
    return curves
