"""Evidence: how a set of configurations did on past datasets, whatever is chosen among."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from app.metalearning.protocol.dealing import deal_groups
from app.metalearning.table import FloatArray


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What is known, as arrays over D datasets, C configurations and M metafeatures; NaN is what nobody measured.

    A configuration that was tried and failed has the worst regret (`baselines.WORST_REGRET`) and no loss. Where only a few
    were tried, nobody has seen the best and the median of all: they are inferred, and `inferred_ranges` holds them.
    """

    datasets: tuple[str, ...]
    groups: tuple[str, ...]  # datasets of one group are held out together
    configurations: tuple[str, ...]
    metafeature_names: tuple[str, ...]
    metafeatures: FloatArray  # (D, M)
    headline_losses: FloatArray  # (D, C), comparable between datasets
    headline_losses_a: FloatArray  # (D, C), on half A only: what is observed of a dataset that is held out
    headline_losses_b: FloatArray  # (D, C), on half B only: for scoring what was chosen elsewhere
    regret: FloatArray  # (D, C), normalised
    regret_b: FloatArray  # (D, C)
    inferred_ranges: FloatArray | None = (
        None  # (D, 2): least and median headline loss, NaN where they were seen
    )

    def of(self, rows: list[int]) -> Self:
        """Only these datasets."""
        return replace(
            self,
            datasets=tuple(self.datasets[row] for row in rows),
            groups=tuple(self.groups[row] for row in rows),
            metafeatures=self.metafeatures[rows],
            headline_losses=self.headline_losses[rows],
            headline_losses_a=self.headline_losses_a[rows],
            headline_losses_b=self.headline_losses_b[rows],
            regret=self.regret[rows],
            regret_b=self.regret_b[rows],
            inferred_ranges=None if self.inferred_ranges is None else self.inferred_ranges[rows],
        )


def deal_folds(groups: tuple[str, ...], n_folds: int) -> npt.NDArray[np.int64]:
    """The fold of every dataset, from 0 on: whole groups, in folds of about the same size."""
    numbers = {group: index for index, group in enumerate(dict.fromkeys(groups))}
    codes = np.array([numbers[group] for group in groups], dtype=np.int64)
    if len(numbers) <= n_folds:
        return codes
    return deal_groups(np.zeros(len(groups)), codes, n_folds)
