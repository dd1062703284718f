"""Trees of scikit-learn as one node of ONNX, from their arrays: gaps go where they went in training."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import numpy_helper

from app.metalearning.table import FloatArray
from workers.experiments.exporting.graph import ML, CannotConvertError, Graph

Array = NDArray[Any]
MOST_NODES = 1_000_000  # which take some seconds, a gigabyte of memory, and 40 MB of a file


@dataclass(frozen=True)
class Tree:
    """A binary tree in arrays, one entry per node: rows go left where `feature <= threshold`, or where `gap_left` for NaN.

    `values` has shape (nodes, targets) and counts in leaves alone.
    """

    feature: Array
    threshold: FloatArray
    gap_left: Array
    left: Array
    right: Array
    is_leaf: Array
    values: FloatArray


def of_forest(estimator: Any) -> list[Tree]:
    """The trees of a decision tree or a forest; leaves hold shares of classes, or numbers, of the mean over all trees."""
    members = getattr(estimator, "estimators_", [estimator])
    return [_of_tree(each.tree_, len(members), hasattr(each, "classes_")) for each in members]


def of_histograms(estimator: Any) -> list[Tree]:
    """The trees of histogram-based gradient boosting; each adds to one target, classes being targets of their own."""
    width = len(estimator._predictors[0])  # noqa: SLF001  there is no public way to the trees
    return [
        _of_predictor(each.nodes, place, width)
        for iteration in estimator._predictors  # noqa: SLF001
        for place, each in enumerate(iteration)
    ]


def summed(graph: Graph, trees: list[Tree], matrix: str, dtype: type) -> str:
    """The sum of what the trees say, shape (rows, targets); compared in float32 or float64, as `matrix` is.

    Raises: CannotConvertError.
    """
    return graph.add("TreeEnsembleRegressor", matrix, domain=ML, **_attributes(trees, dtype))


def _attributes(trees: list[Tree], dtype: type) -> dict[str, Any]:
    sizes = [len(tree.feature) for tree in trees]
    if sum(sizes) > MOST_NODES:
        raise CannotConvertError(
            f"its trees have {sum(sizes):,} nodes, more than the {MOST_NODES:,} that are written"
        )
    of_tree = np.repeat(np.arange(len(trees)), sizes)
    ids = np.concatenate([np.arange(size) for size in sizes])
    leaf, width = np.concatenate([tree.is_leaf for tree in trees]), trees[0].values.shape[1]
    values = np.concatenate([tree.values for tree in trees])[leaf]
    thresholds = np.where(leaf, 0.0, np.concatenate([tree.threshold for tree in trees]))
    numbers: dict[str, Array] = {
        "nodes_values": _rounded_down(thresholds) if dtype is np.float32 else thresholds,
        "target_weights": values.ravel().astype(dtype),
    }
    as_numbers: dict[str, Any] = (
        {f"{name}_as_tensor": numpy_helper.from_array(each, name) for name, each in numbers.items()}
        if dtype is np.float64
        else {name: each.tolist() for name, each in numbers.items()}
    )
    return {
        "n_targets": width,
        "aggregate_function": "SUM",
        "post_transform": "NONE",
        "nodes_treeids": of_tree.tolist(),
        "nodes_nodeids": ids.tolist(),
        "nodes_featureids": _joined(trees, "feature", leaf),
        "nodes_truenodeids": _joined(trees, "left", leaf),
        "nodes_falsenodeids": _joined(trees, "right", leaf),
        "nodes_missing_value_tracks_true": _joined(trees, "gap_left", leaf),
        "nodes_modes": np.where(leaf, "LEAF", "BRANCH_LEQ").tolist(),
        "target_treeids": np.repeat(of_tree[leaf], width).tolist(),
        "target_nodeids": np.repeat(ids[leaf], width).tolist(),
        "target_ids": np.tile(np.arange(width), int(leaf.sum())).tolist(),
        **as_numbers,
    }


def _of_tree(tree: Any, n_trees: int, is_classifier: bool) -> Tree:
    values = tree.value[:, 0, :]
    if is_classifier:
        values = values / values.sum(axis=1, keepdims=True)
    return Tree(
        tree.feature,
        tree.threshold,
        np.asarray(tree.missing_go_to_left),
        tree.children_left,
        tree.children_right,
        tree.children_left < 0,
        values / n_trees,
    )


def _of_predictor(nodes: Array, place: int, width: int) -> Tree:
    values = np.zeros((len(nodes), width))
    values[:, place] = nodes["value"]
    return Tree(
        nodes["feature_idx"],
        nodes["num_threshold"],
        nodes["missing_go_to_left"],
        nodes["left"],
        nodes["right"],
        nodes["is_leaf"].astype(bool),
        values,
    )


def _joined(trees: list[Tree], name: str, leaf: Array) -> list[int]:
    found = np.concatenate([getattr(tree, name) for tree in trees]).astype(np.int64)
    found[leaf] = 0
    nodes: list[int] = found.tolist()
    return nodes


def _rounded_down(thresholds: FloatArray) -> Array:
    """The largest float32 that is no larger: a float32 goes left by it where it goes left by the threshold itself."""
    rounded = thresholds.astype(np.float32)
    return np.where(rounded > thresholds, np.nextafter(rounded, np.float32(-np.inf)), rounded)
