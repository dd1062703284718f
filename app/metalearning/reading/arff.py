"""ARFF, dense and sparse, in linear time: common readers need seconds for a line of some 50 characters."""

import io
from collections.abc import Iterator
from typing import NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from app.errors import EmptyFileError, RaggedRowsError, UnreadableFileError
from app.metalearning.reading.attributes import Attribute, Kind, parse_attribute
from app.metalearning.reading.formats import Format
from app.metalearning.reading.limits import ReadingLimits
from app.metalearning.reading.rawtable import RawTable, distinct_names
from app.metalearning.reading.tokens import TokenError, cells, skip_space, word

_BATCH_CELLS = 1 << 20
_BATCH_SPARSE_ROWS = 1 << 16
_FEWEST_BYTES = 8  # of a sparse row's cell once it is decoded

Lines = Iterator[tuple[int, str]]


def read_arff(content: bytes, limits: ReadingLimits) -> RawTable:
    """Read an ARFF text in UTF-8; every refusal names its line.

    Raises: UnreadableFileError, RaggedRowsError, EmptyFileError, TooLargeDatasetError.
    """
    lines = _meaningful_lines(content)
    attributes, data_line = _read_header(lines, limits)
    if not attributes:
        raise EmptyFileError("The file declares no attributes.", "Write an @attribute line for each column.")
    names, renamed = distinct_names([attribute.name for attribute in attributes])
    batches = _Batches(attributes, names, limits)
    sparse = False
    for number, line in lines:
        row_is_sparse = line.startswith("{")
        if batches.n_rows == 0 and row_is_sparse:
            sparse = True
            _check_sparse_size(content, attributes, limits)
        if row_is_sparse != sparse:
            _refuse(number, "dense and sparse rows are mixed")
        try:
            row = _sparse_row(line, number, batches) if sparse else _dense_row(line, number, batches)
        except TokenError as error:
            _refuse(number, str(error), error)
        batches.add(number, row)
    frame = batches.table()
    return RawTable(
        frame,
        Format.SPARSE_ARFF if sparse else Format.ARFF,
        delimiter=",",
        has_header=False,
        skipped_lines=data_line,
        renamed_columns=renamed,
        date_formats={
            name: attribute.date_format
            for name, attribute in zip(names, attributes, strict=True)
            if attribute.kind is Kind.DATE
        },
    )


def _meaningful_lines(content: bytes) -> Lines:
    """Lines without blanks around them, with their numbers; no comments and no empty ones."""
    for number, line in enumerate(io.TextIOWrapper(io.BytesIO(content), "utf-8", newline=None), start=1):
        stripped = line.strip()
        if stripped and not stripped.startswith("%"):
            yield number, stripped


def _read_header(lines: Lines, limits: ReadingLimits) -> tuple[list[Attribute], int]:
    attributes: list[Attribute] = []
    for number, line in lines:
        limits.check_first_line(len(line.encode()))
        try:
            keyword, position = word(line, 0, " \t")
            if keyword.lower() == "@data":
                return attributes, number
            if keyword.lower() == "@attribute":
                attributes.append(parse_attribute(line[position:]))
            elif keyword.lower() != "@relation":
                raise TokenError(f"{keyword[:50]!r} is no part of a header")  # noqa: TRY301  one refusal for all
        except TokenError as error:
            _refuse(number, str(error), error)
        limits.check_columns(len(attributes))
    raise UnreadableFileError("The ARFF file has no @data line.", "Write the file again and send it.")


def _check_sparse_size(content: bytes, attributes: list[Attribute], limits: ReadingLimits) -> None:
    """Refuse what would take too much memory once its zeros are written out."""
    most_rows = min(content.count(b"{"), content.count(b"\n") + content.count(b"\r") + 1)
    limits.check_size(most_rows * len(attributes) * _FEWEST_BYTES)


Row = list[str] | dict[int, str]


class _Batches:
    """Rows on their way to columns."""

    def __init__(self, attributes: list[Attribute], names: list[str], limits: ReadingLimits) -> None:
        self.attributes, self.names, self.limits = attributes, names, limits
        self.n_rows = 0
        self._rows: list[Row] = []
        self._numbers: list[int] = []
        self._pending = 0
        self._size = 0
        self._batches: list[pa.Table] = []

    def add(self, number: int, row: Row) -> None:
        """One row, from the line of this number."""
        self._rows.append(row)
        self._numbers.append(number)
        self.n_rows += 1
        self.limits.check_rows(self.n_rows)
        self._pending += len(row)
        if self._pending > _BATCH_CELLS or len(self._rows) >= _BATCH_SPARSE_ROWS:
            self._convert()

    def table(self) -> pa.Table:
        """All rows; whole numbers as integers where they were declared so."""
        self._convert()
        frame = pa.concat_tables(self._batches)
        for index, attribute in enumerate(self.attributes):
            if attribute.kind is Kind.INTEGER:
                frame = frame.set_column(index, self.names[index], _as_integers(frame.column(index)))
        return frame

    def _convert(self) -> None:
        sparse = bool(self._rows) and isinstance(self._rows[0], dict)
        columns = list(self._sparse_columns() if sparse else self._dense_columns())
        batch = pa.table(columns, names=self.names)
        self._size += batch.nbytes
        self.limits.check_size(self._size)
        for attribute, column in zip(self.attributes, columns, strict=True):
            self.limits.check_cells(column, attribute.name)
        self._batches.append(batch)
        self._rows, self._numbers, self._pending = [], [], 0

    def _dense_columns(self) -> Iterator[pa.Array]:
        texts = zip(*self._rows, strict=True) if self._rows else ((),) * len(self.attributes)
        for attribute, column in zip(self.attributes, texts, strict=True):
            yield self._values(attribute, list(column), self._numbers)

    def _sparse_columns(self) -> Iterator[pa.Array]:
        """Each column's default, with the cells that the rows name put in their places."""
        texts: list[list[str | None]] = [[attribute.default()] for attribute in self.attributes]
        places: list[list[int]] = [[] for _ in self.attributes]
        for place, row in enumerate(self._rows):
            for index, text in row.items():  # type: ignore[union-attr]
                texts[index].append(text)
                places[index].append(place)
        for attribute, column, taken in zip(self.attributes, texts, places, strict=True):
            numbers = [self._numbers[0], *(self._numbers[place] for place in taken)]
            values = self._values(attribute, column, numbers)
            chosen = np.zeros(len(self._rows), dtype=np.int64)
            chosen[taken] = np.arange(1, len(column))
            yield values.take(pa.array(chosen))

    def _values(self, attribute: Attribute, texts: list[str | None], numbers: list[int]) -> pa.Array:
        try:
            return attribute.convert(texts)
        except (pa.ArrowInvalid, ValueError) as error:
            for number, text in zip(numbers, texts, strict=True):
                if not _converts(attribute, text):
                    fact = f"{str(text)[:50]!r} is no value of attribute {attribute.name[:100]!r}"
                    _refuse(number, fact, error)
            raise


def _converts(attribute: Attribute, text: str | None) -> bool:
    try:
        attribute.convert([text])
    except (pa.ArrowInvalid, ValueError):
        return False
    return True


def _dense_row(line: str, number: int, batches: _Batches) -> list[str]:
    """The cells of all columns. Raises: TokenError."""
    expected = len(batches.attributes)
    row = cells(line)
    if len(row) != expected:
        if row[-1].startswith("{"):
            _refuse(number, "weights of rows are not read")
        raise RaggedRowsError(
            f"Line {number} has {len(row)} cells, the header declares {expected} attributes.",
            "Quote values that hold commas, or complete the row.",
            line=number,
        )
    return row


def _sparse_row(line: str, number: int, batches: _Batches) -> dict[int, str]:
    """The cells that the row names, by their column's position. Raises: TokenError."""
    row: dict[int, str] = {}
    position = skip_space(line, 1)
    while position < len(line) and line[position] != "}":
        index, position = word(line, position, " \t,}")
        value, position = word(line, skip_space(line, position), " \t,}")
        if not value and line[position - 1] not in "'\"":
            _refuse(number, f"column {index[:50]} has no value")
        if not (index.isascii() and index.isdigit() and len(index) < 9):
            _refuse(number, f"{index[:50]!r} is no column's number")
        if int(index) >= len(batches.attributes) or int(index) in row:
            _refuse(number, f"column {index} is named twice, or there is no such column")
        row[int(index)] = value
        position = skip_space(line, position)
        if position < len(line) and line[position] == ",":
            position = skip_space(line, position + 1)
        elif position < len(line) and line[position] != "}":
            _refuse(number, "a comma is missing between two cells")
    if position != len(line) - 1:
        _refuse(number, "the row does not end with its brace (weights of rows are not read)")
    return row


def _as_integers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Whole numbers as integers; as they are where one has a fraction or is too large to be exact."""
    exact = pc.and_(pc.equal(pc.floor(column), column), pc.less(pc.abs(column), float(2**53)))
    return pc.cast(column, pa.int64()) if pc.all(exact).as_py() else column


def _refuse(number: int, fact: str, error: Exception | None = None) -> NoReturn:
    raise UnreadableFileError(
        f"Line {number} of the ARFF file: {fact}.", "Correct this line and send the file again.", line=number
    ) from error
