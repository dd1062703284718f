"""Simple metafeatures: counts and shares that need one look at the table."""

import numpy as np

from app.metalearning.table import ColumnType, Table, TaskType

MEANINGS = {
    "nr_inst": "rows",
    "nr_attr": "feature columns",
    "nr_num": "number-like columns",
    "nr_cat": "category-like columns",
    "nr_bin": "columns with two distinct values",
    "nr_text": "columns of nearly unique strings",
    "nr_class": "classes; missing for regression",
    "inst_to_attr": "rows per feature column",
    "attr_to_inst": "feature columns per row",
    "cat_share": "share of category-like columns",
    "freq_class.min": "share of the rarest class",
    "freq_class.max": "share of the most frequent class",
    "freq_class.sd": "standard deviation of the class shares",
    "missing_share": "share of feature cells that are missing",
    "missing_columns_share": "share of columns with a missing cell",
    "missing_rows_share": "share of rows with a missing cell",
    "cardinality.mean": "mean distinct values of category-like columns",
    "cardinality.max": "largest number of distinct values of a category-like column",
    "target_distinct_share": "distinct target values per row; missing for classification",
}


def extract(table: Table) -> dict[str, float | None]:
    """The simple metafeatures (Kalousis 2002; names as in pymfe)."""
    numeric, categorical = table.numeric, table.categorical
    n_rows, n_columns = table.n_rows, len(table.columns)
    missing = np.column_stack([np.isnan(numeric), categorical < 0])
    cardinalities = [len(np.unique(column[column >= 0])) for column in categorical.T]
    n_binary = sum(count == 2 for count in cardinalities) + sum(_is_binary(column) for column in numeric.T)
    values: dict[str, float | None] = {
        "nr_inst": n_rows,
        "nr_attr": n_columns,
        "nr_num": numeric.shape[1],
        "nr_cat": categorical.shape[1],
        "nr_bin": n_binary,
        "nr_text": sum(column.type is ColumnType.TEXT for column in table.columns),
        "inst_to_attr": n_rows / n_columns,
        "attr_to_inst": n_columns / n_rows,
        "cat_share": categorical.shape[1] / n_columns,
        "missing_share": float(missing.mean()),
        "missing_columns_share": float(missing.any(axis=0).mean()),
        "missing_rows_share": float(missing.any(axis=1).mean()),
        "cardinality.mean": float(np.mean(cardinalities)) if cardinalities else None,
        "cardinality.max": float(max(cardinalities)) if cardinalities else None,
    }
    if table.task_type is TaskType.REGRESSION:
        return values | {"target_distinct_share": len(np.unique(table.target_values)) / n_rows}
    shares = np.bincount(table.target_values.astype(np.int64)) / n_rows
    return values | {
        "nr_class": len(shares),
        "freq_class.min": float(shares.min()),
        "freq_class.max": float(shares.max()),
        "freq_class.sd": float(shares.std(ddof=1)),
    }


def _is_binary(column: np.ndarray[tuple[int], np.dtype[np.float64]]) -> bool:
    present = column[~np.isnan(column)]
    if present.size == 0:
        return False
    low, high = present.min(), present.max()
    return bool(low < high and np.all((present == low) | (present == high)))
