"""Grow the trees of every meta-learner that has some, and flatten them to arrays."""

from typing import Any

import numpy as np
from lightgbm import LGBMRanker
from sklearn.ensemble import ExtraTreesRegressor

from app.metalearning.baselines import WORST_REGRET
from app.metalearning.evidence import Evidence
from app.metalearning.experience import LARGEST_LOSS
from app.metalearning.metalearners.forest import ForestArrays
from app.metalearning.metalearners.lambdamart import RankingTrees, describe_configurations
from app.metalearning.metalearners.pairwise import PairwiseTrees
from app.metalearning.metalearners.portfolio import greedy_order
from app.metalearning.metalearners.trained import Trained
from app.metalearning.metalearners.trees import without_gaps
from app.metalearning.table import FloatArray

N_TREES = 300
# Pairs: so many configurations meet, and every pair has so many trees.
N_MEETING, N_PAIR_TREES = 16, 20
_LEAST_STAKE = 1e-3  # so that no leaf is without weight
# Boosted ranking; grades are the regrets in so many steps, the best has the highest.
N_ROUNDS, N_GRADES = 150, 16


def train(evidence: Evidence) -> Trained:
    """Everything that has to be grown."""
    return Trained(
        forest=fit_forest(evidence.metafeatures, evidence.regret),
        level=fit_level_forest(evidence),
        pairwise=fit_pairwise(evidence.metafeatures, evidence.regret),
        ranking=fit_ranking(evidence.metafeatures, evidence.regret),
    )


def fit_forest(metafeatures: FloatArray, targets: FloatArray) -> ForestArrays:
    """Grow extremely randomised trees for all targets at once.

    Args:
        metafeatures: shape (datasets, metafeatures), NaN where missing.
        targets: shape (datasets, configurations), NaN where nobody tried.
    """
    fill = _medians(metafeatures)
    filled = without_gaps(metafeatures, fill)
    forest = ExtraTreesRegressor(
        N_TREES, min_samples_leaf=3, max_features=0.4, bootstrap=False, random_state=0, n_jobs=1
    ).fit(filled, _without_gaps(targets))
    nodes = _flattened([forest])
    return ForestArrays(**nodes, fill=fill, leaves=(forest.apply(filled) + nodes["roots"]).astype(np.int32))


def fit_level_forest(evidence: Evidence) -> ForestArrays:
    """A forest whose leaves hold datasets on which the same configurations reach the same losses."""
    losses = np.minimum(evidence.headline_losses, LARGEST_LOSS)
    middle = np.nanmedian(losses, axis=1, keepdims=True)
    return fit_forest(evidence.metafeatures, np.where(np.isnan(losses), middle, losses))


def fit_pairwise(metafeatures: FloatArray, regret: FloatArray) -> PairwiseTrees:
    """Grow a few trees for every pair of the portfolio's first configurations, datasets weighed by what is at stake."""
    fill = _medians(metafeatures)
    filled = without_gaps(metafeatures, fill)
    equal = np.full(len(regret), 1 / len(regret))
    meeting = greedy_order(regret, equal, list(range(regret.shape[1])), most=N_MEETING)
    pairs = [(one, other) for place, one in enumerate(meeting) for other in meeting[place + 1 :]]
    forests = []
    for number, (one, other) in enumerate(pairs):
        stake = np.nan_to_num(regret[:, other] - regret[:, one])
        forests.append(
            ExtraTreesRegressor(
                N_PAIR_TREES, min_samples_leaf=3, max_features=0.4, random_state=number, n_jobs=1
            ).fit(filled, np.sign(stake), sample_weight=np.abs(stake) + _LEAST_STAKE)
        )
    return PairwiseTrees(
        **_flattened(forests),
        fill=fill,
        value=_nodes(forests, "value").reshape(-1),
        pairs=np.array(pairs, dtype=np.int32),
    )


def fit_ranking(metafeatures: FloatArray, regret: FloatArray) -> RankingTrees:
    """Boost trees that rank every dataset's configurations (LambdaMART)."""
    fill = _medians(metafeatures)
    filled = without_gaps(metafeatures, fill)
    descriptors = describe_configurations(regret)
    known = ~np.isnan(regret)
    grades = np.round((N_GRADES - 1) * (1 - np.nan_to_num(regret) / WORST_REGRET)).astype(np.int64)
    rows, configurations = np.nonzero(known)
    ranker = LGBMRanker(
        n_estimators=N_ROUNDS,
        num_leaves=15,
        learning_rate=0.05,
        min_child_samples=20,
        colsample_bytree=0.5,
        label_gain=list(range(N_GRADES)),
        random_state=0,
        n_jobs=1,
        deterministic=True,
        force_col_wise=True,
        verbose=-1,
    ).fit(np.hstack([filled[rows], descriptors[configurations]]), grades[known], group=known.sum(axis=1))
    return RankingTrees(**_boosted_nodes(ranker), fill=fill, descriptors=descriptors)


def _medians(metafeatures: FloatArray) -> FloatArray:
    """The median of every metafeature; 0 where nobody has it."""
    known = ~np.isnan(metafeatures)
    with np.errstate(all="ignore"):
        medians = [
            np.median(column[here]) if here.any() else 0.0
            for column, here in zip(metafeatures.T, known.T, strict=True)
        ]
    return np.array(medians)


def _flattened(forests: list[ExtraTreesRegressor]) -> dict[str, Any]:
    """The nodes of all trees one after another."""
    sizes = [tree.tree_.node_count for forest in forests for tree in forest.estimators_]
    offsets = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    shift = np.repeat(offsets, sizes)
    children = {side: _nodes(forests, f"children_{side}") for side in ("left", "right")}
    is_leaf = children["left"] == -1
    return {
        "roots": offsets.astype(np.int32),
        "feature": np.where(is_leaf, -1, _nodes(forests, "feature")).astype(np.int32),
        "threshold": _nodes(forests, "threshold"),
        **{side: np.where(is_leaf, 0, nodes + shift).astype(np.int32) for side, nodes in children.items()},
    }


def _nodes(forests: list[ExtraTreesRegressor], name: str) -> FloatArray:
    return np.concatenate([getattr(tree.tree_, name) for forest in forests for tree in forest.estimators_])


def _boosted_nodes(ranker: LGBMRanker) -> dict[str, Any]:
    """The nodes of all boosted trees one after another, in the order in which LightGBM tells them: root first."""
    roots: list[int] = []
    rows: list[dict[str, Any]] = []
    for tree in ranker.booster_.dump_model()["tree_info"]:
        roots.append(len(rows))
        waiting: list[tuple[dict[str, Any], tuple[int, str] | None]] = [(tree["tree_structure"], None)]
        while waiting:
            node, place = waiting.pop()
            if place is not None:
                parent, side = place
                rows[parent][side] = len(rows)
            row = {
                "feature": -1,
                "threshold": 0.0,
                "left": 0,
                "right": 0,
                "value": node.get("leaf_value", 0.0),
            }
            if "split_feature" in node:
                row |= {"feature": node["split_feature"], "threshold": node["threshold"]}
                waiting += [(node[f"{side}_child"], (len(rows), side)) for side in ("left", "right")]
            rows.append(row)
    indices = {name: [row[name] for row in rows] for name in ("feature", "left", "right")}
    return {
        "roots": np.array(roots, dtype=np.int32),
        **{name: np.array(values, dtype=np.int32) for name, values in indices.items()},
        **{name: np.array([row[name] for row in rows], dtype=np.float64) for name in ("threshold", "value")},
    }


def _without_gaps(targets: FloatArray) -> FloatArray:
    """Targets in which a gap is what dataset and configuration let expect: trees that split by it learn nothing new."""
    known = ~np.isnan(targets)
    if known.all():
        return targets
    middle = targets[known].mean()
    counts = np.maximum(known.sum(axis=0), 1)
    columns = np.where(known.any(axis=0), np.where(known, targets, 0.0).sum(axis=0) / counts, middle)
    rest = np.where(known, targets - columns, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return np.where(known, targets, columns + rest[:, None])
