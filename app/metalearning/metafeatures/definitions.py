"""The schema: what each metafeature means, where it comes from, the values it can have, and what does not change it.

The table itself is `schema.csv`, which `docs/metafeatures.md` shows. A metafeature with many values per dataset is
summarised, as in pymfe: `attr_ent.mean`, `attr_ent.sd`.
"""

import csv
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from app.metalearning.table import FloatArray, IntArray, TaskType

Values = dict[str, float | None]

_SUMMARIES = {"mean": "mean", "sd": "standard deviation (n - 1)", "min": "smallest", "max": "largest"}


@dataclass(frozen=True)
class Definition:
    """One metafeature of the schema.

    `meaning` holds the formula, `source` who proposed it, `low` and `high` bound what a dataset can have, `missing`
    says when there is no value. Order-free ones do not change with the order of rows and columns; scale-free ones do
    not change when numeric columns (and a numeric target) are measured in other units.
    """

    name: str
    family: str
    meaning: str
    source: str
    missing: str
    low: float
    high: float
    order_free: bool
    scale_free: bool

    @property
    def timed(self) -> bool:
        """Whether it rests on learners or distances, which stop at the time budget."""
        return "no time" in self.missing.split("; ")

    def defined_for(self, task_type: TaskType) -> bool:
        """Whether datasets of the task type have it at all."""
        return task_type not in self.missing.split("; ")


def read_schema() -> tuple[Definition, ...]:
    """All definitions, in the schema's order."""
    with (Path(__file__).parent / "schema.csv").open(newline="", encoding="utf-8") as file:
        return tuple(each for row in csv.DictReader(file) for each in _definitions(row))


def _definitions(row: dict[str, str]) -> list[Definition]:
    low, high = float(row["low"]), float(row["high"] or "inf")
    summaries = row["summaries"].split() or [""]
    return [
        Definition(
            name=f"{row['name']}.{summary}" if summary else row["name"],
            family=row["family"],
            meaning=f"{_SUMMARIES[summary]} of: {row['meaning']}" if summary else row["meaning"],
            source=row["source"],
            missing=f"{row['missing']}; fewer than two values" if summary == "sd" else row["missing"],
            low=0.0 if summary == "sd" else low,
            # Values between two bounds spread by at most their distance, since n - 1 >= n / 2.
            high=high - low if summary == "sd" and math.isfinite(low) else high,
            order_free=row["order_free"] == "yes",
            scale_free=row["scale_free"] == "yes",
        )
        for summary in summaries
    ]


def summaries(name: str, values: FloatArray | IntArray, *which: str) -> Values:
    """Summaries of the values that are defined; None where there are too few.

    Args:
        name: the metafeature.
        values: any shape; NaN or infinite where undefined.
        which: of `mean`, `sd`, `min`, `max`; mean and sd unless given.
    """
    defined = values[np.isfinite(values)]
    results: Values = {}
    for summary in which or ("mean", "sd"):
        enough = defined.size > (summary == "sd")
        results[f"{name}.{summary}"] = _OF[summary](defined) if enough else None
    return results


_OF: dict[str, Callable[[FloatArray | IntArray], float]] = {
    "mean": lambda values: float(values.mean()),
    "sd": lambda values: float(values.std(ddof=1)),
    "min": lambda values: float(values.min()),
    "max": lambda values: float(values.max()),
}
