"""Rows as they are sent, made numbers: what the labelled rows hold decides, so a query means the same whoever else is asked.

JSON has types, and they are believed: numbers and truth values are numbers, a column with a string is one of categories, each
a feature of its own. What is missing is the mean of the labelled rows, or no category.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.errors import (
    ColumnMissingError,
    LabelsUnfitError,
    RaggedRowsError,
    RowsRefusedError,
    SingleClassTargetError,
    ValueOfWrongTypeError,
)
from app.metalearning.fewshot.task import Task
from app.metalearning.newrows import Cell
from app.metalearning.table import FloatArray

Label = str | int | float | bool
Row = Mapping[str, Cell] | Sequence[float]
Rows = Sequence[Row]

MOST_FEATURES = 2_000
_LARGEST = 1e100  # beyond it squares are no numbers any more
_MOST_NAMES, _LONGEST = 20, 100


@dataclass(frozen=True)
class Encoded:
    """The task, the classes in the order of its codes, and what there is to say of the columns."""

    task: Task
    classes: tuple[Label, ...]
    ignored_columns: tuple[str, ...]  # that the labelled rows lack, or that are always missing there
    unknown_categories: dict[str, int]  # column → queries whose category no labelled row has


def encode(support: Rows, labels: Sequence[Label], queries: Rows) -> Encoded:
    """The numbers of labelled rows and queries, either all objects of named cells or all vectors.

    Raises: LabelsUnfitError, SingleClassTargetError, RaggedRowsError, ColumnMissingError, ValueOfWrongTypeError,
        RowsRefusedError.
    """
    if len(labels) != len(support):
        raise LabelsUnfitError(
            f"There are {len(labels)} labels for {len(support)} rows.",
            "Send a label for every row of support.",
        )
    keys = [json.dumps(label) for label in labels]  # true is not 1
    names = sorted(set(keys))
    if len(names) < 2:
        raise SingleClassTargetError(
            f"All labels are {labels[0]!r:.100}.", "Label rows of at least two classes."
        )
    codes = np.array([names.index(key) for key in keys])
    _check_lengths(support, queries)
    known, asked = _named(support), _named(queries)
    columns = list(dict.fromkeys(name for row in known for name in row))
    columns = [name for name in columns if any(row.get(name) is not None for row in known)]
    if not columns:
        raise RowsRefusedError("The labelled rows hold no value.", "Send at least one column with values.")
    _check_columns(asked, columns)
    unknown: dict[str, int] = {}
    parts = [_column(name, known, asked, unknown) for name in columns]
    features = np.concatenate(parts, axis=1)
    _check_numbers(features)
    task = Task(features[: len(known)], codes, features[len(known) :], len(names))
    given = dict.fromkeys(name for row in (*known, *asked) for name in row)
    ignored = [name[:_LONGEST] for name in given if name not in set(columns)]
    classes = tuple(json.loads(name) for name in names)
    return Encoded(task, classes, tuple(ignored[:_MOST_NAMES]), unknown)


def _check_lengths(*parts: Rows) -> None:
    lengths = {None if isinstance(row, Mapping) else len(row) for rows in parts for row in rows}
    if len(lengths) > 1:
        raise RaggedRowsError(
            "Rows are of different lengths, or some are objects and others are vectors.",
            "Send all rows as objects, or all as vectors of one length.",
        )


def _named(rows: Rows) -> list[Mapping[str, Cell]]:
    """Vectors have their places for names."""
    return [
        row if isinstance(row, Mapping) else {str(at): each for at, each in enumerate(row)} for row in rows
    ]


def _check_columns(asked: list[Mapping[str, Cell]], columns: list[str]) -> None:
    given = {name for row in asked for name in row}
    missing = [name[:_LONGEST] for name in columns if name not in given]
    if missing:
        raise ColumnMissingError(
            f"The queries lack {len(missing)} of the {len(columns)} columns of the labelled rows.",
            "Send every column that the labelled rows have; where a value is not known, send null.",
            missing=missing[:_MOST_NAMES],
            n_missing=len(missing),
        )


def _column(
    name: str, known: list[Mapping[str, Cell]], asked: list[Mapping[str, Cell]], unknown: dict[str, int]
) -> FloatArray:
    """The features that a column becomes, shape (rows, features); counts queries of unknown categories."""
    cells = [row.get(name) for row in (*known, *asked)]
    if not any(isinstance(cell, str) for cell in cells[: len(known)]):
        return _numbers(name, cells, len(known))
    texts = [None if cell is None else cell if isinstance(cell, str) else json.dumps(cell) for cell in cells]
    categories = sorted({text for text in texts[: len(known)] if text is not None})
    n_unknown = sum(text is not None and text not in categories for text in texts[len(known) :])
    if n_unknown and len(unknown) < _MOST_NAMES:
        unknown[name[:_LONGEST]] = n_unknown
    return np.array([[float(text == each) for each in categories] for text in texts])


def _numbers(name: str, cells: list[Cell], n_known: int) -> FloatArray:
    for row, cell in enumerate(cells[n_known:], start=1):
        if isinstance(cell, str):
            raise ValueOfWrongTypeError(
                f"Query {row}, column {name[:_LONGEST]!r}: {cell[:_LONGEST]!r} is not a number, as in the labelled rows.",
                "Send a number, or null where there is none.",
                row=row,
                column=name[:_LONGEST],
                expected="a number",
                value=cell[:_LONGEST],
                n_rows=sum(isinstance(each, str) for each in cells[n_known:]),
            )
    values = np.array([np.nan if cell is None else _number(cell) for cell in cells])
    return np.where(np.isnan(values), np.nanmean(values[:n_known]), values)[:, None]


def _number(cell: Any) -> float:
    try:
        return float(cell)
    except OverflowError:  # hundreds of digits
        return float("inf")


def _check_numbers(features: FloatArray) -> None:
    if features.shape[1] > MOST_FEATURES:
        raise RowsRefusedError(
            f"The columns become {features.shape[1]:,} features, and {MOST_FEATURES:,} are taken.",
            "Leave out columns with many categories, or ones that tell little.",
            most=MOST_FEATURES,
        )
    if not (np.abs(features) < _LARGEST).all():
        raise RowsRefusedError(
            "A value is too far from zero to compute with.", f"Send numbers of less than {_LARGEST:g}."
        )
