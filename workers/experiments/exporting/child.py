"""What a worker's child does after stacking: write the model as ONNX too, if that predicts the same."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from app.isolation import Report
from app.metalearning.expected import Expected, expected_by
from app.metalearning.table import NUMBER_LIKE, ClassType, TaskType, read_table
from workers.experiments import pipelines
from workers.experiments.artifacts import load_model
from workers.experiments.contract import ARTIFACT_FILE, ONNX_FILE
from workers.experiments.exporting import checking
from workers.experiments.exporting.ensembles import answer
from workers.experiments.exporting.graph import CannotConvertError, Graph

_LABELS = {
    ClassType.STRING: (TensorProto.STRING, object),
    ClassType.INTEGER: (TensorProto.INT64, np.int64),
    ClassType.NUMBER: (TensorProto.DOUBLE, np.float64),
    ClassType.BOOLEAN: (TensorProto.BOOL, np.bool_),
}


def export(payload: dict[str, Any], report: Report) -> dict[str, Any]:  # noqa: ARG001  nobody waits for it alone
    """Write the ONNX file to the task's folder; what the card says of it, whatever comes of it.

    Args:
        payload: `table`, `folder` (where stacking left the artifact), `card`.
        report: never told of anything.
    """
    warnings.simplefilter("ignore")
    folder, card = Path(payload["folder"]), payload["card"]
    expected = expected_by(card)
    assert expected is not None, "this version wrote the card"
    model = load_model(folder / ARTIFACT_FILE, card)
    try:
        content = converted(model, expected).SerializeToString()
    except (MemoryError, OSError):
        raise
    except Exception as error:  # noqa: BLE001  converters have exceptions of their own, and all mean the same
        return told(f"It does not convert: {_said(error)}")
    data = checking.sample(pipelines.features(read_table(Path(payload["table"]))))
    try:
        difference = checking.largest_difference(content, model, data, expected.task_type)
    except (MemoryError, OSError):
        raise
    except Exception as error:  # noqa: BLE001  so has the runtime
        return told(f"ONNX Runtime does not run it: {_said(error)}")
    if not difference <= checking.TOLERANCE:
        finite = difference if np.isfinite(difference) else None
        return told("Its predictions differ from those of the model.", finite, len(data))
    (folder / ONNX_FILE).write_bytes(content)
    return told(None, difference, len(data))


def converted(model: Any, expected: Expected) -> onnx.ModelProto:
    """The model as a graph: an input per column, `label` and `probabilities`, or `prediction`.

    Raises: CannotConvertError, and whatever a converter raises.
    """
    graph = Graph()
    graph.reserve("label", "probabilities", "prediction")
    columns = {
        each.column.name: graph.input(
            each.column.name,
            TensorProto.DOUBLE if each.column.type in NUMBER_LIKE else TensorProto.STRING,
        )
        for each in expected.columns
    }
    if taken := columns.keys() & {"label", "probabilities", "prediction"}:
        raise CannotConvertError(f"a column is called {min(taken)!r}, as an output is")
    found = answer(graph, model, columns)
    if expected.task_type is TaskType.REGRESSION:
        flat = graph.add("Reshape", found, graph.constant(np.array([-1], dtype=np.int64)))
        graph.output("prediction", flat, TensorProto.DOUBLE)
    else:
        _give_labels(graph, found, expected)
    return graph.model(
        f"Predicts {expected.target}. Missing: NaN for numbers, the empty string for categories."
    )


def told(reason: str | None, difference: float | None = None, n_rows: int | None = None) -> dict[str, Any]:
    """What the card says: whether there is a file, or why not; how well it was compared."""
    return {
        "available": reason is None,
        "reason": reason,
        "max_difference": difference,
        "tolerance": checking.TOLERANCE,
        "rows": n_rows,
    }


def _give_labels(graph: Graph, probabilities: str, expected: Expected) -> None:
    total = graph.add("ReduceSum", probabilities, graph.constant(np.array([1], dtype=np.int64)), keepdims=1)
    shares = graph.add("Div", probabilities, total)
    kind, dtype = _LABELS[expected.class_type]
    labels = graph.constant(np.array(expected.labels(), dtype=dtype))
    code = graph.add("ArgMax", shares, axis=1, keepdims=0)
    graph.output("label", graph.add("Gather", labels, code), kind)
    graph.output("probabilities", shares, TensorProto.DOUBLE, len(expected.classes))


def _said(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
