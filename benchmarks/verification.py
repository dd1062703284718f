"""`make bench-verification`: what a verification saves by giving up early, and what it would lose by choosing on fewer rows.

Verifications are replayed on the shipped meta-dataset: what every fit scored and took is there.

1. Ten configurations, the first of the portfolio that all other groups of datasets make, or drawn at random; one worker takes them in
   that order. The constants of `workers/experiments/extrapolation.py` were chosen on every second dataset; these figures are
   of the others.
2. The best of eight, drawn at random, by two folds and by four of five, judged by the fifth.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.progress import track

from app.metalearning.metadataset import DATA_DIR, load_evidence, read_evaluations
from app.metalearning.metalearners.portfolio import greedy_order
from app.metalearning.metrics import Metric, headline_metric
from app.metalearning.table import TaskType
from benchmarks.recording import record
from workers.experiments.extrapolation import Rival

N_CONFIGURATIONS = 10
N_TO_CHOOSE_AMONG, N_DRAWS = 8, 60
ORDERS = ("portfolio", "random")
_N_FOLDS = 5


@dataclass(frozen=True)
class Cell:
    """A configuration on a dataset: what it scored, and the CPU seconds of its fits."""

    configuration: str
    loss: float  # on all rows
    fold_scores: list[float]
    curve: list[dict[str, Any]]
    n_training: int
    seconds: float  # of all folds

    @property
    def curve_seconds(self) -> list[float]:
        """Of every point."""
        return [point["fit_cpu_seconds"] for point in self.curve]


@dataclass(frozen=True)
class Replay:
    """A verification as it would have been."""

    n_beside_a_rival: int
    n_stopped: int
    n_stopped_wrongly: int  # they would have beaten what they were stopped for
    seconds: float
    seconds_saved: float
    regret: float  # of the best that was measured, 1 is the median of the ten


def main() -> None:
    """Replay every verification and record what came of it."""
    figures: dict[str, float] = {}
    for task_type in TaskType:
        for order in ORDERS:
            replays = [
                replay(metric, cells) for _, metric, cells in track(list(verifications(task_type, order)))
            ]
            for name, value in summary(replays).items():
                figures[f"{task_type}, {order}: {name}"] = value
        figures |= {f"{task_type}: {name}": value for name, value in _choosing(task_type).items()}
    record("verification", figures)


def replay(metric: Metric, cells: Sequence[Cell], rival: Callable[..., Any] = Rival) -> Replay:
    """Measure one after another, each against the best so far.

    Args:
        metric: of the losses.
        cells: in their order.
        rival: makes what leaves the hopeless behind, from the best's configuration, metric and scores of folds.
    """
    best: Cell | None = None
    kept: list[Cell] = []
    beside = stopped = wrongly = 0
    saved = 0.0
    for cell in cells:
        n_points = None
        if best is not None:
            beside += 1
            n_points = _stopped_after(rival(best.configuration, metric.name, best.fold_scores), cell)
        if n_points is None:
            kept.append(cell)
            best = cell if best is None or cell.loss < best.loss else best
            continue
        assert best is not None, "it was stopped for one"
        stopped += 1
        wrongly += cell.loss < best.loss
        saved += cell.seconds + sum(cell.curve_seconds[n_points:])
    losses = np.array([cell.loss for cell in cells])
    gap = max(float(np.median(losses) - losses.min()), 1e-9)
    regret = (min(cell.loss for cell in kept) - losses.min()) / gap
    total = sum(cell.seconds + sum(cell.curve_seconds) for cell in cells)
    return Replay(beside, stopped, wrongly, total, saved, float(min(regret, 2.0)))


def _stopped_after(rival: Any, cell: Cell) -> int | None:
    """After how many points there was no hope; None where there was."""
    for n_points in range(1, len(cell.curve) + 1):
        if rival.leaves_behind(cell.curve[:n_points], cell.n_training) is not None:
            return n_points
    return None


def summary(replays: Sequence[Replay]) -> dict[str, float]:
    """What was saved and what was lost, by name and unit."""
    stopped = sum(each.n_stopped for each in replays)
    return {
        "datasets [count]": float(len(replays)),
        "stopped early [share]": stopped / sum(each.n_beside_a_rival for each in replays),
        "stopped, and better than what stopped them [share]": sum(each.n_stopped_wrongly for each in replays)
        / max(stopped, 1),
        "CPU seconds saved [share]": sum(each.seconds_saved for each in replays)
        / sum(each.seconds for each in replays),
        "best of the ten lost [share]": float(np.mean([each.regret > 0 for each in replays])),
        "regret of the best that is left, mean": float(np.mean([each.regret for each in replays])),
    }


def verifications(task_type: TaskType, order: str, half: int = 1) -> Iterator[tuple[str, Metric, list[Cell]]]:
    """The group, the metric and the ten configurations in order, on every second dataset that has so many with a curve.

    Args:
        task_type: of the datasets.
        order: one of `ORDERS`.
        half: 1, or 0 for the half on which constants are chosen.
    """
    cells: dict[str, dict[str, Cell]] = {}
    metrics: dict[str, Metric] = {}
    for row in read_evaluations(DATA_DIR / "evaluations.parquet"):
        if row["task_type"] == task_type and row["status"] == "ok":
            metric = metrics.setdefault(row["dataset"], headline_metric(task_type, row["n_classes"]))
            cell = _cell(row, metric)
            if cell is not None:
                cells.setdefault(row["dataset"], {})[cell.configuration] = cell
    evidence = load_evidence(task_type)
    random = np.random.default_rng(0)
    for row, name in enumerate(evidence.datasets):
        if row % 2 != half:
            continue
        known = cells.get(name, {})
        chosen = [index for index, each in enumerate(evidence.configurations) if each in known]
        if len(chosen) < N_CONFIGURATIONS:
            continue
        if order == "portfolio":
            others = evidence.of(
                [at for at, group in enumerate(evidence.groups) if group != evidence.groups[row]]
            )
            equal = np.full(len(others.datasets), 1 / len(others.datasets))
            ordered = greedy_order(others.regret, equal, chosen, most=N_CONFIGURATIONS)
        else:
            ordered = random.permutation(chosen)[:N_CONFIGURATIONS].tolist()
        yield (
            evidence.groups[row],
            metrics[name],
            [known[evidence.configurations[index]] for index in ordered],
        )


def _choosing(task_type: TaskType) -> dict[str, float]:
    """Regret of the best by two folds and by four, on the fifth; 0 is the best there, 1 how far the median is from it in all."""
    losses: dict[str, list[list[float]]] = {}
    for row in read_evaluations(DATA_DIR / "evaluations.parquet"):
        if row["task_type"] == task_type and row["status"] == "ok" and len(row["fold_scores"]) == _N_FOLDS:
            metric = headline_metric(task_type, row["n_classes"])
            scores = [fold[metric.name] for fold in row["fold_scores"]]
            if None not in scores:
                losses.setdefault(row["dataset"], []).append([float(metric.loss(score)) for score in scores])
    random = np.random.default_rng(0)
    regrets: dict[int, list[float]] = {2: [], 4: []}
    for of_dataset in (np.array(each) for each in losses.values() if len(each) >= 2 * N_TO_CHOOSE_AMONG):
        means = of_dataset.mean(axis=1)
        gap = float(np.median(means) - means.min()) + 1e-9
        for _ in range(N_DRAWS):
            chosen = of_dataset[random.choice(len(of_dataset), N_TO_CHOOSE_AMONG, replace=False)]
            folds = chosen[:, random.permutation(_N_FOLDS)]
            judged = folds[:, -1]
            for n_folds, found in regrets.items():
                best = int(folds[:, :n_folds].mean(axis=1).argmin())
                found.append(float(judged[best] - judged.min()) / gap)
    return {
        f"regret on a fifth fold of the best by {n_folds} folds, mean": float(np.mean(found))
        for n_folds, found in regrets.items()
    }


def _cell(row: dict[str, Any], metric: Metric) -> Cell | None:
    """None where the metric is not defined on the first fold."""
    folds = row["fold_scores"]
    if folds[0][metric.name] is None or row[metric.name] is None:
        return None
    return Cell(
        row["configuration"],
        float(metric.loss(row[metric.name])),
        [fold[metric.name] for fold in folds if fold[metric.name] is not None],
        row["learning_curve"] or [],
        row["n_rows"] * (len(folds) - 1) // len(folds),
        len(folds) * row["fit_cpu_seconds"],
    )


if __name__ == "__main__":
    main()
