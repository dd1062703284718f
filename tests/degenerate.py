"""Degenerate datasets by name: what AutoML tools are known to die of, each with what is to be expected of it."""

import datetime as dt
import gzip
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from app.metalearning.columns import Declaration
from app.metalearning.table import ColumnType, TaskType

N = 60
ROWS = np.arange(N)
HALVES = ["no", "yes"] * (N // 2)
DAYS = [dt.date(2020, 1, 1) + dt.timedelta(days=int(row)) for row in ROWS]
_random = np.random.default_rng(0)
X, NOISE = _random.normal(size=(2, N))
QUANTITY = 10 + 3 * X + NOISE


@dataclass(frozen=True)
class Degenerate:
    """A file, what the client says about it, and the refusal's code or findings (among others) that it must give."""

    name: str
    content: bytes
    declared: Declaration = field(default_factory=lambda: Declaration("y"))
    refusal: str | None = None
    findings: tuple[str, ...] = ()


def degenerate_datasets() -> Iterator[Degenerate]:
    """Every case, built when it is its turn."""
    for name, build in _CASES.items():
        yield build(name)


def as_parquet(columns: dict[str, Any]) -> bytes:
    """The columns as a Parquet file."""
    sink = io.BytesIO()
    pa.parquet.write_table(pa.table(columns), sink)
    return sink.getvalue()


_CASES: dict[str, Callable[[str], Degenerate]] = {}


def _case(
    name: str,
    columns: dict[str, Any] | Callable[[], dict[str, Any]] | bytes,
    refusal: str | None = None,
    findings: tuple[str, ...] = (),
    **declared: Any,
) -> None:
    """Add a case: columns without a target get alternating classes."""
    assert name not in _CASES

    def build(name: str) -> Degenerate:
        made = columns() if callable(columns) else columns
        if isinstance(made, dict):
            made = as_parquet(made if "y" in made or "target" in declared else made | {"y": HALVES})
        return Degenerate(name, made, Declaration(**({"target": "y"} | declared)), refusal, findings)

    _CASES[name] = build


def _text(header: str, line: Callable[[int], str], n_rows: int = N) -> bytes:
    return (header + "\n" + "\n".join(line(row) for row in range(n_rows)) + "\n").encode()


REGRESSION = {"task_type": TaskType.REGRESSION}
CLASSIFICATION = {"task_type": TaskType.CLASSIFICATION}

# Rows
_case("no rows", b"x,y\n", "too_few_rows")
_case("header without a line's end", b"x,y", "too_few_rows")
_case("single row", b"x,y\n1,a\n", "too_few_rows")
_case("19 rows", {"x": X[:19], "y": HALVES[:19]}, "too_few_rows")
_case("20 rows", {"x": X[:20], "y": HALVES[:20]}, findings=("few_rows",))
_case("20 identical rows", {"x": [1.0] * 20, "y": ["a"] * 20}, "single_class_target")
_case("duplicates only", {"x": [1.0, 2.0] * 30, "y": HALVES}, findings=("duplicate_rows", "target_copy"))
_case("contradictory duplicates", {"x": [1.0, 1.0, 2.0, 2.0] * 15}, findings=("contradictory_duplicates",))
_case("19 rows with a target", {"x": X, "y": HALVES[:19] + [None] * 41}, "too_few_rows")

# Classes
_case("one class", {"x": X, "y": ["a"] * N}, "single_class_target")
_case("one class and missing", {"x": X, "y": ["a", None] * 30}, "single_class_target")
_case("all targets missing", {"x": X, "y": pa.nulls(N)}, "too_few_rows")
_case("all targets NaN", {"x": X, "y": [float("nan")] * N}, "too_few_rows")
_case("class of one row", {"x": X, "y": ["a"] * 59 + ["b"]}, findings=("class_smaller_than_folds",))
_case("three classes, two of one row", {"x": X, "y": ["a"] * 58 + ["b", "c"]}, findings=("class_smaller_than_folds",))  # fmt: skip
_case("every row a class", {"x": X, "y": [f"class {row}" for row in ROWS]}, "too_many_classes")
_case("200 classes", lambda: {"x": np.arange(800) % 7, "y": [f"c{row % 200}" for row in range(800)]})
_case("201 classes", lambda: {"x": np.arange(804) % 7, "y": [f"c{row % 201}" for row in range(804)]}, "too_many_classes")  # fmt: skip
_case("rare class", lambda: {"x": _random.normal(size=2000), "y": ["a"] * 1990 + ["b"] * 10}, findings=("imbalanced_classes",))  # fmt: skip
_case("boolean target with missing", {"x": X, "y": [True, False, None] * 20}, findings=("missing_target_rows",))  # fmt: skip
_case("class names of unicode", {"x": X, "y": ["ü\u202e", "🦜", "\u200b"] * 20})
_case("class names of spaces", {"x": X, "y": [" ", "  "] * 30})
_case("class names of 5,000 characters", {"x": X, "y": ["a" * 5000, "b" * 5000] * 30})
_case("class named nan", {"x": X, "y": ["nan", "None"] * 30})
_case("fractions as classes", {"x": X, "y": [0.1, 0.2, 0.3] * 20}, **CLASSIFICATION)

# Quantities
_case("constant quantity", {"x": X, "y": [2.5] * N}, "single_class_target", **REGRESSION)
_case("quantity of two values", {"x": X, "y": [1.0, 2.0] * 30}, **REGRESSION)
_case("quantity with infinity", {"x": X, "y": [np.inf, *QUANTITY[1:]]}, "target_unusable")
_case("quantity with NaN", {"x": X, "y": [np.nan, *QUANTITY[1:]]}, findings=("missing_target_rows",))
_case("huge quantity", {"x": X, "y": QUANTITY * 1e307}, "target_unusable")
_case("large quantity", {"x": X, "y": QUANTITY * 1e90})
_case("tiny quantity", {"x": X, "y": ROWS * 1e-320}, "target_unusable", **REGRESSION)
_case("small quantity", {"x": X, "y": QUANTITY * 1e-90})
_case("quantity far from zero", {"x": X, "y": 1e15 + ROWS}, "target_unusable", **REGRESSION)
_case("heavy-tailed quantity", lambda: {"x": np.arange(200) % 9, "y": np.exp(6 * _random.normal(size=200))}, findings=("heavy_tailed_target",))  # fmt: skip
_case("one outlier", lambda: {"x": np.arange(200) % 9, "y": [1e50, *_random.normal(size=199)]}, findings=("heavy_tailed_target",))  # fmt: skip
_case("quantity written as words", {"x": X, "y": [f"about {row}" for row in range(1, N + 1)]}, "target_unusable", **REGRESSION)  # fmt: skip
_case("target of dates", {"x": X, "y": DAYS}, "unsupported_column_type")
_case("target of lists", {"x": X, "y": [[1]] * N}, "unsupported_column_type")
_case("target named wrongly", {"x": X}, "target_not_found", target="z")

# Leaks
_case("target as a feature", {"x": X, "z": QUANTITY, "y": QUANTITY}, findings=("target_copy",))
_case("target in other units", {"x": X, "z": 32 + 1.8 * QUANTITY, "y": QUANTITY}, findings=("target_copy",))
_case("logarithm of the target", {"z": np.log(QUANTITY + 20), "y": QUANTITY}, findings=("target_copy",))
_case(
    "target is a day count", {"when": DAYS, "y": ROWS * 1.0 + 18262}, findings=("target_copy",), **REGRESSION
)
_case("classes in other words", {"x": X, "z": ["nein", "ja"] * 30}, findings=("target_copy",))
_case("classes told apart", {"x": X, "z": [row % 2 * 10 + row / N for row in ROWS]}, findings=("target_separated",))  # fmt: skip

# Columns
_case("no feature", {"y": HALVES}, "no_features")
_case("no feature but an id", {"id": ROWS, "y": HALVES}, "no_features")
_case("no feature but nothing", {"x": pa.nulls(N), "y": HALVES}, "no_features")
_case("one column of NaN", {"x": [float("nan")] * N, "y": HALVES}, "no_features")
_case("void columns", {"x": X, **{f"v{index}": pa.nulls(N, pa.string()) for index in range(50)}}, findings=("all_missing_column",))  # fmt: skip
_case(
    "mostly missing", {"x": X, "gaps": [1.5] + [None] * 57 + [2.5, 3.5]}, findings=("mostly_missing_column",)
)
_case("one value present", {"x": [None] * 59 + [1.5]}, findings=("mostly_missing_column",))
_case("constant everything", {"a": [1] * N, "b": ["c"] * N, "c": [True] * N}, findings=("constant_column",))
_case("columns repeated", {"a": X, "b": X, "c": X}, findings=("duplicate_columns",))
_case("negative zero", {"x": [0.0, -0.0] * 30}, findings=("constant_column",))
_case("infinite values", {"x": [np.inf, -np.inf, 1.0] * 20}, findings=("infinite_values",))
_case("nothing but infinity", {"x": [np.inf] * N, "z": X}, findings=("infinite_values", "all_missing_column"))
_case("huge numbers", {"x": X / 10 * 1e308}, "no_features")
_case("large numbers", {"x": X * 1e99, "z": X})
_case("tiny numbers", {"x": ROWS * 1e-320, "z": X})
_case("numbers of every size", {"x": [10.0 ** (row * 3 - 90) for row in ROWS], "z": -X})
_case("integers beyond 2^53", {"x": [2**53 + int(row) for row in ROWS[::-1] * 3], "z": X}, findings=("large_integers",))  # fmt: skip
_case("largest integers", {"x": pa.array([2**64 - 1, 0] * 30, pa.uint64())}, findings=("large_integers",))
_case(
    "mixed types", _text("x,y", lambda row: f"{['1', 'one', '1.5', 'true', '2020-01-01'][row % 5]},{row % 2}")
)
_case("numbers of many forms", {"a": ["1,234.5", "7"] * 30, "b": ["1.234,5", "6"] * 30, "c": ["50%", "5%"] * 30}, findings=("number_like_strings",))  # fmt: skip
_case("quantity written as text", {"x": X, "y": [f"${row},000" for row in range(1, N + 1)]}, findings=("number_like_strings",), **REGRESSION)  # fmt: skip
_case("dates of many forms", {"a": [f"{1 + row % 28}/12/2020" for row in ROWS], "b": ["3 Jan 2020", "4 Feb 2021"] * 30}, findings=("date_like_strings",))  # fmt: skip
_case(
    "ambiguous dates", {"a": ["01/02/2020", "03/04/2020", "05/06/2020"] * 20}, findings=("ambiguous_dates",)
)
_case("dates before and after everything", {"x": [dt.date(1, 1, 1), dt.date(9999, 12, 31), dt.date(1970, 1, 1)] * 20})  # fmt: skip
_case("all categorical", {f"c{index}": [f"{(row * index) % 5}x" for row in ROWS] for index in range(1, 9)})
_case(
    "unique strings",
    {"x": [f"{X[row]!r} or so" for row in ROWS], "z": X},
    findings=("nearly_unique_strings",),
)
_case("unique codes", {"x": [f"ID-{row:05d}" for row in ROWS], "z": X}, findings=("id_column",))
_case("strings of 5,000 characters", {"x": [chr(97 + row % 26) * 5000 for row in ROWS]})
_case("high cardinality", lambda: {"c": [f"c{row % 150}" for row in range(600)], "y": HALVES * 10}, findings=("high_cardinality",))  # fmt: skip
_case("empty strings", {"x": ["", " "] * 30, "z": X})
_case("unicode and empty names", _text("größe,🦜,,y", lambda row: f"{row % 7},{row % 5},{row % 3},{row % 2}"))
_case(
    "names of code",
    _text("__import__('os'),{0},%s,y", lambda row: f"{row % 7},{row % 5},{row % 3},{row % 2}"),
)
_case("columns of equal names", _text("x,x,x,y", lambda row: f"{row % 7},{row % 5},{row % 3},{row % 2}"))
_case("dictionary columns", {"c": pa.array(["a", None, "b"] * 20).dictionary_encode(), "z": X})
_case("durations", {"x": pa.array([dt.timedelta(days=int(row)) for row in ROWS]), "z": X})
_case("decimals", {"x": [Decimal(int(row)) / 7 for row in ROWS], "z": X})
_case("nested column", {"x": X, "z": [{"a": 1}] * N}, "unsupported_column_type")
_case("binary column", {"x": X, "z": [b"\xff"] * N}, "unsupported_column_type")
_case(
    "nested column as id",
    {"x": X, "z": [[1]] * N},
    findings=("id_column",),
    column_types={"z": ColumnType.ID},
)
_case("more columns than rows", lambda: {f"x{index}": _random.normal(size=20) for index in range(300)} | {"y": HALVES[:20]}, findings=("more_columns_than_rows",))  # fmt: skip
_case("10,000 columns", lambda: {f"x{index}": column for index, column in enumerate(_random.normal(size=(9_999, 25)))} | {"y": HALVES[:25]}, findings=("more_columns_than_rows",))  # fmt: skip
_case("gzip of Parquet", gzip.compress(as_parquet({"x": X, "y": HALVES})))
_case("windows line ends", _text("x,y\r", lambda row: f"{row % 7},{row % 2}\r"))

# What the client declares
_case("type that does not fit", {"x": ["a", "b"] * 30}, "column_type_unusable", column_types={"x": ColumnType.NUMERIC})  # fmt: skip
_case("type of no column", {"x": X}, "column_not_found", column_types={"z": ColumnType.TEXT})
_case("type of the target", {"x": X}, "conflicting_declaration", column_types={"y": ColumnType.TEXT})
_case("everything an id", {"x": X}, "no_features", column_types={"x": ColumnType.ID})
_case("numbers as categories", {"x": X, "z": ROWS % 3}, column_types={"x": ColumnType.CATEGORICAL, "z": ColumnType.TEXT})  # fmt: skip
_case("one group", {"x": X, "g": ["a"] * N}, "too_few_groups", group="g")
_case("group missing", {"x": X, "g": ["a", "b", "c", "d", "e", None] * 10}, "group_unusable", group="g")
_case("every row a group", {"x": X, "g": ROWS}, findings=("group_column",), group="g")
_case("groups of one class", {"x": X, "g": ROWS // 10, "y": ["a"] * 30 + ["b"] * 30}, findings=("group_column",), group="g")  # fmt: skip
_case("possible groups", {"x": X, "patient_id": ROWS // 3}, findings=("possible_groups",))
_case("one instant", {"x": X, "t": DAYS[:1] * N}, "time_unusable", time="t")
_case("time missing", {"x": X, "t": [None, *DAYS[1:]]}, "time_unusable", time="t")
_case("time of words", {"x": X, "t": ["soon", "later"] * 30}, "time_unusable", time="t")
_case("rows backwards in time", {"x": X, "t": DAYS[::-1]}, findings=("time_column",), time="t")
_case("rows in order of a date", {"x": X, "sold_on": DAYS}, findings=("time_ordered_rows",))
_case("group and time", {"x": X, "g": ROWS % 12, "t": DAYS}, findings=("group_column", "time_column"), group="g", time="t")  # fmt: skip
_case("group is time", {"x": X, "t": DAYS}, "conflicting_declaration", group="t", time="t")
_case("group is the only feature", {"g": ROWS // 3, "y": HALVES}, "no_features", group="g")
