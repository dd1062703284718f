"""Small tables and evidence for tests, and what tests do with them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
from hypothesis import HealthCheck, Phase, settings

from app.metalearning.columns import Declaration, type_table
from app.metalearning.description import describe
from app.metalearning.findings import Finding
from app.metalearning.metadataset import TabularEvidence
from app.metalearning.metafeatures import LEARNED
from app.metalearning.reading import RawTable
from app.metalearning.reading.formats import Format
from app.metalearning.table import Column, ColumnType, FloatArray, Table, TaskType, write_table
from workers.experiments import evaluation, stacking

CLASSIFICATION, REGRESSION = TaskType.CLASSIFICATION, TaskType.REGRESSION
CLASS, NUMBER = "class", "number"

# The same examples on every run: a test that fails once fails again.
quick = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
)


def typed(columns: Mapping[str, Any], target: str, task_type: TaskType | None = None) -> Table:
    return type_table(pa.table(dict(columns)), Declaration(target, task_type))[0]


def typed_column(
    values: Any, n_rows: int = 60, **declared: Any
) -> tuple[str, list[Any], tuple[Finding, ...]]:
    """The type, the values and the findings of one feature, repeated to a number of rows, beside another."""
    repeated = pa.array((list(values) * n_rows)[:n_rows])
    columns = {"x": repeated, "other": [0.5, 1.5] * (n_rows // 2), "y": ["no", "yes"] * (n_rows // 2)}
    table, findings = type_table(pa.table(columns), Declaration("y", **declared))
    types = {column.name: column.type for column in table.columns}
    values = table.frame["x"].to_pylist() if "x" in types else []
    return types.get("x", ColumnType.ID), values, findings


def exactly(columns: Mapping[str, Any], target: Any, *, categorical: tuple[str, ...] = ()) -> Table:
    """A table whose columns are kept whatever they hold, so that degenerate ones can be tested."""
    kinds = [
        Column(name, ColumnType.CATEGORICAL if name in categorical else ColumnType.NUMERIC)
        for name in columns
    ]
    values = pa.array(target)
    task_type = CLASSIFICATION if pa.types.is_string(values.type) else REGRESSION
    return Table(pa.table({**columns, "target": values}), tuple(kinds), "target", task_type)


def mixed_columns(n_rows: int, seed: int = 0) -> dict[str, Any]:
    """Numbers, categories, dates and booleans with holes; `number` is a noisy sum of them, `class` a cut of it."""
    random = np.random.default_rng(seed)
    size, weight = random.normal(size=(2, n_rows))
    colour = random.choice(["red", "green", "blue"], n_rows)
    old = random.random(n_rows) < 0.4
    days = random.integers(0, 4000, n_rows)
    signal = size + np.where(colour == "red", 1.5, 0) + old + days / 2000 + random.normal(size=n_rows) / 2
    cuts = np.quantile(signal, [0.3, 0.7])
    return {
        "size": _holed(size, random),
        "weight": _holed(weight.round(2), random),
        "colour": _holed(colour, random),
        "old": _holed(old, random),
        "made": _holed(np.datetime64("2015-01-01") + days, random),
        NUMBER: pa.array(10 + 3 * signal),
        CLASS: pa.array(np.array(["low", "middle", "high"])[np.searchsorted(cuts, signal)]),
    }


def mixed_table(task_type: TaskType, n_rows: int = 120, seed: int = 0) -> Table:
    columns = mixed_columns(n_rows, seed)
    target, other = (CLASS, NUMBER) if task_type is CLASSIFICATION else (NUMBER, CLASS)
    del columns[other]
    return typed(columns, target, task_type)


def complementary_table(task_type: TaskType, n_rows: int = 500) -> Table:
    """One part of the target is a sum that lines find, the other a fold that trees find."""
    random = np.random.default_rng(0)
    x = random.normal(size=(9, n_rows))
    target = x[:8].sum(axis=0) / 1.4 + 2 * np.sign(np.abs(x[8]) - 0.67) + random.normal(size=n_rows) * 0.3
    columns = {f"x{index}": column for index, column in enumerate(x)}
    return typed({**columns, NUMBER: target if task_type is REGRESSION else target > 0}, NUMBER)


def noise_table(n_rows: int, seed: int = 0) -> Table:
    """Columns that say nothing about the two classes."""
    random = np.random.default_rng(seed)
    columns = {f"x{index}": random.normal(size=n_rows) for index in range(4)}
    return typed({**columns, CLASS: random.permutation(np.arange(n_rows) % 2)}, CLASS)


def measure(
    table: Table, configuration: str, folder: Path, rival: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The result of an experiment, run in this process, with its predictions' path."""
    folder = folder / configuration
    folder.mkdir(exist_ok=True)
    write_table(table, folder / "table.parquet")
    payload = {
        "table": str(folder / "table.parquet"),
        "configuration": configuration,
        "folder": str(folder),
        "probe_file": str(folder / "probe.json"),
        "gpu": False,
        "rival": rival,
    }
    result = evaluation.measure(payload, silent)
    return {
        "configuration": configuration,
        "result": result,
        "predictions": str(folder / evaluation.PREDICTIONS_FILE),
    }


def combine(
    table: Table,
    experiments: list[dict[str, Any]],
    metric: str,
    folder: Path,
    reading: dict[str, Any] | None = None,
    **wishes: Any,
) -> dict[str, Any]:
    """What stacking returns, of a stack as it is wished; its script and artifact are in the folder."""
    write_table(table, folder / "table.parquet")
    payload = {
        "table": str(folder / "table.parquet"),
        "folder": str(folder),
        "metric": metric,
        "reading": reading or plain_reading(table),
        "dataset": {"id": "ds", "name": "test", "metafeatures": {}},
        "experiments": experiments,
        "seconds": 600.0,
        "stack": {"meta_model": None, "layers": 1, "calibrate": None, **wishes},
    }
    return stacking.stack(payload, silent)


def plain_reading(table: Table) -> dict[str, Any]:
    """How a CSV file with the table's columns was read."""
    return RawTable(table.frame, Format.CSV, encoding="utf-8", delimiter=",").facts()


def silent(message: dict[str, Any]) -> None:
    """Take a progress message and say nothing."""


def described(path: Path, target: str, **declared: Any) -> tuple[Table, dict[str, Any]]:
    """A file as the service sees it, without landmarkers."""
    return describe(path, Declaration(target, **declared), 0.0)


def evidence(regret: FloatArray, metafeatures: FloatArray, groups: tuple[str, ...]) -> TabularEvidence:
    """Evidence in which losses and regrets are the same, and every fit takes a second."""
    n_datasets, n_configurations = regret.shape
    ones = np.ones_like(regret)
    timings = np.array([(0, c, 100.0, 5.0, 2.0, 1.0) for c in range(n_configurations) for _ in range(3)])
    return TabularEvidence(
        task_type=CLASSIFICATION,
        datasets=tuple(f"dataset {row}" for row in range(n_datasets)),
        groups=groups,
        configurations=tuple(f"configuration {column}" for column in range(n_configurations)),
        metafeature_names=tuple(f"metafeature {column}" for column in range(metafeatures.shape[1])),
        metafeatures=metafeatures,
        losses={"roc_auc": regret},
        curves={"roc_auc": np.full((*regret.shape, 3), np.nan)},
        headline_losses=regret,
        headline_losses_a=regret,
        headline_losses_b=regret,
        regret=regret,
        regret_b=regret,
        predict_seconds=ones,
        memory_bytes=ones,
        fit_seconds=ones,
        timings=timings,
    )


def targets(most_rows: int = 200) -> st.SearchStrategy[FloatArray]:
    """Class codes, skewed or not, and numbers with and without ties."""
    codes = st.lists(st.sampled_from([0, 0, 0, 0, 1, 1, 2, 3]), min_size=20, max_size=most_rows)
    numbers = st.lists(st.floats(-1e6, 1e6), min_size=20, max_size=most_rows)
    return st.one_of(codes, numbers).map(lambda values: np.array(values, dtype=np.float64))


def a_vector(**values: float) -> FloatArray:
    """A metafeature vector in which only these are known; dots in names are written as two underscores."""
    vector = np.full(len(LEARNED), np.nan)
    for name, value in values.items():
        vector[LEARNED.index(name.replace("__", "."))] = value
    return vector


def known_metafeatures(of: TabularEvidence, row: int = 0) -> dict[str, float | None]:
    """Those of a dataset in the evidence, as a request has them."""
    values = zip(LEARNED, of.metafeatures[row], strict=True)
    return {name: None if np.isnan(value) else float(value) for name, value in values}


def _holed(values: Any, random: np.random.Generator) -> pa.Array:
    return pa.array(values, mask=random.random(len(values)) < 0.08)
