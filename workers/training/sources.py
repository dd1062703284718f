"""The datasets that a meta-dataset is measured on: a folder of Parquet files with an inventory."""

import csv
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet

from app.metalearning.columns import Declaration, type_table
from app.metalearning.table import Table, TaskType


@dataclass(frozen=True)
class Source:
    """A dataset to measure, as its folder's `inventory.csv` names it; near-duplicates share a group."""

    name: str
    path: Path
    target: str
    task_type: TaskType
    group: str


def read_inventory(folder: Path) -> list[Source]:
    """The datasets of a folder, from the columns name, target, task and group of its `inventory.csv`."""
    with (folder / "inventory.csv").open(newline="") as file:
        return [
            Source(
                row["name"],
                folder / f"{row['name']}.parquet",
                row["target"],
                TaskType(row["task"]),
                row.get("group") or row["name"],
            )
            for row in csv.DictReader(file)
        ]


def load_source(source: Source) -> Table:
    """The source's typed table."""
    declaration = Declaration(source.target, source.task_type)
    return type_table(pyarrow.parquet.read_table(source.path), declaration)[0]
