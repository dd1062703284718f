"""Clustering metafeatures: how well the classes hold together as clusters of the sample's rows.

Equal to pymfe's group `clustering` on equal rows of standardised columns, but for `vdu`: pymfe divides every distance
between two classes by the number of their pairs, so that its index shrinks with the sample.
"""

import numpy as np

from app.metalearning.metafeatures.definitions import Values
from app.metalearning.metafeatures.sample import Sample, distances_between
from app.metalearning.table import FloatArray, IntArray, Table

SMALL_CLASS = 15


def of_classes(table: Table) -> Values:
    """What needs the sizes of the classes only, on all rows."""
    counts = np.bincount(table.target_values.astype(np.int64))
    shares = counts[counts > 0] / counts.sum()
    return {"nre": float(-shares @ np.log(shares)), "sc": int(np.sum(counts < SMALL_CLASS))}


def extract(sample: Sample) -> Values:
    """The indices that need distances; none for regression."""
    from sklearn.metrics import (  # noqa: PLC0415  kept out of the API process
        calinski_harabasz_score,
        davies_bouldin_score,
        silhouette_score,
    )

    if not sample.n_classes:
        return {}
    labels = np.unique(sample.labels, return_inverse=True)[1]
    n_classes = int(labels.max()) + 1
    if not 1 < n_classes < len(labels):
        return {}
    distances = distances_between(sample.data)
    apart = labels[:, None] != labels
    pairs = np.triu_indices(len(labels), k=1)
    within = distances[~apart].max()
    return {
        "ch": float(calinski_harabasz_score(sample.data, labels)),
        "vdb": float(davies_bouldin_score(sample.data, labels)),
        "sil": float(silhouette_score(distances, labels, metric="precomputed")),
        "pb": _correlation(~apart[pairs], distances[pairs]),
        "int": _mean_between(distances, labels, n_classes),
        "vdu": float(distances[apart].min() / within) if within > 0 else None,
    }


def _correlation(together: IntArray, distances: FloatArray) -> float:
    centred = together - together.mean()
    apart = distances - distances.mean()
    spread = np.sqrt((centred @ centred) * (apart @ apart))
    return float(centred @ apart / spread) if spread > 0 else float("nan")


def _mean_between(distances: FloatArray, labels: IntArray, n_classes: int) -> float:
    """Mean over pairs of classes of the mean distance between their rows."""
    indicator = np.eye(n_classes)[labels]
    counts = indicator.sum(axis=0)
    means = (indicator.T @ distances @ indicator) / np.outer(counts, counts)
    return float(means[np.triu_indices(n_classes, k=1)].mean())
