"""Single measurements for `benchmarks.metafeatures`: `python -m benchmarks.metafeature_runs RUN SIZE...` prints JSON."""

# ruff: noqa: E402  threads are fixed before any numeric library loads
from app.config import pin_threads

pin_threads()

import json
import math
import random
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import sklearn.datasets

from app.metalearning.metafeatures import NAMES, extract, landmarking
from app.metalearning.metafeatures.sample import draw_sample
from app.metalearning.table import NUMBER_LIKE, Column, ColumnType, Table, TaskType
from benchmarks import pymfe_peer
from workers.training.building import Source, load_source, read_inventory

SEED = 0
N_SHARED = 40
MOST_SHARED_ROWS = 20_000
MOST_SHARED_COLUMNS = 300
EXACT, SEEDED = 1e-6, 1e-2
# On all rows here, on the sample there; and an index that pymfe divides by the number of pairs.
_OTHER = ("nre", "sc", "vdu")

Case = tuple[str, Callable[[], Table]]


def made_table(n_rows: int, n_columns: int = 50, *, mixed: bool = False) -> Table:
    """Three classes and numeric columns; if mixed, half of them are categories, and a tenth of the cells is missing."""
    data, target = sklearn.datasets.make_classification(
        n_rows, n_columns, n_informative=min(10, n_columns), n_redundant=0, n_classes=3, random_state=SEED
    )
    generator = np.random.default_rng(SEED)
    columns, kinds = {}, []
    for index, values in enumerate(data.T):
        holes = generator.random(n_rows) < 0.1 if mixed else None
        category = mixed and index % 2 == 1
        cells = (
            np.char.add("level ", np.clip(values * 4 + 10, 0, 20).astype(int).astype(str))
            if category
            else values
        )
        columns[f"x{index}"] = pa.array(np.ascontiguousarray(cells), mask=holes)
        kinds.append(Column(f"x{index}", ColumnType.CATEGORICAL if category else ColumnType.NUMERIC))
    columns["class"] = pa.array(np.char.add("class ", target.astype(str)))
    return Table(pa.table(columns), tuple(kinds), "class", TaskType.CLASSIFICATION)


def library_cases() -> list[Case]:
    """scikit-learn's own datasets."""

    def load(name: str) -> Table:
        data, target = getattr(sklearn.datasets, f"load_{name}")(return_X_y=True)
        columns = {f"x{index}": column.astype(float) for index, column in enumerate(data.T)}
        kinds = tuple(Column(name, ColumnType.NUMERIC) for name in columns)
        frame = pa.table({**columns, "class": np.char.add("class ", target.astype(str))})
        return Table(frame, kinds, "class", TaskType.CLASSIFICATION)

    return [(name, lambda name=name: load(name)) for name in ("iris", "wine", "breast_cancer", "digits")]


def shared_cases(folder: Path) -> list[Case]:
    """Forty datasets of a folder, drawn by a fixed seed from those that pymfe describes in reasonable time."""
    cases: list[Case] = []
    sources = read_inventory(folder)
    random.Random(SEED).shuffle(sources)  # noqa: S311  a draw, not a secret
    for source in sources:
        if len(cases) < N_SHARED and complete(load_source(source)) is not None:
            cases.append((source.name, lambda source=source: _loaded(source)))
    return cases


def _loaded(source: Source) -> Table:
    table = complete(load_source(source))
    assert table is not None
    return table


def complete(table: Table) -> Table | None:
    """The table without its rows with missing cells, which pymfe does not take; None if too little is left."""
    if table.n_rows > MOST_SHARED_ROWS or len(table.columns) > MOST_SHARED_COLUMNS:
        return None
    holes = np.zeros(table.n_rows, dtype=bool)
    for column in table.columns:
        holes |= table.frame[column.name].is_null().to_numpy()
    kept = table.take(np.flatnonzero(~holes))
    numbers = [column for column in table.columns if column.type in NUMBER_LIKE]
    enough = kept.n_rows >= 50 and len(numbers) >= 2 and len(set(kept.target_values)) > 1
    return kept if enough else None


def differences(table: Table) -> dict[str, float]:
    """How many values of ours and of pymfe (its defects mended) are compared, and how many are apart."""
    ours = extract(table, 600.0).values
    counts = dict.fromkeys(("values", "apart", "sample_values", "sample_apart", "missing"), 0)
    _compare(ours, pymfe_peer.mended(table), EXACT, counts, "values", "apart")
    numbers = tuple(column for column in table.columns if column.type in NUMBER_LIKE)
    if table.classes and len(table.classes) < 30:
        sample = draw_sample(replace(table, columns=numbers))
        theirs, _ = pymfe_peer.of_sample(sample)
        alone = extract(replace(table, columns=numbers), 600.0).values
        of_sample = {name: value for name, value in theirs.items() if name not in _OTHER}
        _compare(alone, of_sample, SEEDED, counts, "sample_values", "sample_apart")
    return counts


def _compare(
    ours: dict[str, float | None],
    theirs: dict[str, float],
    tolerance: float,
    counts: dict[str, int],
    all_: str,
    apart: str,
) -> None:
    for name in set(theirs) & set(NAMES):
        mine, other = ours[name], theirs[name]
        if mine is None and not math.isfinite(other):
            counts["missing"] += 1
            continue
        counts[all_] += 1
        if mine is None or not math.isclose(mine, other, rel_tol=tolerance, abs_tol=1e-9):
            counts[apart] += 1
            print(f"  {name}: {mine} here, {other} there", file=sys.stderr)


def speed(n_rows: int) -> dict[str, float]:
    """Seconds for simple, statistical and information-theoretic metafeatures, ours and pymfe's, and values apart."""
    table = made_table(n_rows)
    extract(made_table(1_000), 0.0)  # imports and caches are nobody's merit
    began = time.perf_counter()
    ours = extract(table, 0.0).values
    seconds = time.perf_counter() - began
    _, theirs = pymfe_peer.of_table(table)
    counts = dict.fromkeys(("values", "apart", "missing"), 0)
    _compare(ours, pymfe_peer.mended(table), EXACT, counts, "values", "apart")
    return {"ours": seconds, "pymfe": theirs, "apart": counts["apart"]}


def run_landmarking(n_rows: int) -> dict[str, float]:
    """Seconds for pymfe's landmarkers on its terms (all rows, ten folds) and for ours on the sample; and for all of ours."""
    table = made_table(n_rows)
    landmarking.extract(draw_sample(made_table(1_000)), math.inf)
    began = time.perf_counter()
    _, seconds = landmarking.extract(draw_sample(table), math.inf)
    everything = time.perf_counter() - began
    began = time.perf_counter()
    draw_sample(table)
    drawing = time.perf_counter() - began
    shared = sum(seconds[name] for name in pymfe_peer.LANDMARKERS)
    _, theirs = pymfe_peer.of_table(table, ("landmarking",))
    return {"ours": shared + drawing, "pymfe": theirs, "all": everything}


def mixed(n_rows: int) -> dict[str, float]:
    """Seconds for a mixed table with holes, and for a numeric one of the same size."""
    tables = {"numeric": made_table(n_rows), "mixed": made_table(n_rows, mixed=True)}
    extract(made_table(1_000, mixed=True), 0.0)
    seconds = {}
    for name, table in tables.items():
        began = time.perf_counter()
        extract(table, 0.0)
        seconds[name] = time.perf_counter() - began
    return seconds


def memory(n_rows: int) -> dict[str, float]:
    """Bytes of the table, and the most that the process held beyond what it held before the table was there."""
    extract(made_table(1_000), 1.0)
    process = psutil.Process()
    before = process.memory_info().rss
    generator = np.random.default_rng(SEED)
    columns = {f"x{index}": generator.normal(size=n_rows) for index in range(50)}
    kinds = tuple(Column(name, ColumnType.NUMERIC) for name in columns)
    frame = pa.table({**columns, "class": pa.array(np.array(["p", "q", "r"])[np.arange(n_rows) % 3])})
    table, peak, done = Table(frame, kinds, "class", TaskType.CLASSIFICATION), 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.005):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    extract(table, 5.0)
    done.set()
    watcher.join()
    return {"table": frame.nbytes, "peak": peak - before}


def sweep(n_rows: int, n_columns: int) -> dict[str, float]:
    """Seconds for a table of this size."""
    generator = np.random.default_rng(SEED)
    columns = {f"x{index}": generator.normal(size=n_rows) for index in range(n_columns)}
    kinds = tuple(Column(name, ColumnType.NUMERIC) for name in columns)
    frame = pa.table({**columns, "class": pa.array(np.array(["p", "q", "r"])[np.arange(n_rows) % 3])})
    extract(made_table(1_000), 0.0)
    began = time.perf_counter()
    extract(Table(frame, kinds, "class", TaskType.CLASSIFICATION), 0.0)
    return {"seconds": time.perf_counter() - began}


_RUNS: dict[str, Callable[..., dict[str, float]]] = {
    "speed": speed,
    "landmarking": run_landmarking,
    "mixed": mixed,
    "memory": memory,
    "sweep": sweep,
}

if __name__ == "__main__":
    print(json.dumps(_RUNS[sys.argv[1]](*map(int, sys.argv[2:]))))
