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


def mean_regret(regret: FloatArray, weights: FloatArray | None = None) -> FloatArray:
    """Mean regret of every configuration over the datasets on which it was tried, shape (configurations,).

    One that was tried on none of them counts as the worst.

    Args:
        regret: shape (datasets, configurations), NaN where nobody tried.
        weights: how much each dataset counts, summing to 1; all the same unless given.
    """
    known = ~np.isnan(regret)
    if known.all():
        return np.asarray(regret.mean(axis=0) if weights is None else weights @ regret)
    weights = np.full(len(regret), 1 / len(regret)) if weights is None else weights
    share = weights @ known
    total = weights @ np.where(known, regret, 0.0)
    return np.where(share > 0, total / np.where(share > 0, share, 1.0), WORST_REGRET)


def single_best(regret: FloatArray, weights: FloatArray | None = None) -> int:
    """The configuration with the least mean regret (SBS)."""
    return int(np.argmin(mean_regret(regret, None if weights is None else weights / weights.sum())))


def average_ranks(regret: FloatArray) -> FloatArray:
    """Mean rank of every configuration over datasets, 1 is first, ties share their mean; shape (configurations,).

    Where only some were tried, their ranks are stretched as if all had been; one never tried comes last.
    """
    n_configurations = regret.shape[1]
    known = ~np.isnan(regret)
    smaller = (regret[:, None, :] < regret[:, :, None]).sum(axis=2)
    equal = (regret[:, None, :] == regret[:, :, None]).sum(axis=2)
    stretch = (n_configurations + 1) / (known.sum(axis=1, keepdims=True) + 1)
    total = np.where(known, (smaller + (equal + 1) / 2) * stretch, 0.0).sum(axis=0)
    times = known.sum(axis=0)
    return np.asarray(np.where(times > 0, total / np.maximum(times, 1), n_configurations))


def best_of_first(regret: FloatArray, order: list[int], k: int, observed: FloatArray | None = None) -> float:
    """Regret of the best of the first k of a ranking on one dataset.

    Args:
        regret: shape (configurations,).
        order: configurations in the order in which they are tried.
        k: how many are tried.
        observed: losses by which the best of them is chosen, shape (configurations,), NaN for failures; the regret
            itself unless given.
    """
    first = order[:k]
    losses = np.where(np.isnan(seen := (regret if observed is None else observed)[first]), np.inf, seen)
    return float(regret[first[int(np.argmin(losses))]])


def gap_closed(chosen: float, sbs: float, vbs: float = 0.0) -> float:
    """The share of the way from the single best (0) to the virtual best (1) that a choice closes."""
    return (sbs - chosen) / (sbs - vbs) if sbs > vbs else 0.0
