"""From a file to everything that is known about the dataset in it: types, findings, metafeatures."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from app.metalearning.metafeatures import SCHEMA_VERSION, extract
from app.metalearning.preflight import inspect
from app.metalearning.reading import read_file
from app.metalearning.table import Table, TaskType, type_table, write_table


def describe(
    path: Path, target: str, task_type: str | None, landmarking_seconds: float
) -> tuple[Table, dict[str, Any]]:
    """Read, type, inspect and describe a file.

    Raises: subclasses of UnusableDatasetError.
    """
    raw = read_file(path)
    table, typing_findings = type_table(raw.frame, target, TaskType(task_type) if task_type else None)
    findings = (*typing_findings, *inspect(table))
    metafeatures = extract(table, landmarking_seconds)
    is_regression = table.task_type is TaskType.REGRESSION
    facts = {
        "task_type": table.task_type,
        "target": table.target,
        "n_rows": table.n_rows,
        "classes": list(table.classes),
        "target_sd": float(np.std(table.target_values)) if is_regression else None,
        "columns": [{"name": column.name, "type": column.type} for column in table.columns],
        "reading": {
            "format": raw.format,
            "encoding": raw.encoding,
            "delimiter": raw.delimiter,
            "decimal": raw.decimal,
            "column_names": raw.frame.column_names,
            "renamed_columns": list(raw.renamed_columns),
        },
        "findings": [asdict(finding) for finding in findings],
        "metafeatures": metafeatures.values,
        "metafeature_version": SCHEMA_VERSION,
        "metafeature_seconds": metafeatures.seconds,
        "absent_metafeatures": list(metafeatures.absent),
    }
    return table, facts


def describe_upload(payload: dict[str, Any], report: Any) -> dict[str, Any]:  # noqa: ARG001  no progress worth telling
    """What the API's child runs: describe `upload` in `folder` and write `table.parquet` beside it."""
    folder = Path(payload["folder"])
    table, facts = describe(
        folder / "upload", payload["target"], payload["task_type"], payload["landmarking_seconds"]
    )
    write_table(table, folder / "table.parquet")
    return facts
