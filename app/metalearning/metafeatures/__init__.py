"""Describe a dataset by numbers. One file per family; `extract` computes them all.

A value that is not defined for a dataset (class entropy in regression, say) or not computed in time is missing: None here,
imputed by the meta-learners, never zero.
"""

import difflib
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from app.errors import MetafeatureOutOfRangeError, UnknownMetafeatureError
from app.metalearning.metafeatures import information, landmarking, simple, statistical
from app.metalearning.protocol import sample_rows
from app.metalearning.table import FloatArray, Table

SCHEMA_VERSION = 1
# Statistical and information-theoretic metafeatures of larger tables come from a stratified sample of this many rows.
MOST_ROWS = 10_000
_ROUNDING = 1e-9

Values = dict[str, float | None]


@dataclass(frozen=True)
class Metafeatures:
    """A dataset's metafeatures by name, the seconds each family took, and the landmarkers left out for time."""

    values: Values
    seconds: dict[str, float]
    absent: tuple[str, ...]


@dataclass(frozen=True)
class Definition:
    """What a metafeature means."""

    name: str
    family: str
    meaning: str


_FAMILIES: tuple[tuple[str, Mapping[str, str], Callable[[Table], Values]], ...] = (
    ("simple", simple.MEANINGS, simple.extract),
    ("statistical", statistical.MEANINGS, statistical.extract),
    ("information", information.MEANINGS, information.extract),
)
SCHEMA = tuple(
    Definition(name, family, meaning)
    for family, meanings in (
        *((family, meanings) for family, meanings, _ in _FAMILIES),
        ("landmarking", landmarking.MEANINGS),
    )
    for name, meaning in meanings.items()
)
NAMES = tuple(definition.name for definition in SCHEMA)
LANDMARKERS = tuple(landmarking.MEANINGS)


def extract(table: Table, landmarking_seconds: float = 5.0) -> Metafeatures:
    """Compute every metafeature; landmarkers stop at their budget and are then listed as absent."""
    values: Values = {}
    seconds = {}
    sample = table.take(sample_rows(table.target_values, MOST_ROWS)) if table.n_rows > MOST_ROWS else table
    for family, _, compute in _FAMILIES:
        began = time.perf_counter()
        values |= compute(table if family == "simple" else sample)
        seconds[family] = time.perf_counter() - began
    began = time.perf_counter()
    landmarks = landmarking.extract(sample, landmarking_seconds)
    seconds["landmarking"] = time.perf_counter() - began
    values |= landmarks
    absent = tuple(name for name in LANDMARKERS if name not in landmarks)
    return Metafeatures({name: _finite(values.get(name)) for name in NAMES}, seconds, absent)


def as_vector(values: Mapping[str, float | None]) -> FloatArray:
    """The values in schema order, shape (metafeatures,), NaN where missing.

    Raises: UnknownMetafeatureError, MetafeatureOutOfRangeError.
    """
    for name in values:
        if name not in NAMES:
            near = difflib.get_close_matches(name, NAMES, n=3)
            hint = f"Did you mean {', '.join(near)}?" if near else f"Known are: {', '.join(NAMES)}."
            raise UnknownMetafeatureError(f"There is no metafeature {name[:100]!r}.", hint)
        value = values[name]
        low, high = _range_of(name)
        if value is not None and not low - _ROUNDING <= value <= high + _ROUNDING:
            raise MetafeatureOutOfRangeError(
                f"{name} = {value:g} is a value that no dataset has.",
                f"It lies between {low:g} and {high:g}; leave it out if it is not known.",
            )
    return np.array(
        [math.nan if values.get(name) is None else values[name] for name in NAMES], dtype=np.float64
    )


def _range_of(name: str) -> tuple[float, float]:
    """The smallest and the largest value that a dataset can have."""
    if name in _LEAST:
        return _LEAST[name], 1e9
    if "share" in name or name.startswith(("freq_class", "cor.", "target_cor")):
        return 0.0, 1.0
    if name.startswith("lm_"):
        return -1.0, 1.0
    if "skewness" in name or "kurtosis" in name:
        return -1e15, 1e15
    return 0.0, 64.0 if name.endswith("_ent") else 1e15


_LEAST = {"nr_inst": 1, "nr_attr": 1, "nr_class": 2}


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
