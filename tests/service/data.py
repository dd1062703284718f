"""Small datasets as files."""

import csv
import io

import numpy as np
from sklearn.datasets import load_diabetes, load_iris, make_classification


def as_csv(rows: list[list[object]], header: list[str]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()


def iris() -> bytes:
    data = load_iris()
    rows = [[*row, data.target_names[label]] for row, label in zip(data.data, data.target, strict=True)]
    return as_csv(rows, ["a", "b", "c", "d", "species"])


def diabetes() -> bytes:
    data = load_diabetes()
    rows = [[*row, value] for row, value in zip(data.data, data.target, strict=True)]
    return as_csv(rows, [*data.feature_names, "progression"])


def slow_binary() -> bytes:
    """Large enough that boosting takes seconds."""
    data, target = make_classification(4000, 40, n_informative=15, random_state=0)
    return as_csv(np.column_stack([data.round(4), target]).tolist(), [*(f"x{i}" for i in range(40)), "y"])
