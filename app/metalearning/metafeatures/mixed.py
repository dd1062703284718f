"""Metafeatures of mixed data: missing cells, categories and how many there are of them, dates and text."""

import numpy as np

from app.metalearning.metafeatures.definitions import Values, summaries
from app.metalearning.metafeatures.information import entropy, joint_counts
from app.metalearning.metafeatures.profile import Codes, Profile
from app.metalearning.table import ColumnType, Table

_TIMES = (ColumnType.DATE, ColumnType.TIME)


def extract(table: Table, profile: Profile) -> Values:
    """The metafeatures of mixed data."""
    types = [column.type for column in table.columns]
    holes = [column.missing.astype(np.int32) for column in profile.columns if column.present < table.n_rows]
    cells = sum(column.present for column in profile.categories)
    cardinalities = np.array([column.distinct for column in profile.categories], dtype=np.float64)
    return {
        "cat_share": len(profile.categories) / len(types),
        "date_share": sum(each in _TIMES for each in types) / len(types),
        "nr_text": types.count(ColumnType.TEXT),
        "missing_share": sum(int(each.sum()) for each in holes) / (table.n_rows * len(types)),
        "missing_columns_share": len(holes) / len(types),
        "missing_rows_share": float(np.any(holes, axis=0).mean()) if holes else 0.0,
        "rare_share": sum(column.rare for column in profile.categories) / cells if cells else None,
        "missing_inf.max": _telling(holes, profile),
        **summaries("cardinality", cardinalities, "mean", "sd", "max"),
    }


def _telling(holes: list[Codes], profile: Profile) -> float | None:
    """How much the best column's missingness tells about the target."""
    class_entropy = entropy(np.bincount(profile.target))
    partial = [each for each in holes if not each.all()]
    if class_entropy == 0 or not partial:
        return None
    shared = [
        entropy(np.bincount(each))
        + class_entropy
        - entropy(joint_counts(each, 2, profile.target, profile.n_target).counts)
        for each in partial
    ]
    return max(0.0, *shared) / class_entropy
