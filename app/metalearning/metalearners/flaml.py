"""FLAML's zero-shot rule (Wang et al. 2021): a small portfolio, in the order that suited the nearest dataset.

Nearness looks at four metafeatures only: rows, columns, classes and the share of numeric columns.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from app.metalearning.baselines import mean_regret
from app.metalearning.metalearners.portfolio import greedy_order
from app.metalearning.table import FloatArray

N_PORTFOLIO = 16
# What the four are called in our schema and elsewhere.
LOOKED_AT = (
    *("nr_inst", "nr_attr", "nr_class", "num_to_cat"),
    *("NumberOfInstances", "NumberOfFeatures", "NumberOfClasses", "RatioNumericalToNominal"),
)


@dataclass(frozen=True)
class NearestPortfolio:
    """The portfolio's configurations by their regret on the single nearest dataset."""

    regret: FloatArray  # (D, C)
    metafeatures: FloatArray  # (D, M)
    metafeature_names: tuple[str, ...]
    name: str = "flaml"

    @cached_property
    def _columns(self) -> list[int]:
        """Those of the four that there are; all metafeatures where none of them has a known name."""
        known = [int(index) for index in np.flatnonzero(~np.isnan(self.metafeatures).all(axis=0))]
        return [index for index in known if self.metafeature_names[index] in LOOKED_AT] or known

    @cached_property
    def _centre(self) -> FloatArray:
        return np.nan_to_num(np.nanmedian(self.metafeatures[:, self._columns], axis=0))

    @cached_property
    def _spread(self) -> FloatArray:
        high, low = np.nanquantile(self.metafeatures[:, self._columns], [0.75, 0.25], axis=0)
        return np.where(high > low, high - low, 1.0)

    @cached_property
    def _known(self) -> FloatArray:
        return np.stack([self._scale(row) for row in self.metafeatures])

    def _scale(self, vector: FloatArray) -> FloatArray:
        values = vector[self._columns]
        return np.where(np.isnan(values), 0.0, (values - self._centre) / self._spread)

    def rank(self, vector: FloatArray, feasible: list[int], most: int | None = None) -> list[int]:
        """The portfolio as the nearest dataset would have it, then the rest by mean regret."""
        equal = np.full(len(self.regret), 1 / len(self.regret))
        portfolio = greedy_order(self.regret, equal, feasible, most=N_PORTFOLIO)
        distances = np.square(self._known - self._scale(vector)).sum(axis=1)
        mean = mean_regret(self.regret)
        nearest = self.regret[int(np.argmin(distances))]
        there = np.where(np.isnan(nearest), mean, nearest)
        first = sorted(portfolio, key=lambda index: (there[index], mean[index]))
        rest = sorted(set(feasible) - set(portfolio), key=lambda index: mean[index])
        return [*first, *rest][:most]
