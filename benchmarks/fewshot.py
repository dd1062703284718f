"""`make bench-fewshot DATASETS=folder`: which method labels rows best by a handful of labelled ones?

All datasets for classification with 2 to 10 classes that have 25 rows, and at most 200 features after categories became
numbers. With 1, 2, 5, 10 and 20 labelled rows of each class, three draws by seed, every method labels the same queries. The networks
have seen generated tasks alone, none of these.

Half of the datasets, by the checksum of the group's name, choose what `auto` takes (app/metalearning/fewshot/choices.json).
The others are reported. Every dataset is kept in build/few-shot until a method changes; a run that was cut off goes on.
"""

# ruff: noqa: E402  threads are fixed before any numeric library loads
from app.config import pin_threads

pin_threads()

import hashlib
import json
import os
import sys
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from app.metalearning.fewshot.methods import CHOICES, DEFAULT, ROWS_PER_CLASS
from app.metalearning.table import FloatArray, TaskType
from benchmarks import fewshot_runs
from benchmarks.fewshot_page import write_page
from benchmarks.fewshot_runs import BOOSTING, METHODS
from benchmarks.recording import ROOT, kept, record
from workers.training.sources import Source, load_source, read_inventory

AUTO = "auto"
RESULT = "few-shot"
MEASURES = ("log_loss", "accuracy")
NAMES = (*map(str, METHODS), BOOSTING, AUTO)
_N_RESAMPLES = 2_000
_DECIDES = (
    "app/metalearning/fewshot/*.py",
    "workers/experiments/fewshot/*.py",
    "workers/networks/fewshot/data/*.npz",
)

Draw = dict[str, Any]


def main() -> None:
    """Measure what is not kept, choose by one half, report the other."""
    warnings.simplefilter("ignore")
    folder = os.environ.get("DATASETS")
    if not folder:
        sys.exit("DATASETS names no folder of datasets with an inventory.csv.")
    parts = ROOT / "build" / RESULT / _version()
    sources = [each for each in read_inventory(Path(folder)) if each.task_type is TaskType.CLASSIFICATION]
    found = {
        source.name: kept(parts, source.name, lambda source=source: measure(source)) for source in sources
    }
    fitting = {source: found[source.name]["draws"] for source in sources if "draws" in found[source.name]}
    choosing = [draws for source, draws in fitting.items() if not is_reported(source)]
    reported = [draws for source, draws in fitting.items() if is_reported(source)]
    choices = chosen(choosing)
    CHOICES.write_text(json.dumps(choices, indent=1) + "\n")
    figures = {
        "datasets for classification [count]": float(len(sources)),
        "datasets that chose [count]": float(len(choosing)),
        "datasets reported [count]": float(len(reported)),
        **figures_of([_with_auto(draws, choices) for draws in reported]),
    }
    record(RESULT, figures)
    write_page()


def measure(source: Source) -> dict[str, Any]:
    """Draws of the dataset, or why it is left out."""
    table = load_source(source)
    reason = fewshot_runs.why_not(table)
    return {"left out": reason} if reason else fewshot_runs.measured(table)


def is_reported(source: Source) -> bool:
    """By the group's name alone; the others choose."""
    return zlib.crc32(source.group.encode()) % 2 == 1


def chosen(datasets: Sequence[list[Draw]]) -> dict[str, str]:
    """By cell, the method with the least log-loss of those with less than the default's and no less accuracy, beyond doubt."""
    choices = {}
    for cell in sorted({draw["cell"] for draws in datasets for draw in draws}):
        saved = {}
        for method in METHODS:
            losses, gains = (_differences(datasets, cell, measure, str(method)) for measure in MEASURES)
            if interval(losses)[1] < 0 and interval(gains)[1] >= 0:
                saved[str(method)] = float(losses.mean())
        if saved:
            choices[cell] = min(saved, key=lambda name: saved[name])
    return choices


def figures_of(datasets: Sequence[list[Draw]]) -> dict[str, float]:
    """Of every method at every number of rows: accuracy and log-loss, with intervals, and how it does against the default."""
    figures: dict[str, float] = {}
    for rows in ROWS_PER_CLASS:
        for name in NAMES:
            about = f"{name}, {rows} per class"

            def of(measure: str, name: str = name, rows: int = rows) -> FloatArray:
                return _means(
                    datasets, lambda draw: draw[measure][name] if draw["rows_per_class"] == rows else None
                )

            def default(measure: str, rows: int = rows) -> FloatArray:
                return of(measure, str(DEFAULT), rows)

            accuracy, gains = of("accuracy"), of("accuracy") - default("accuracy")
            for what, values in (
                ("balanced accuracy", accuracy),
                ("balanced accuracy beyond logistic regression's", gains),
                ("log-loss", of("log_loss")),
                ("log-loss beyond logistic regression's", of("log_loss") - default("log_loss")),
            ):
                low, high = interval(values)
                figures |= {
                    f"{about}: {what}, mean": float(values.mean()),
                    f"{about}: {what}, 5 %": low,
                    f"{about}: {what}, 95 %": high,
                }
            figures[f"{about}: better than logistic regression [datasets]"] = float((gains > 1e-9).sum())
            figures[f"{about}: worse than logistic regression [datasets]"] = float((gains < -1e-9).sum())
    return figures


def interval(values: FloatArray) -> tuple[float, float]:
    """The 5th and 95th percentile of the mean when datasets are drawn again."""
    draws = np.random.default_rng(0).integers(len(values), size=(_N_RESAMPLES, len(values)))
    low, high = np.quantile(values[draws].mean(axis=1), [0.05, 0.95])
    return float(low), float(high)


def _means(datasets: Sequence[list[Draw]], value: Any) -> FloatArray:
    """Of every dataset the mean over those of its draws that have a value; datasets without any are left out."""
    found = [[each for each in map(value, draws) if each is not None] for draws in datasets]
    return np.array([np.mean(each) for each in found if each])


def _differences(datasets: Sequence[list[Draw]], cell: str, measure: str, method: str) -> FloatArray:
    """What the method has beyond the default on every dataset with draws in the cell."""
    return _means(
        datasets,
        lambda draw: draw[measure][method] - draw[measure][str(DEFAULT)] if draw["cell"] == cell else None,
    )


def _with_auto(draws: list[Draw], choices: dict[str, str]) -> list[Draw]:
    """Every draw with the scores of what `auto` takes."""
    found = []
    for draw in draws:
        taken = choices.get(draw["cell"], str(DEFAULT))
        scores = {name: {**draw[name], AUTO: draw[name][taken]} for name in MEASURES}
        found.append({**draw, **scores})
    return found


def _version() -> str:
    """Of all that decides what methods answer."""
    paths = sorted(path for pattern in _DECIDES for path in ROOT.glob(pattern))
    paths.append(Path(fewshot_runs.__file__))
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:16]


if __name__ == "__main__":
    main()
