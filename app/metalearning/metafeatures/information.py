"""Information-theoretic metafeatures: entropies in bits; numbers are cut into ten bins of equal frequency."""

import numpy as np

from app.metalearning.table import FloatArray, IntArray, Table, TaskType

N_BINS = 10
MOST_COLUMNS = 300

MEANINGS = {
    "class_ent": "entropy of the target (bits)",
    "class_ent_share": "entropy of the target as a share of its largest possible value",
    "attr_ent.mean": "mean entropy of the feature columns",
    "mut_inf.mean": "mean mutual information of a feature column with the target",
    "mut_inf.max": "largest such mutual information",
    "mut_inf_share.max": "largest mutual information as a share of the target's entropy",
    "eq_num_attr": "target entropy over mean mutual information: columns needed if none overlapped",
    "ns_ratio": "entropy of the columns that does not go with the target, per bit that does",
}


def extract(table: Table) -> dict[str, float | None]:
    """The information-theoretic metafeatures (Michie et al. 1994; Castiello et al. 2005)."""
    target = table.target_values
    bins = (
        _equal_frequency_bins(target) if table.task_type is TaskType.REGRESSION else target.astype(np.int64)
    )
    n_target = int(bins.max()) + 1
    columns = [_equal_frequency_bins(column) for column in table.numeric.T[:MOST_COLUMNS]]
    columns += [_dense(column + 1) for column in table.categorical.T[:MOST_COLUMNS]]
    target_entropy = _entropy(np.bincount(bins))
    entropies = np.array([_entropy(np.bincount(column)) for column in columns])
    joint = np.array([_entropy(np.bincount(column * n_target + bins)) for column in columns])
    shared = np.maximum(entropies + target_entropy - joint, 0.0)
    mean_shared = float(shared.mean())
    return {
        "class_ent": target_entropy,
        "class_ent_share": target_entropy / np.log2(n_target) if n_target > 1 else 0.0,
        "attr_ent.mean": float(entropies.mean()),
        "mut_inf.mean": mean_shared,
        "mut_inf.max": float(shared.max()),
        "mut_inf_share.max": float(shared.max()) / target_entropy if target_entropy > 0 else None,
        "eq_num_attr": target_entropy / mean_shared if mean_shared > 1e-12 else None,
        "ns_ratio": (float(entropies.mean()) - mean_shared) / mean_shared if mean_shared > 1e-12 else None,
    }


def _equal_frequency_bins(values: FloatArray) -> IntArray:
    """Bin codes from 0; missing values have a bin of their own; equal values share a bin."""
    present = values[~np.isnan(values)]
    if present.size == 0:
        return np.zeros(len(values), dtype=np.int64)
    edges = np.unique(np.quantile(present, np.arange(1, N_BINS) / N_BINS))
    codes = np.searchsorted(edges, values, side="right")
    return _dense(np.where(np.isnan(values), N_BINS + 1, codes))


def _dense(codes: IntArray) -> IntArray:
    """Codes without gaps, so that counting them needs no more room than there are values."""
    dense: IntArray = np.unique(codes, return_inverse=True)[1].astype(np.int64)
    return dense


def _entropy(counts: IntArray) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float(-np.sum(shares * np.log2(shares)))
