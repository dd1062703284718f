"""The public meta-datasets that the recommender is proven on besides its own.

`MATRICES=folder` holds `oboe_error_matrix` (Yang et al. 2019, with the metafeatures of Fusi et al. 2018 and fixed folds) as
Parquet; `SCENARIOS=folder` holds ASlib scenarios.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from app.metalearning.baselines import normalised_regret
from app.metalearning.evidence import Evidence
from app.metalearning.table import FloatArray

_SIZES = ("NumberOfInstances", "NumberOfFeatures", "NumberOfClasses")


@dataclass(frozen=True)
class TimedMatrix:
    """Evidence with what every cell took, and fixed partitions by name."""

    evidence: Evidence
    seconds: FloatArray  # (D, C)
    sizes: FloatArray  # (D, 3): rows, columns, classes
    folds: dict[str, list[str]]


def read_oboe(folder: Path) -> TimedMatrix:
    """Balanced error rates of 219 configurations on the 318 datasets that have metafeatures."""
    folds = pd.read_parquet(folder / "folds.parquet").set_index("dataset")
    metafeatures = pd.read_parquet(folder / "metafeatures_pmf.parquet").set_index("dataset").loc[folds.index]
    cells = pd.read_parquet(folder / "performance.parquet")

    def table(column: str) -> FloatArray:
        values = cells.pivot_table(index="dataset", columns="config", values=column, dropna=False)
        return np.asarray(values.loc[folds.index], dtype=np.float64)

    losses = table("value")
    regret = normalised_regret(losses, np.zeros(len(losses)))
    evidence = Evidence(
        datasets=tuple(folds.index),
        groups=tuple(map(str, folds["group"])),
        configurations=tuple(sorted(cells["config"].unique())),
        metafeature_names=tuple(metafeatures.columns),
        metafeatures=np.asarray(metafeatures, dtype=np.float64),
        headline_losses=losses,
        headline_losses_a=losses,
        headline_losses_b=losses,
        regret=regret,
        regret_b=regret,
    )
    partitions = {
        name: [str(fold) for fold in folds[name]] for name in folds.columns if name.split("_")[-1].isdigit()
    }
    return TimedMatrix(
        evidence, table("runtime_s"), np.asarray(metafeatures[list(_SIZES)], dtype=np.float64), partitions
    )
