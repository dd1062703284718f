"""Model-based metafeatures: the shape of a full decision tree on the sample (Bensusan et al. 2000; Peng et al. 2002).

Equal to pymfe's group `model-based` on equal rows and seed.
"""

import numpy as np

from app.metalearning.metafeatures.definitions import Values, summaries
from app.metalearning.metafeatures.sample import Sample, full_tree
from app.metalearning.table import IntArray


def extract(sample: Sample) -> Values:
    """The shape of the tree."""
    rows = np.arange(len(sample.target))
    model = full_tree(sample, rows)
    tree = model.tree_
    depths = _depths(tree.children_left, tree.children_right)
    is_leaf = tree.children_left < 0
    leaf_depths = depths[is_leaf]
    n_leaves, n_nodes = int(is_leaf.sum()), int((~is_leaf).sum())
    # Where a coin decides at every split: the probability of each leaf, and of ending at each depth.
    by_chance = 2.0**-leaf_depths
    shape = -by_chance * np.log2(by_chance)
    at_depth = np.bincount(leaf_depths, weights=by_chance)
    at_depth = at_depth[at_depth > 0]
    with np.errstate(divide="ignore"):
        homogeneity = n_leaves / shape
    values = {
        "leaves": n_leaves,
        "nodes": n_nodes,
        "nodes_per_attr": n_nodes / sample.data.shape[1],
        "nodes_per_inst": n_nodes / len(rows),
        **summaries("nodes_per_level", np.bincount(depths[~is_leaf]).astype(np.float64)),
        **summaries(
            "nodes_repeated", np.unique(tree.feature[~is_leaf], return_counts=True)[1].astype(np.float64)
        ),
        **summaries("tree_depth", depths),
        **summaries("leaves_branch", leaf_depths),
        **summaries("leaves_corrob", tree.n_node_samples[is_leaf] / len(rows)),
        **summaries("leaves_homo", homogeneity),
        **summaries("tree_shape", shape),
        **summaries("tree_imbalance", at_depth * 2.0**-at_depth),
        **summaries("var_importance", model.feature_importances_),
    }
    if sample.n_classes:
        predicted = tree.value[is_leaf, 0, :].argmax(axis=1)
        values |= summaries("leaves_per_class", np.unique(predicted, return_counts=True)[1] / n_leaves)
    return values


def _depths(left: IntArray, right: IntArray) -> IntArray:
    """The depth of every node; children come after their parents."""
    depths = np.zeros(len(left), dtype=np.int64)
    for node in np.flatnonzero(left >= 0):
        depths[left[node]] = depths[right[node]] = depths[node] + 1
    return depths
