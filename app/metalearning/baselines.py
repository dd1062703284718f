"""Yardsticks: normalised regret, the single best and the virtual best configuration, and the gap between them."""

import numpy as np

from app.metalearning.table import FloatArray

WORST_REGRET = 2.0


def normalised_regret(losses: FloatArray, noise_floors: FloatArray) -> FloatArray:
    """How far each configuration is from the dataset's best: 0 is the best, 1 the median configuration, at most 2.

    Args:
        losses: shape (datasets, configurations), NaN where nothing was measured: the worst regret.
        noise_floors: shape (datasets,): the gap between best and median counts as at least this.
    """
    best = np.nanmin(losses, axis=1, keepdims=True)
    gap = np.maximum(
        np.nanmedian(losses, axis=1, keepdims=True) - best, np.maximum(noise_floors[:, None], 1e-9)
    )
    return np.where(np.isnan(losses), WORST_REGRET, np.clip((losses - best) / gap, 0.0, WORST_REGRET))


def single_best(regret: FloatArray, weights: FloatArray | None = None) -> int:
    """The configuration with the least mean regret (SBS)."""
    return int(np.argmin(np.average(regret, axis=0, weights=weights)))


def average_ranks(regret: FloatArray) -> FloatArray:
    """Mean rank of every configuration over datasets, 1 is first, ties share their mean; shape (configurations,)."""
    smaller = (regret[:, None, :] < regret[:, :, None]).sum(axis=2)
    equal = (regret[:, None, :] == regret[:, :, None]).sum(axis=2)
    mean_ranks: FloatArray = (smaller + (equal + 1) / 2).mean(axis=0)
    return mean_ranks


def best_of_first(regret: FloatArray, order: list[int], k: int) -> float:
    """Regret left after trying the first k of a ranking on one dataset; `regret` has shape (configurations,)."""
    return float(np.min(regret[order[:k]]))


def gap_closed(chosen: float, sbs: float, vbs: float = 0.0) -> float:
    """The share of the way from the single best (0) to the virtual best (1) that a choice closes."""
    return (sbs - chosen) / (sbs - vbs) if sbs > vbs else 0.0
