"""Information-theoretic metafeatures, in bits: of categories, and of numbers cut into bins of equal frequency.

A table of n rows has the whole part of n^(1/3) bins; missing cells are a value of their own. Equal to pymfe's group
`info-theory` where names agree, but for the 1e-8 that pymfe adds to every cell of a contingency table.
"""

import itertools

import numpy as np

from app.metalearning.metafeatures.definitions import Values, summaries
from app.metalearning.metafeatures.profile import Codes, Profile, representative
from app.metalearning.table import FloatArray, IntArray

# Concentration between columns is quadratic in them: this many stand for all, as in pymfe.
MOST_PAIRED = 12
# Below this mutual information is rounding.
_NOTHING = 1e-12
_MOST_CELLS = 1 << 20


def extract(profile: Profile) -> Values:
    """The information-theoretic metafeatures."""
    target, n_target = profile.target, profile.n_target
    target_counts = np.bincount(target, minlength=n_target)
    class_entropy = entropy(target_counts)
    entropies, joints, concentrations = [], [], []
    for column in profile.columns:
        contingency = joint_counts(column.codes, column.n_codes, target, n_target)
        counts = np.bincount(column.codes, minlength=column.n_codes)
        entropies.append(entropy(counts))
        joints.append(entropy(contingency.counts))
        concentrations.append(_concentration(contingency.counts, contingency.second, counts, target_counts))
    attribute, joint = np.array(entropies), np.array(joints)
    shared = np.maximum(attribute + class_entropy - joint, 0.0)
    mean_shared = float(shared.mean())
    informative = mean_shared > _NOTHING
    return {
        "class_ent": class_entropy,
        "class_ent_share": class_entropy / np.log2(n_target) if n_target > 1 else 0.0,
        **summaries("attr_ent", attribute),
        **summaries("joint_ent", joint),
        **summaries("mut_inf", shared, "mean", "sd", "max"),
        "mut_inf_share.max": float(shared.max()) / class_entropy if class_entropy > 0 else None,
        "eq_num_attr": class_entropy / mean_shared if informative else None,
        "ns_ratio": (float(attribute.mean()) - mean_shared) / mean_shared if informative else None,
        **summaries("class_conc", np.array(concentrations)),
        **summaries("attr_conc", _between_columns(profile)),
    }


class JointCounts:
    """How often each pair of codes occurs that does occur: `counts`, and the second code of each pair."""

    def __init__(self, counts: IntArray, second: IntArray) -> None:
        self.counts = counts
        self.second = second


def joint_counts(first: Codes, n_first: int, second: Codes, n_second: int) -> JointCounts:
    """Count the pairs; in a table of all pairs where that is small, by sorting where it is not."""
    pairs = first.astype(np.int64) * n_second + second
    if n_first * n_second <= max(_MOST_CELLS, 4 * len(pairs)):
        counts = np.bincount(pairs, minlength=n_first * n_second)
        occurring = np.flatnonzero(counts)
        return JointCounts(counts[occurring], occurring % n_second)
    values, counts = np.unique(pairs, return_counts=True)
    return JointCounts(counts, values % n_second)


def entropy(counts: IntArray) -> float:
    """Entropy in bits of the shares that these counts are."""
    present = counts[counts > 0]
    total = present.sum()
    return float(np.log2(total) - present @ np.log2(present) / total)


def _between_columns(profile: Profile) -> FloatArray:
    """Concentration of each column given each other one, over all ordered pairs of the columns that stand for all."""
    columns = [each for each in profile.columns if each.n_codes > 1]
    chosen = [columns[index] for index in representative([each.name for each in columns], MOST_PAIRED)]
    counts = [np.bincount(each.codes, minlength=each.n_codes) for each in chosen]
    values = []
    for (one, of_one), (other, of_other) in itertools.permutations(zip(chosen, counts, strict=True), 2):
        pairs = joint_counts(one.codes, one.n_codes, other.codes, other.n_codes)
        values.append(_concentration(pairs.counts, pairs.second, of_one, of_other))
    return np.array(values)


def _concentration(joint: IntArray, second: IntArray, of_first: IntArray, of_second: IntArray) -> float:
    """Goodman and Kruskal's tau of the first variable given the second; undefined if the first is constant."""
    total = of_first.sum()
    chance = float(np.sum((of_first / total) ** 2))
    if np.count_nonzero(of_first) < 2:
        return float("nan")
    explained = float(np.sum((joint / total) ** 2 / (of_second[second] / total)))
    return min(1.0, max(0.0, (explained - chance) / (1.0 - chance)))
