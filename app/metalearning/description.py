"""From a file to everything that is known about the dataset in it: types, findings, metafeatures."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from app.metalearning.columns import Declaration, type_table
from app.metalearning.findings import Finding, found
from app.metalearning.metafeatures import SCHEMA_VERSION, Metafeatures, extract
from app.metalearning.preflight import inspect
from app.metalearning.reading import read_file
from app.metalearning.table import ColumnType, Table, TaskType, write_table


def describe(path: Path, declared: Declaration, landmarking_seconds: float) -> tuple[Table, dict[str, Any]]:
    """Read, type, inspect and describe a file.

    Raises: subclasses of UnusableDatasetError.
    """
    began = time.perf_counter()
    raw = read_file(path, target=declared.target)
    table, facts = describe_frame(raw.frame, declared, landmarking_seconds, began)
    if f"{table.target}.2" in raw.renamed_columns:
        detail = (
            f"Several columns are called {table.target!r}; the first is the target, the others are features."
        )
        facts["findings"].append(asdict(found("repeated_target_name", table.target, detail)))
    return table, facts | {"reading": raw.facts()}


def describe_frame(
    frame: pa.Table, declared: Declaration, landmarking_seconds: float, began: float | None = None
) -> tuple[Table, dict[str, Any]]:
    """Type, inspect and describe a table in memory; `pyarrow.Table.from_pandas` makes one of a data frame.

    Landmarkers have their seconds from `began` on (now unless given), but at least a third of them.

    Raises: subclasses of UnusableDatasetError.
    """
    began = time.perf_counter() if began is None else began
    table, typing_findings = type_table(frame, declared)
    findings = (*typing_findings, *inspect(table))
    metafeatures = extract(table, landmarking_seconds, began)
    findings = (*findings, *_sampling(table, metafeatures))
    is_regression = table.task_type is TaskType.REGRESSION
    facts = {
        "task_type": table.task_type,
        "target": table.target,
        "n_rows": table.n_rows,
        "classes": list(table.classes),
        "target_sd": float(np.std(table.target_values)) if is_regression else None,
        "columns": _columns(table, frame.column_names),
        "findings": [asdict(finding) for finding in findings],
        "metafeatures": metafeatures.values,
        "metafeature_version": SCHEMA_VERSION,
        "metafeature_seconds": metafeatures.seconds,
        "absent_metafeatures": list(metafeatures.absent),
    }
    return table, facts


def _sampling(table: Table, metafeatures: Metafeatures) -> list[Finding]:
    """What to say where the table was too large to be described in full."""
    rows, columns = metafeatures.rows, metafeatures.columns
    parts = []
    if rows < table.n_rows:
        parts.append(f"Metafeatures rest on {rows:,} of {table.n_rows:,} rows.")
    if columns < len(table.columns):
        parts.append(f"Those of pairs of columns rest on {columns:,} of {len(table.columns):,} columns.")
    if not parts:
        return []
    return [
        found(
            "metafeatures_sampled",
            None,
            " ".join(parts),
            rows=rows,
            n_rows=table.n_rows,
            columns=columns,
            n_columns=len(table.columns),
        )
    ]


def _columns(table: Table, names: list[str]) -> list[dict[str, Any]]:
    """Every column of the file but the target: its type, and what it is used as."""
    types = {column.name: column.type for column in table.columns}
    roles = {table.group: "group", table.time: "time"} | dict.fromkeys(types, "feature")
    return [
        {"name": name, "type": types.get(name), "role": roles.get(name, "left_out")}
        for name in names
        if name != table.target
    ]


def describe_upload(payload: dict[str, Any], report: Any) -> dict[str, Any]:  # noqa: ARG001  no progress worth telling
    """What the API's child runs: describe `upload` in `folder` and write `table.parquet` beside it."""
    folder = Path(payload["folder"])
    declared = payload["declared"]
    declaration = Declaration(
        target=declared["target"],
        task_type=TaskType(declared["task_type"]) if declared["task_type"] else None,
        column_types={name: ColumnType(kind) for name, kind in declared["column_types"].items()},
        group=declared["group"],
        time=declared["time"],
    )
    table, facts = describe(folder / "upload", declaration, payload["landmarking_seconds"])
    write_table(table, folder / "table.parquet")
    return facts
