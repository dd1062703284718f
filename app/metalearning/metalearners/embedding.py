"""Metric learning: a network places datasets so that near ones are those on which the same configurations win.

Trained with a contrastive loss on performance profiles, both towers with the same weights (Bromley et al. 1993; Chopra et al.
2005); soft neighbours instead of pairs (Goldberger et al. 2004).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from app.metalearning.metalearners.forest import TRUST
from app.metalearning.metalearners.layers import Weights, dense, relu
from app.metalearning.metalearners.portfolio import greedy_order
from app.metalearning.scaling import QuantileScale
from app.metalearning.table import FloatArray


@dataclass(frozen=True)
class Encoder:
    """From metafeatures to a place in the learned space."""

    weights: Weights
    scale: QuantileScale  # by the datasets that it was trained on

    def places(self, metafeatures: FloatArray) -> FloatArray:
        """Where datasets lie, shape (datasets, dimensions).

        Args:
            metafeatures: shape (datasets, metafeatures), NaN where missing.
        """
        scaled = np.stack([self.scale.scale(vector) for vector in metafeatures]) - 0.5
        return dense(self.weights, "second", relu(dense(self.weights, "first", scaled)))


@dataclass(frozen=True)
class EmbeddedDatasets:
    """The greedy portfolio over the known datasets, weighed by how near they lie in the learned space."""

    encoder: Encoder
    regret: FloatArray  # (D, C)
    metafeatures: FloatArray  # (D, M)
    name: str = "embedding"

    @cached_property
    def places(self) -> FloatArray:
        """Where the known datasets lie, shape (datasets, dimensions)."""
        return self.encoder.places(self.metafeatures)

    @cached_property
    def map(self) -> FloatArray:
        """The two directions in which the known datasets lie farthest apart (principal components), shape (datasets, 2)."""
        around = self.places - self.places.mean(axis=0)
        _, _, directions = np.linalg.svd(around, full_matrices=False)
        # A direction and its opposite are the same: the larger end points up.
        ends = directions[:2, np.abs(directions[:2]).argmax(axis=1)].diagonal()
        return np.asarray(around @ (directions[:2] * np.sign(ends)[:, None]).T)

    @cached_property
    def typical_distance(self) -> float:
        """The median distance between two known datasets."""
        apart = np.linalg.norm(self.places[:, None] - self.places, axis=2)
        return float(np.median(apart[np.triu_indices(len(apart), k=1)]))

    def distances(self, vector: FloatArray) -> FloatArray:
        """Euclidean distance to every known dataset, shape (datasets,)."""
        return np.asarray(np.linalg.norm(self.places - self.encoder.places(vector[None]), axis=1))

    def weights(self, vector: FloatArray) -> FloatArray:
        """How much each known dataset says about this one, shape (datasets,), summing to 1; shrunk towards equal weights."""
        squared = self.distances(vector) ** 2
        near = np.exp(squared.min() - squared)
        return np.asarray(TRUST * near / near.sum() + (1 - TRUST) / len(near))

    def rank(self, vector: FloatArray, feasible: list[int], most: int | None = None) -> list[int]:
        """In greedy order, near datasets first of all."""
        return greedy_order(self.regret, self.weights(vector), feasible, most=most)
