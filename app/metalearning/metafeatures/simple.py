"""Simple metafeatures: counts and shares that need one look at the table. Equal to pymfe's group `general`."""

import numpy as np

from app.metalearning.metafeatures.definitions import Values, summaries
from app.metalearning.metafeatures.profile import Profile
from app.metalearning.table import Table, TaskType


def extract(table: Table, profile: Profile) -> Values:
    """The simple metafeatures; `profile` may be of a sample of the table's rows."""
    n_rows, n_columns = table.n_rows, len(table.columns)
    n_numeric, n_categorical = len(profile.numbers), len(profile.categories)
    values: Values = {
        "nr_inst": n_rows,
        "nr_attr": n_columns,
        "nr_num": n_numeric,
        "nr_cat": n_categorical,
        "nr_bin": sum(each.distinct == 2 for each in profile.columns),
        "inst_to_attr": n_rows / n_columns,
        "attr_to_inst": n_columns / n_rows,
        "cat_to_num": n_categorical / n_numeric if n_numeric else None,
        "num_to_cat": n_numeric / n_categorical if n_categorical else None,
    }
    if table.task_type is TaskType.REGRESSION:
        return values | {"target_distinct_share": len(np.unique(table.target_values)) / n_rows}
    shares = np.bincount(table.target_values.astype(np.int64)) / n_rows
    return values | {"nr_class": len(shares)} | summaries("freq_class", shares, "mean", "sd", "min", "max")
