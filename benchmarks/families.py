"""`make bench-families`: what each family of metafeatures is worth to the recommender.

The default ranks datasets whose groups it has not seen, ten folds of groups: with all families, without each one, and with
counts and shares alone. Landmarkers and distances cost seconds; what they buy is the difference in regret.
"""

# ruff: noqa: E402  threads are fixed before any numeric library loads
from app.config import pin_threads

pin_threads()

import numpy as np
from rich.progress import track

from app.metalearning.baselines import best_of_first
from app.metalearning.metadataset import Evidence, load_evidence
from app.metalearning.metafeatures import FAMILIES, LEARNED, SCHEMA
from app.metalearning.metalearners.hybrid import Hybrid
from app.metalearning.table import FloatArray, TaskType
from benchmarks.recording import record
from workers.training.forests import fit_forest

N_FOLDS = 10
KS = (1, 3)
N_RESAMPLES = 2_000
_FAMILY = {each.name: each.family for each in SCHEMA}
_CHEAP = ("simple", "mixed")


def regrets(evidence: Evidence, families: tuple[str, ...]) -> FloatArray:
    """Regret of the best of the first k on every dataset, shape (datasets, ks), from these families alone."""
    columns = [index for index, name in enumerate(LEARNED) if _FAMILY[name] in families]
    vectors = evidence.metafeatures[:, columns]
    groups = sorted(set(evidence.groups))
    fold_of = {
        group: index % N_FOLDS for index, group in enumerate(np.random.default_rng(0).permutation(groups))
    }
    folds = np.array([fold_of[group] for group in evidence.groups])
    everything = list(range(len(evidence.configurations)))
    values = np.zeros((len(folds), len(KS)))
    for fold in range(N_FOLDS):
        known = folds != fold
        arrays = fit_forest(vectors[known], evidence.regret[known])
        learner = Hybrid(arrays, evidence.regret[known], evidence.headline_losses[known])
        for row in np.flatnonzero(~known):
            order = learner.rank(vectors[row], everything)
            values[row] = [best_of_first(evidence.regret_b[row], order, k) for k in KS]
    return values


def measure(task_type: TaskType) -> dict[str, float]:
    """Mean regret by families, and how much more it is without each one, with the interval of a paired bootstrap."""
    evidence = load_evidence(task_type)
    complete = regrets(evidence, FAMILIES)
    variants = {"simple and mixed alone": _CHEAP}
    variants |= {f"without {out}": tuple(family for family in FAMILIES if family != out) for out in FAMILIES}
    figures = {
        f"{task_type} all families, best of {k} [normalised regret]": float(complete[:, at].mean())
        for at, k in enumerate(KS)
    }
    draws = np.random.default_rng(0).integers(len(complete), size=(N_RESAMPLES, len(complete)))
    for name, families in track(variants.items(), str(task_type)):
        lost = regrets(evidence, families) - complete
        for at, k in enumerate(KS):
            low, high = np.quantile(lost[:, at][draws].mean(axis=1), [0.05, 0.95])
            figures[f"{task_type} {name}, best of {k}, more [normalised regret]"] = float(lost[:, at].mean())
            figures[f"{task_type} {name}, best of {k}, more, 5 % [normalised regret]"] = float(low)
            figures[f"{task_type} {name}, best of {k}, more, 95 % [normalised regret]"] = float(high)
    return figures


if __name__ == "__main__":
    record("families", {name: value for task_type in TaskType for name, value in measure(task_type).items()})
