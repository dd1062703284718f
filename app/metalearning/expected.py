"""What a model expects of rows to predict: the columns that it was fitted on, as they were typed, and what it answers with."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from app.metalearning.table import NUMBER_LIKE, ClassType, Column, ColumnType, Table, TaskType

# A card is read and sent as a whole, so it keeps no more of the categories than people and programs can use.
MOST_CATEGORIES = 1_000  # of one column
MOST_CHARACTERS = 500_000  # of all categories of a card


@dataclass(frozen=True)
class ExpectedColumn:
    """A feature column with the categories seen in training, sorted; None for numbers, and where there were too many to keep."""

    column: Column
    categories: tuple[str, ...] | None = None

    @property
    def holds_categories(self) -> bool:
        """Whether its values are strings."""
        return self.column.type not in NUMBER_LIKE


@dataclass(frozen=True)
class Expected:
    """The feature columns in the order of the model, and the target: its task type, classes in order, what their labels are."""

    columns: tuple[ExpectedColumn, ...]
    target: str
    task_type: TaskType
    classes: tuple[str, ...]
    class_type: ClassType

    def labels(self) -> list[str | int | float | bool]:
        """The classes as they were in the training file."""
        return [_label(each, self.class_type) for each in self.classes]


def describe_columns(table: Table) -> list[dict[str, Any]]:
    """The feature columns as a card has them: name, type, format of written values, categories and how many there are."""
    left = MOST_CHARACTERS
    described: list[dict[str, Any]] = []
    for column in table.columns:
        fields: dict[str, Any] = {"name": column.name, "type": column.type, "source": column.source}
        if column.type not in NUMBER_LIKE:
            distinct = pc.unique(table.frame[column.name].combine_chunks()).drop_null()
            size = pc.sum(pc.utf8_length(distinct)).as_py() or 0
            fits = len(distinct) <= MOST_CATEGORIES and size <= left
            left -= size if fits else 0
            fields |= {
                "categories": sorted(distinct.to_pylist()) if fits else None,
                "n_categories": len(distinct),
            }
        described.append(fields)
    return described


def expected_by(card: dict[str, Any]) -> Expected | None:
    """What the model of this card expects; None of a card from before models predicted, which tells too little."""
    if "class_type" not in card:
        return None
    return Expected(
        columns=tuple(
            ExpectedColumn(
                Column(each["name"], ColumnType(each["type"]), each["source"]),
                None if each.get("categories") is None else tuple(each["categories"]),
            )
            for each in card["columns"]
        ),
        target=card["target"],
        task_type=TaskType(card["task_type"]),
        classes=tuple(card["classes"]),
        class_type=ClassType(card["class_type"]),
    )


def as_table(frame: pa.Table, expected: Expected) -> Table:
    """Typed feature columns as the table that pipelines take their features from; it has no target."""
    columns = tuple(each.column for each in expected.columns)
    return Table(frame, columns, expected.target, expected.task_type, class_type=expected.class_type)


def _label(text: str, kind: ClassType) -> str | int | float | bool:
    match kind:
        case ClassType.INTEGER:
            return int(text)
        case ClassType.NUMBER:
            return float(text)
        case ClassType.BOOLEAN:
            return text == "true"
    return text
