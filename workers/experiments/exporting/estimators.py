"""What learns, converted by whoever knows it: trees by `trees`, the rest of scikit-learn by skl2onnx, boosting by onnxmltools and CatBoost.

skl2onnx would write scikit-learn's trees too, in minutes for what `trees` writes in half a second, and loses where gaps go.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto
from onnxmltools import convert_lightgbm, convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import DoubleTensorType

from workers.experiments.exporting import kernels, trees
from workers.experiments.exporting.additive import summed_tables
from workers.experiments.exporting.graph import ML, ML_OPSET, OPSET, CannotConvertError, Graph

_INPUT = "X"
_OPSETS = {"": OPSET, ML: ML_OPSET}
_TOOLS_OPSET = 15  # all that onnxmltools writes of it means the same in ours


def predicted(graph: Graph, estimator: Any, matrix: str) -> str:
    """Probabilities of shape (rows, classes), or numbers of shape (rows, 1), that a fitted estimator makes of a matrix.

    Args:
        graph: gets the nodes.
        estimator: takes `matrix`, float64 of shape (rows, features).
        matrix: the value's name.

    Raises: CannotConvertError, and whatever a converter raises.
    """
    convert = next(
        (convert for start, convert in _CONVERTERS.items() if _name(estimator).startswith(start)), None
    )
    return convert(graph, estimator, matrix) if convert else _scikit_learn(graph, estimator, matrix)


def _name(estimator: Any) -> str:
    return type(estimator).__name__


def _scaled_back(graph: Graph, estimator: Any, matrix: str) -> str:
    """The numbers of the regressor inside, in the target's own unit."""
    scaler = estimator.transformer_
    if type(scaler).__name__ != "StandardScaler":
        raise CannotConvertError(f"there is no converter for a target transformed by {type(scaler).__name__}")
    inner = predicted(graph, estimator.regressor_, matrix)
    return graph.add(
        "Add", graph.add("Mul", inner, graph.numbers(scaler.scale_)), graph.numbers(scaler.mean_)
    )


def _histograms(graph: Graph, estimator: Any, matrix: str) -> str:
    """The sum of the trees and the baseline, through the inverse link of the loss."""
    # It compares float64 with float64, and gives its sums out as float32.
    raw = graph.as_float64(trees.summed(graph, trees.of_histograms(estimator), matrix, np.float64))
    baseline = np.asarray(estimator._baseline_prediction, dtype=np.float64).reshape(1, -1)  # noqa: SLF001
    raw = graph.add("Add", raw, graph.numbers(baseline))
    return graph.shares(raw, baseline.size) if hasattr(estimator, "classes_") else raw


def _forest(graph: Graph, estimator: Any, matrix: str) -> str:
    single = graph.cast(matrix, TensorProto.FLOAT)  # as scikit-learn compares them
    return graph.as_float64(trees.summed(graph, trees.of_forest(estimator), single, np.float32))


def _neighbours(graph: Graph, estimator: Any, matrix: str) -> str:
    """Where there are few; many of them skl2onnx goes through one by one, at equal weights and by Euclid alone."""
    convert = kernels.neighbours if kernels.can_compare(estimator) else _scikit_learn
    return convert(graph, estimator, matrix)


def _discriminants(graph: Graph, estimator: Any, matrix: str) -> str:
    """By hand, for of two classes skl2onnx makes other probabilities than scikit-learn."""
    products = graph.add("MatMul", matrix, graph.numbers(estimator.coef_.T))
    scores = graph.add("Add", products, graph.numbers(estimator.intercept_))
    return graph.shares(scores, len(estimator.intercept_))


def _gaussian_process(*_: Any) -> str:
    raise CannotConvertError("there is no converter for Gaussian processes that classify")


def _scikit_learn(graph: Graph, estimator: Any, matrix: str) -> str:
    if not type(estimator).__module__.startswith("sklearn."):
        raise CannotConvertError(f"there is no converter for {_name(estimator)}")
    types = [(_INPUT, DoubleTensorType([None, estimator.n_features_in_]))]
    options = {id(estimator): {"zipmap": False}} if hasattr(estimator, "classes_") else None
    model = convert_sklearn(estimator, initial_types=types, options=options, target_opset=_OPSETS)
    return _taken_in(graph, model, matrix)


def _lightgbm(graph: Graph, estimator: Any, matrix: str) -> str:
    types = [(_INPUT, FloatTensorType([None, estimator.n_features_in_]))]
    model = convert_lightgbm(estimator, initial_types=types, zipmap=False, target_opset=_TOOLS_OPSET)
    return _taken_in(graph, model, graph.cast(matrix, TensorProto.FLOAT))


def _xgboost(graph: Graph, estimator: Any, matrix: str) -> str:
    types = [(_INPUT, FloatTensorType([None, estimator.n_features_in_]))]
    model = convert_xgboost(estimator, initial_types=types, target_opset=_TOOLS_OPSET)
    return _taken_in(graph, model, graph.cast(matrix, TensorProto.FLOAT))


def _catboost(graph: Graph, estimator: Any, matrix: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        estimator.save_model(str(path), format="onnx")
        model = onnx.load(path)
    return _taken_in(graph, _without_maps(model), graph.cast(matrix, TensorProto.FLOAT))


def _taken_in(graph: Graph, model: onnx.ModelProto, value: str) -> str:
    """The model's probabilities or numbers, which it gives out behind the labels where it has these, as float64."""
    return graph.as_float64(graph.take_in(model, value, model.graph.output[-1].name))


def _without_maps(model: onnx.ModelProto) -> onnx.ModelProto:
    """Probabilities as a matrix, where a converter can only give them out as a list of dictionaries."""
    maps = [node for node in model.graph.node if node.op_type == "ZipMap"]
    for node in maps:
        model.graph.node.remove(node)
        for output in model.graph.output:
            if output.name == node.output[0]:
                output.name = node.input[0]
    return model


# By how the name of the estimator begins; all others are left to skl2onnx.
_CONVERTERS: dict[str, Callable[[Graph, Any, str], str]] = {
    "TransformedTargetRegressor": _scaled_back,
    "DecisionTree": _forest,
    "RandomForest": _forest,
    "ExtraTrees": _forest,
    "GaussianProcessClassifier": _gaussian_process,
    "LinearDiscriminantAnalysis": _discriminants,
    "HistGradientBoosting": _histograms,
    "ExplainableBoosting": summed_tables,
    "KNeighbors": _neighbours,
    "SVR": kernels.support_vectors,
    "LGBM": _lightgbm,
    "XGB": _xgboost,
    "CatBoost": _catboost,
}
