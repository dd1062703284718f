"""Describe a dataset by numbers. One file per family; `extract` computes them all.

A value that is not defined for a dataset (class entropy in regression, say) or not computed in time is missing: None here,
imputed by the meta-learners, never zero.
"""

import difflib
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module

import numpy as np

from app.errors import MetafeatureOutOfRangeError, MetafeatureTaskTypeError, UnknownMetafeatureError
from app.metalearning.metafeatures import (
    clustering,
    concept,
    information,
    landmarking,
    mixed,
    model_based,
    simple,
    statistical,
)
from app.metalearning.metafeatures.definitions import Values, read_schema
from app.metalearning.metafeatures.profile import take_profile
from app.metalearning.metafeatures.sample import Sample, draw_sample
from app.metalearning.protocol import sample_rows
from app.metalearning.table import FloatArray, Table, TaskType

# A vector carries its version: values of one version cannot be compared with those of another.
SCHEMA_VERSION = 2
# What is computed from all rows is computed from a stratified sample of larger tables.
MOST_CELLS = 50_000_000
_ROUNDING = 1e-9

SCHEMA = read_schema()
NAMES = tuple(definition.name for definition in SCHEMA)
FAMILIES = tuple(dict.fromkeys(definition.family for definition in SCHEMA))
# What meta-learners see: which algorithm wins does not depend on the units of the columns.
LEARNED = tuple(definition.name for definition in SCHEMA if definition.scale_free)
_BY_NAME = {definition.name: definition for definition in SCHEMA}


@dataclass(frozen=True)
class Metafeatures:
    """A dataset's metafeatures by name.

    `seconds` says how long each family took, and each landmarker by its name; `absent` names what was left out for time;
    `rows` and `columns` say how many stand for the table where it is too large to be looked at in full.
    """

    values: Values
    seconds: dict[str, float]
    absent: tuple[str, ...]
    rows: int
    columns: int


def extract(table: Table, budget_seconds: float = 5.0, began: float | None = None) -> Metafeatures:
    """Compute every metafeature; what tries learners and distances stops at its budget and is then listed as absent.

    Args:
        table: the dataset.
        budget_seconds: from `began` on; however long everything else takes, a third of it is left for learners.
        began: on the clock of `time.perf_counter`; now unless given.
    """
    began = time.perf_counter() if began is None else began
    most_rows = max(1_000, MOST_CELLS // len(table.columns))
    seen = table.take(sample_rows(table.target_values, most_rows)) if table.n_rows > most_rows else table
    values: Values = {}
    seconds: dict[str, float] = {}

    def compute(family: str, function: Callable[[], Values]) -> None:
        began = time.perf_counter()
        values.update(function())
        seconds[family] = seconds.get(family, 0.0) + time.perf_counter() - began

    import_module("scipy.stats")  # now, so that no family is charged for it; the API process does without
    sorting = time.perf_counter()
    profile = take_profile(seen)
    seconds["statistical"] = time.perf_counter() - sorting  # of which it is the largest part
    compute("simple", lambda: simple.extract(table, profile))
    compute("mixed", lambda: mixed.extract(seen, profile))
    compute("statistical", lambda: statistical.extract(seen, profile))
    compute("information", lambda: information.extract(profile))
    if table.task_type is TaskType.CLASSIFICATION:
        compute("clustering", lambda: clustering.of_classes(table))
    if budget_seconds > 0:
        import_module("sklearn.ensemble")
        deadline = max(began + budget_seconds, time.perf_counter() + budget_seconds / 3)
        sample = draw_sample(seen)
        for family, function in _ON_SAMPLE:
            if time.perf_counter() < deadline:
                compute(family, lambda function=function: function(sample))  # type: ignore[misc]
        learning = time.perf_counter()
        landmarks, learner_seconds = landmarking.extract(sample, deadline)
        values.update(landmarks)
        seconds |= {"landmarking": time.perf_counter() - learning, **learner_seconds}
    absent = tuple(
        each.name
        for each in SCHEMA
        if each.timed and each.defined_for(table.task_type) and each.name not in values
    )
    return Metafeatures(
        values={name: _finite(values.get(name)) for name in NAMES},
        seconds=seconds,
        absent=absent,
        rows=seen.n_rows,
        columns=min(len(table.columns), statistical.MOST_COLUMNS),
    )


def as_vector(values: Mapping[str, float | None], task_type: TaskType) -> FloatArray:
    """The values that meta-learners see, in the order of `LEARNED`, shape (metafeatures,), NaN where missing.

    Raises: UnknownMetafeatureError, MetafeatureTaskTypeError, MetafeatureOutOfRangeError.
    """
    for name, value in values.items():
        definition = _BY_NAME.get(name)
        if definition is None:
            near = difflib.get_close_matches(name, NAMES, n=3)
            hint = f"Did you mean {', '.join(near)}?" if near else f"Known are: {', '.join(NAMES)}."
            raise UnknownMetafeatureError(f"There is no metafeature {name[:100]!r}.", hint)
        if value is not None and not definition.defined_for(task_type):
            raise MetafeatureTaskTypeError(
                f"{name} = {value:g}, but no dataset for {task_type} has this metafeature.",
                "Ask with the task type that the dataset was described for, or leave the metafeature out.",
            )
        low, high = definition.low, definition.high
        if value is not None and not (math.isfinite(value) and low - _ROUNDING <= value <= high + _ROUNDING):
            raise MetafeatureOutOfRangeError(
                f"{name} = {value:g} is a value that no dataset has.",
                f"It lies between {low:g} and {high:g}; leave it out if it is not known.",
            )
    return np.array(
        [math.nan if values.get(name) is None else values[name] for name in LEARNED], dtype=np.float64
    )


_ON_SAMPLE: tuple[tuple[str, Callable[[Sample], Values]], ...] = (
    ("model-based", model_based.extract),
    ("clustering", clustering.extract),
    ("concept", concept.extract),
)


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
