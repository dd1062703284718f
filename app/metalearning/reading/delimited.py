"""CSV and its relatives, strictly: every row has the header's cells, every quote is closed."""

import csv
import io
import itertools
import re
from collections.abc import Collection, Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from app.errors import RaggedRowsError, TooLargeDatasetError, UnreadableFileError
from app.metalearning.reading.formats import Format
from app.metalearning.reading.limits import ReadingLimits
from app.metalearning.reading.marks import (
    count_numbers,
    has_decimal_commas,
    is_number,
    without_thousands,
)
from app.metalearning.reading.rawtable import MISSING_MARKERS, RawTable, distinct_names, first_line
from app.metalearning.reading.sniffing import AFTER_THE_END, Layout, open_quote, sniff

# pyarrow reads 007 as 7 and 0x1F as 31.
_MAYBE_CODE = re.compile(rb'(?:^|[\r,;\t|" ])[+-]?0[0-9xX]', re.MULTILINE)
_CODE = r"^\s*[+-]?0[0-9xX]"


def read_delimited(
    content: bytes,
    limits: ReadingLimits,
    target: str | None,
    decimal_mark: str | None = None,
    texts: Collection[str] = (),
) -> RawTable:
    """Read a text in UTF-8; `decimal_mark` and `texts` say what would else be told by the cells.

    Raises: EmptyFileError, RaggedRowsError, TooLargeDatasetError, UnreadableFileError.
    """
    layout = sniff(content, limits, target)
    names, renamed = distinct_names(layout.originals)
    source = _Source(content, layout, names)
    frame, decimal, thousands = _with_marks(source, decimal_mark)
    _check_last_quote(source, frame)
    frame, codes = _with_codes(source, frame, decimal)
    frame = _with_texts(source, frame, decimal, texts)
    limits.check_rows(frame.num_rows)
    limits.check_size(frame.nbytes)
    for name, column in zip(names, frame.columns, strict=True):
        limits.check_cells(column, name)
    return RawTable(
        frame,
        Format.CSV,
        delimiter=layout.delimiter,
        decimal=decimal,
        thousands=thousands,
        padded=layout.padded,
        has_header=layout.has_header,
        skipped_lines=layout.skipped_lines,
        code_columns=codes,
        renamed_columns=renamed,
    )


class _Source:
    """The rows' bytes and how to part them; read at will."""

    def __init__(self, content: bytes, layout: Layout, names: list[str]) -> None:
        self.content, self.layout, self.names = content, layout, names
        self._rows = pa.py_buffer(content).slice(layout.offset)
        if layout.padded:
            mark = layout.delimiter.encode()
            self._rows = pa.py_buffer(re.sub(re.escape(mark) + b" +", mark, content[layout.offset :]))

    def parse(self, decimal: str, as_strings: tuple[str, ...] = ()) -> pa.Table:
        """All columns with inferred types, or only some of them as the strings that they are."""
        if len(self.content) == self.layout.offset:
            return pa.table({name: pa.nulls(0) for name in self.names})
        try:
            return pa.csv.read_csv(
                pa.BufferReader(self._rows),
                # One block: types are then inferred from the whole file, not from its first megabyte.
                read_options=pa.csv.ReadOptions(
                    use_threads=False, block_size=self._rows.size + 1, column_names=self.names
                ),
                parse_options=pa.csv.ParseOptions(
                    delimiter=self.layout.delimiter,
                    newlines_in_values=True,
                    invalid_row_handler=_skip_blanks,
                ),
                convert_options=pa.csv.ConvertOptions(
                    null_values=list(MISSING_MARKERS),
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=True,
                    decimal_point=decimal,
                    include_columns=list(as_strings),
                    column_types=dict.fromkeys(as_strings, pa.string()),
                ),
            )
        except pa.ArrowInvalid as error:
            self._refuse_ragged_row()
            raise UnreadableFileError(
                f"The file is no readable CSV: {first_line(error)}.",
                "Send CSV, TSV, Parquet, ARFF or JSON lines.",
            ) from error

    def records(self) -> Iterator[tuple[int, list[str]]]:
        """Every row with the line on which it begins, blank lines left out, and one line after the last."""
        binary = io.BytesIO(self.content)
        binary.seek(self.layout.offset)
        lines = io.TextIOWrapper(binary, "utf-8", newline="")
        reader = csv.reader(itertools.chain(lines, [AFTER_THE_END]), delimiter=self.layout.delimiter)
        while True:
            line = self.layout.lines_before + reader.line_num + 1
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise TooLargeDatasetError(
                    f"The cell that begins on line {line} is too long: {error}.",
                    "Close its quote, or leave out columns of long texts.",
                ) from error
            if row:
                yield line, row

    def _refuse_ragged_row(self) -> None:
        """Pyarrow counts rows; the line that an editor shows is found by reading again."""
        for line, row in self.records():
            if row == [AFTER_THE_END]:
                return
            if len(row) != len(self.names) and (len(row) > 1 or row[0].strip()):
                if row[-1].endswith(AFTER_THE_END):
                    raise open_quote(line)
                raise RaggedRowsError(
                    f"Line {line} has {len(row)} cells, the {'header' if self.layout.has_header else 'first row'} has "
                    f"{len(self.names)}.",
                    "Quote cells that hold the delimiter, name every column in the header, or complete the row.",
                    line=line,
                )


def _skip_blanks(row: pa.csv.InvalidRow) -> str:
    """A line of blanks is as good as an empty one; other rows of the wrong length are errors."""
    return "skip" if row.actual_columns == 1 and not row.text.strip() else "error"


def _check_last_quote(source: _Source, frame: pa.Table) -> None:
    """Refuse a quote that is never closed: pyarrow would take the rest of the file for one cell."""
    last = frame.columns[-1]
    ends_in_lines = bool(
        frame.num_rows and pa.types.is_string(last.type) and re.search("[\r\n]", last[-1].as_py() or "")
    )
    if ends_in_lines or source.content.count(b'"', source.layout.offset) % 2:
        for line, row in source.records():
            if row != [AFTER_THE_END] and row[-1].endswith(AFTER_THE_END):
                raise open_quote(line)


def _with_marks(source: _Source, known: str | None) -> tuple[pa.Table, str, str | None]:
    """The table under the marks that read more columns as numbers, its decimal mark and that of thousands."""
    readings = []
    for decimal, thousands in ((".", ","), (",", ".")):
        if known not in (None, decimal):
            continue
        direct = source.parse(decimal)
        frame, found = without_thousands(direct, thousands, decimal)
        # 1,234 in a file of semicolons is rather a decimal comma, in a file of commas it groups thousands.
        rank = (count_numbers(frame), count_numbers(direct) if source.layout.delimiter == ";" else 0)
        readings.append((rank, frame, decimal, thousands if found else None))
        if decimal == "." and not has_decimal_commas(direct):
            break
    return max(readings, key=lambda reading: reading[0])[1:]


def _with_codes(source: _Source, frame: pa.Table, decimal: str) -> tuple[pa.Table, tuple[str, ...]]:
    """Columns with leading zeros as strings, since 007 is no number, and their names."""
    numbers = tuple(field.name for field in frame.schema if is_number(field.type))
    if not numbers or _MAYBE_CODE.search(source.content, source.layout.offset) is None:
        return frame, ()
    texts = source.parse(decimal, numbers)
    codes = tuple(name for name in numbers if pc.any(pc.match_substring_regex(texts[name], _CODE)).as_py())
    for name in codes:
        frame = frame.set_column(frame.column_names.index(name), name, texts[name])
    return frame, codes


def _with_texts(source: _Source, frame: pa.Table, decimal: str, names: Collection[str]) -> pa.Table:
    """These columns as the strings that they are in the file."""
    wanted = tuple(
        field.name for field in frame.schema if field.name in names and not pa.types.is_string(field.type)
    )
    if not wanted:
        return frame
    texts = source.parse(decimal, wanted)
    for name in wanted:
        frame = frame.set_column(frame.column_names.index(name), name, texts[name])
    return frame
