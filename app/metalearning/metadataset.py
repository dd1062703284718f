"""The meta-dataset: metafeatures and measured performances of many datasets, as Parquet."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from app.metalearning.metrics import METRICS

DATA_DIR = Path(__file__).parent / "data"

_SCORES = [pa.field(name, pa.float64()) for name in METRICS]
EVALUATION_SCHEMA = pa.schema(
    [
        pa.field("dataset", pa.string()),
        pa.field("group", pa.string()),
        pa.field("task_type", pa.string()),
        pa.field("configuration", pa.string()),
        pa.field("fingerprint", pa.string()),
        pa.field("protocol", pa.int64()),
        pa.field("status", pa.string()),  # ok, timeout, memory, crash, failed
        pa.field("error", pa.string()),
        pa.field("n_rows", pa.int64()),
        pa.field("n_classes", pa.int64()),
        # One column per metric and part of the rows: metrics are never mixed in one column.
        *_SCORES,
        *(pa.field(f"{name}_a", pa.float64()) for name in METRICS),
        *(pa.field(f"{name}_b", pa.float64()) for name in METRICS),
        pa.field("fold_scores", pa.list_(pa.struct(_SCORES))),
        pa.field(
            "learning_curve",
            pa.list_(
                pa.struct([pa.field("anchor", pa.int64()), pa.field("fit_cpu_seconds", pa.float64()), *_SCORES])
            ),
        ),
        pa.field("target_sd", pa.float64()),
        pa.field("prior_entropy", pa.float64()),
        pa.field("fit_cpu_seconds", pa.float64()),
        pa.field("fit_wall_seconds", pa.float64()),
        pa.field("predict_cpu_seconds_per_1000_rows", pa.float64()),
        pa.field("peak_memory_bytes", pa.int64()),
        pa.field("threads", pa.int64()),
        pa.field("probe_seconds", pa.float64()),
        pa.field("versions", pa.string()),
    ]
)


def flatten_scores(measured: dict[str, Any]) -> dict[str, float]:
    """Scores on all rows and on halves A and B as columns of one evaluation."""
    return {
        **measured["scores"],
        **{f"{name}_a": value for name, value in measured["scores_a"].items()},
        **{f"{name}_b": value for name, value in measured["scores_b"].items()},
    }


def read_evaluations(path: Path) -> list[dict[str, Any]]:
    """The evaluations in a Parquet file; none where there is no file."""
    rows: list[dict[str, Any]] = pa.parquet.read_table(path).to_pylist() if path.exists() else []
    return rows


def write_evaluations(rows: Iterable[dict[str, Any]], path: Path) -> None:
    """Write evaluations as Parquet; a reader sees the old file or the new one, never a part."""
    temporary = path.with_suffix(".writing")
    frame = pa.Table.from_pylist(list(rows), schema=EVALUATION_SCHEMA)
    pa.parquet.write_table(frame, temporary, compression="zstd")
    temporary.replace(path)
