"""Whether an ONNX file predicts what the model predicts, also for gaps and for categories that training has not seen."""

from typing import Any

import numpy as np
import pandas as pd

from app.metalearning.table import FloatArray, TaskType

MOST_ROWS = 5_000
TOLERANCE = 1e-4  # of a probability, or of the standard deviation of the numbers
_DISTURBED_ROWS = 200
_GAPS, _UNKNOWN = 0.2, 0.1  # shares of the disturbed rows' values
_BATCH = 500


def sample(data: pd.DataFrame) -> pd.DataFrame:
    """Training rows, evenly spaced where there are many, and some of them disturbed."""
    rows = data.iloc[:: -(-len(data) // MOST_ROWS)]
    return pd.concat([rows, _disturbed(rows.iloc[:_DISTURBED_ROWS])], ignore_index=True)


def largest_difference(content: bytes, model: Any, data: pd.DataFrame, task_type: TaskType) -> float:
    """Between the predictions of the file and of the model: of probabilities, or in standard deviations of the numbers."""
    name = "probabilities" if task_type is TaskType.CLASSIFICATION else "prediction"
    if task_type is TaskType.CLASSIFICATION:
        wanted = np.asarray(model.predict_proba(data), dtype=np.float64)
        unit = 1.0
    else:
        wanted = np.asarray(model.predict(data), dtype=np.float64).ravel()
        unit = float(np.std(wanted)) or 1.0
    found = run(content, data, name)
    difference = np.abs(found - wanted) / unit
    return float(difference.max()) if np.isfinite(found).all() else float("inf")


def run(content: bytes, data: pd.DataFrame, name: str) -> FloatArray:
    """An output of the file for these rows."""
    import onnxruntime  # noqa: PLC0415  it starts a thread, and forkservers import this module: what has threads is not forked

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    wanted = [each.name for each in session.get_inputs()]
    parts = [
        session.run([name], inputs(data.iloc[start : start + _BATCH], wanted))[0]
        for start in range(0, len(data), _BATCH)
    ]
    return np.concatenate(parts)


def inputs(data: pd.DataFrame, names: list[str]) -> dict[str, Any]:
    """The columns as the file takes them: float64 with NaN, strings with nothing for what is missing; shape (rows, 1)."""
    return {name: _as_input(data[name]) for name in names}


def _as_input(values: pd.Series) -> Any:
    if values.dtype == np.float64:
        return values.to_numpy()[:, None]
    return values.fillna("").to_numpy(dtype=object)[:, None]


def _disturbed(rows: pd.DataFrame) -> pd.DataFrame:
    random = np.random.default_rng(0)
    rows = rows.copy()
    for name in rows.columns:
        chance = random.random(len(rows))
        if rows[name].dtype != np.float64:
            rows[name] = rows[name].mask(chance > 1 - _UNKNOWN, "a category that training has not seen")
        rows[name] = rows[name].mask(chance < _GAPS)
    return rows
