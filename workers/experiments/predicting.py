"""Predict new rows with a fitted model: the answer of `POST /models/{id}/predict`."""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from app.errors import RowsRefusedError
from app.isolation import Report
from app.metalearning.expected import Expected, expected_by
from app.metalearning.newrows import NewRows, as_expected, frame_of, read_rows
from app.metalearning.table import FloatArray, TaskType
from workers.experiments import pipelines
from workers.experiments.artifacts import load_model
from workers.experiments.contract import ANSWER_FILE


def predict(payload: dict[str, Any], report: Report) -> dict[str, Any]:  # noqa: ARG001  it is over before anybody looks
    """Write the answer as JSON to the task's folder; return what there is to say of the rows.

    Args:
        payload: `model_id`, `job_id`, `card`, `artifact` (path), `rows` (path), `form` (`rows` or `file`), `reading` (how the
            training file was read), `folder`.
        report: never told of anything.

    Raises: subclasses of UnusableRowsError and UnusableDatasetError.
    """
    warnings.simplefilter("ignore")
    card = payload["card"]
    expected = expected_by(card)
    assert expected is not None, "a job is begun for a model whose card tells what it expects"
    rows = _rows(Path(payload["rows"]), payload["form"], expected, payload["reading"])
    model = load_model(Path(payload["artifact"]), card)
    notes = rows.notes()
    answer = {
        "model_id": payload["model_id"],
        "job_id": payload["job_id"],
        "task_type": expected.task_type,
        "target": expected.target,
        **notes,
        **_answer(expected, predictions(model, rows, expected)),
    }
    with (Path(payload["folder"]) / ANSWER_FILE).open("w") as file:
        json.dump(answer, file, allow_nan=False, separators=(",", ":"))
    return notes


def predictions(model: Any, rows: NewRows, expected: Expected) -> FloatArray:
    """Probabilities of shape (rows, classes) in the order of the classes, or numbers of shape (rows,).

    Raises: RowsRefusedError.
    """
    data = pipelines.features(rows.table)
    try:
        if expected.task_type is TaskType.REGRESSION:
            return np.asarray(model.predict(data), dtype=np.float64).ravel()
        raw = np.asarray(model.predict_proba(data), dtype=np.float64)
    except (MemoryError, OSError):
        raise
    except (
        Exception
    ) as error:  # each library has exceptions of its own, and the same model predicted other rows
        raise _refusal(error, rows) from error
    found = np.zeros((len(raw), len(expected.classes)))
    found[:, np.asarray(model.classes_, dtype=np.int64)] = raw
    shares: FloatArray = found / np.maximum(found.sum(axis=1, keepdims=True), 1e-12)
    return shares


def _rows(path: Path, form: str, expected: Expected, reading: dict[str, Any]) -> NewRows:
    if form == "rows":
        return as_expected(frame_of(json.loads(path.read_bytes())["rows"], expected), expected)
    frame, decimal = read_rows(path, expected, reading)
    return as_expected(frame, expected, decimal)


def _answer(expected: Expected, found: FloatArray) -> dict[str, Any]:
    """Labels as they were in training, and probabilities in the order of `classes`; null where a number is none."""
    if expected.task_type is TaskType.REGRESSION:
        numbers = [value if np.isfinite(value) else None for value in found.tolist()]
        return {"classes": None, "predictions": numbers, "probabilities": None}
    labels = expected.labels()
    return {
        "classes": labels,
        "predictions": [labels[code] for code in found.argmax(axis=1)],
        "probabilities": found.tolist(),
    }


def _refusal(error: Exception, rows: NewRows) -> RowsRefusedError:
    gaps = list(rows.columns_with_gaps[:20])
    return RowsRefusedError(
        f"The model cannot predict these rows: {error}"[:500],
        f"Fill in the missing values of {', '.join(map(repr, gaps))}."
        if gaps
        else "Look for numbers far beyond those of the training rows.",
        columns_with_gaps=gaps,
    )
