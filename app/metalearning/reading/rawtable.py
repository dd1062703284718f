"""What reading leaves: the cells, how they were found in the file, and names that tell columns apart."""

from dataclasses import dataclass, field, fields, replace
from typing import Any

import pyarrow as pa

from app.errors import UnreadableEncodingError
from app.metalearning.reading.formats import Format

MISSING_MARKERS = ("", "?", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "null", "None")


@dataclass(frozen=True)
class RawTable:
    """A file's cells as read, with what had to be guessed on the way.

    `skipped_lines` come before the header, or before the rows where there is none. `decimal` and `thousands` are the
    marks inside of numbers. `code_columns` look like numbers and are none: leading zeros would be lost.
    `padded` files have a space after each delimiter that belongs to no cell. `renamed_columns` are the new names of
    those that had none, or one that was taken. `date_formats` are those of an ARFF file's dates, by column.
    """

    frame: pa.Table
    format: Format
    compression: str | None = None
    encoding: str | None = None
    delimiter: str | None = None
    decimal: str = "."
    thousands: str | None = None
    padded: bool = False
    has_header: bool = True
    skipped_lines: int = 0
    code_columns: tuple[str, ...] = ()
    renamed_columns: tuple[str, ...] = ()
    date_formats: dict[str, str] = field(default_factory=dict)

    def found_in(self, compression: str | None, encoding: str) -> "RawTable":
        """The same table, with the way to its text."""
        return replace(self, compression=compression, encoding=encoding)

    def facts(self) -> dict[str, Any]:
        """All but the cells, as JSON takes it, with the columns' names: what one needs to read the file again."""
        facts: dict[str, Any] = {
            each.name: list(value) if isinstance(value := getattr(self, each.name), tuple) else value
            for each in fields(self)
            if each.name != "frame"
        }
        return {**facts, "column_names": self.frame.column_names}


def distinct_names(originals: list[str]) -> tuple[list[str], tuple[str, ...]]:
    """Names in which unnamed and repeated columns have one of their own; and which ones were renamed.

    Raises: UnreadableEncodingError.
    """
    taken: set[str] = set()
    next_copy: dict[str, int] = {}
    names, renamed = [], []
    for index, original in enumerate(originals, start=1):
        if "\x00" in original:
            raise UnreadableEncodingError("A column's name holds the character NUL.", "Rename the column.")
        base = original.strip() or f"column_{index}"
        name, copy = base, next_copy.get(base, 2)
        while name in taken:
            name, copy = f"{base}.{copy}", copy + 1
        next_copy[base] = copy
        taken.add(name)
        names.append(name)
        if name != original:
            renamed.append(name)
    return names, tuple(renamed)


def first_line(error: Exception) -> str:
    """What a library said, without what it appends."""
    return str(error).split("\n", 1)[0][:300]
