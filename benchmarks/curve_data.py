"""Learning curves to extrapolate: the shipped ones, and those of LCDB 1.1 (Yan et al. 2025) in `MATRICES=folder`."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from app.metalearning.experience import LARGEST_LOSS
from app.metalearning.metadataset import DATA_DIR, load_evidence, read_evaluations
from app.metalearning.metalearners.levels import log_levels
from app.metalearning.metrics import headline_metric
from app.metalearning.table import FloatArray, TaskType
from workers.networks.curves import Curves

FEWEST, MOST = 3, 8  # points before the last
_SHIPPED_ENOUGH = 2
_MOST_OF_LCDB = 6_000

Curve = tuple[str, dict[int, float], int, float]  # group, rows → loss, all rows, loss there


def shipped(task_type: TaskType) -> list[Curve]:
    """Of every configuration and dataset that has at least two points, by the dataset's headline metric; the useless are alike."""
    evidence = load_evidence(task_type)
    groups = dict(zip(evidence.datasets, evidence.groups, strict=True))
    found = []
    for row in read_evaluations(DATA_DIR / "evaluations.parquet"):
        if row["task_type"] != task_type or row["status"] != "ok" or row["dataset"] not in groups:
            continue
        metric = headline_metric(task_type, row["n_classes"])
        points = {
            point["anchor"]: min(float(metric.loss(point[metric.name])), LARGEST_LOSS)
            for point in row["learning_curve"] or ()
            if point[metric.name] is not None
        }
        if len(points) >= _SHIPPED_ENOUGH and row[metric.name] is not None:
            n_rows = row["n_rows"] * (len(row["fold_scores"]) - 1) // len(row["fold_scores"])
            last = min(float(metric.loss(row[metric.name])), LARGEST_LOSS)
            found.append((groups[row["dataset"]], points, n_rows, last))
    return found


def lcdb(folder: Path) -> list[Curve]:
    """Validation error at doubled numbers of rows; the last of them is what is to be told. A fixed draw of all curves."""
    cells = pd.read_parquet(folder / "curves.parquet").dropna(subset=["err_val"])
    found = []
    for (dataset, _), curve in cells.groupby(["dataset", "algorithm"]):
        points = dict(_doubled(curve["anchor"].to_numpy(), curve["err_val"].to_numpy()))
        if len(points) > FEWEST:
            (n_rows, last), before = points.popitem(), points
            found.append((str(dataset), dict(list(before.items())[-MOST:]), int(n_rows), last))
    drawn = np.random.default_rng(0).permutation(len(found))[:_MOST_OF_LCDB]
    return [found[index] for index in sorted(drawn)]


def _doubled(anchors: FloatArray, errors: FloatArray) -> Iterator[tuple[int, float]]:
    least = 0.0
    for anchor, error in sorted(zip(anchors.tolist(), errors.tolist(), strict=True)):
        if anchor >= 2 * least:
            least = anchor
            yield int(anchor), float(error)


def as_curves(found: list[Curve]) -> Curves:
    """For the network."""
    most = max(len(points) for _, points, _, _ in found)
    levels, gaps = np.full((2, len(found), most), np.nan)
    for row, (_, points, n_rows, _) in enumerate(found):
        levels[row, : len(points)] = log_levels(np.array(list(points.values())))
        gaps[row, : len(points)] = np.log(n_rows / np.array(list(points), dtype=np.float64))
    return Curves(
        levels,
        gaps,
        np.array([len(points) for _, points, _, _ in found]),
        log_levels(np.array([last for *_, last in found])),
        tuple(group for group, *_ in found),
    )
