"""Concept metafeatures: do near rows of the sample have the same class (Vilalta & Drissi 2002)?

Distances are Euclidean between columns scaled to 0...1, so that none exceeds the root of their number. Equal to pymfe's
group `concept` on equal rows.
"""

import numpy as np

from app.metalearning.metafeatures.definitions import Values, summaries
from app.metalearning.metafeatures.sample import Sample, distances_between

_NEARLY_NOTHING = 1e-9


def extract(sample: Sample) -> Values:
    """How varied the neighbourhoods are; for regression only how dense."""
    low, high = sample.data.min(axis=0), sample.data.max(axis=0)
    scaled = (sample.data - low) / np.where(high > low, high - low, 1.0)
    distances = distances_between(scaled)
    room = np.sqrt(scaled.shape[1]) - distances
    near = 2.0 ** (-2.0 * distances / np.where(room > 0, room, _NEARLY_NOTHING))
    close = 2.0 ** -np.maximum(1.0, np.ceil(distances))
    for weights in (near, close):
        np.fill_diagonal(weights, 0.0)
    with np.errstate(invalid="ignore"):
        values = summaries("wg_dist", (near * distances).sum(axis=0) / near.sum(axis=0)) | summaries(
            "cohesiveness", close.sum(axis=0)
        )
        if sample.n_classes:
            other = sample.target[:, None] != sample.target
            values |= summaries("conceptvar", (near * other).sum(axis=0) / near.sum(axis=0))
            values |= summaries("impconceptvar", (close * other).sum(axis=0))
    return values
