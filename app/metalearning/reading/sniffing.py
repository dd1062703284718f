"""How a delimited text is laid out: what comes before the header, the delimiter, the header, the columns' names."""

import csv
import io
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from app.errors import EmptyFileError, TooLargeDatasetError, UnreadableFileError
from app.metalearning.reading.limits import ReadingLimits
from app.metalearning.reading.rawtable import MISSING_MARKERS

# No text holds this character. As one more line it comes back alone, unless a quote was left open.
AFTER_THE_END = "\x00"
DELIMITERS = (",", ";", "\t", "|")
_SAMPLE_BYTES = 1 << 18
_SAMPLE_ROWS = 100
# Digits with marks of either kind; every part begins with another character, so that nothing is tried twice.
_NUMBER = re.compile(r"[+-]?(?:\d+(?:[.,]\d+)*[.,]?|[.,]\d+)(?:[eE][+-]?\d+)?")
_SEPARATOR_LINE = re.compile(r"sep=(.)\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Layout:
    """Where the rows begin (bytes and lines before them), and what their cells are."""

    delimiter: str
    originals: list[str]
    has_header: bool
    skipped_lines: int
    padded: bool
    offset: int
    lines_before: int


def sniff(content: bytes, limits: ReadingLimits, target: str | None) -> Layout:
    """Find the layout of a text in UTF-8 that is not blank.

    Raises: EmptyFileError, UnreadableFileError, TooLargeDatasetError.
    """
    most = limits.first_line_bytes + _SAMPLE_BYTES
    lines = _Lines(content[:most], whole=len(content) <= most)
    skipped, delimiter = _lines_before_header(lines)
    if skipped == len(lines.lines):
        raise EmptyFileError("The file holds comments only.", "Send a header line and at least 20 rows.")
    limits.check_first_line(len(lines.lines[skipped].rstrip("\r\n").encode()))
    delimiter = delimiter or _delimiter(lines.lines[skipped:])
    first, header_lines = _first_row(lines.lines[skipped:], delimiter, skipped + 1)
    sample = [row for row in _rows(lines.lines[skipped + header_lines :], delimiter, _SAMPLE_ROWS) if row]
    limits.check_columns(len(first))
    header = "".join(lines.lines[skipped : skipped + header_lines])
    limits.check_first_line(len(header.rstrip("\r\n").encode()))
    has_header = _is_header(first, sample, target)
    lines_before = skipped + header_lines if has_header else skipped
    return Layout(
        delimiter,
        first if has_header else [f"column_{index}" for index in range(1, len(first) + 1)],
        has_header,
        skipped,
        b'"' not in content and _is_padded(sample),
        lines.bytes_of(0, lines_before),
        lines_before,
    )


class _Lines:
    """The lines at a text's start, with their ends; a last one that was cut off is left out."""

    def __init__(self, start: bytes, *, whole: bool) -> None:
        self.lines = list(io.StringIO(start.decode(errors="ignore"), newline=""))
        if not whole and len(self.lines) > 1:
            self.lines.pop()

    def bytes_of(self, first: int, end: int) -> int:
        """How many bytes these lines take."""
        return sum(len(line.encode()) for line in self.lines[first:end])


def _lines_before_header(lines: _Lines) -> tuple[int, str | None]:
    """How many blank lines, comments and Excel's "sep=;" come first, and the delimiter that the latter names."""
    delimiter, comments, position = None, False, 0
    while position < len(lines.lines):
        line = lines.lines[position]
        separator = _SEPARATOR_LINE.fullmatch(line)
        if separator and separator[1] in DELIMITERS and delimiter is None:
            delimiter = separator[1]
        elif line.startswith("#"):
            comments = True
        elif line.strip("\r\n"):
            break
        position += 1
    if comments and _is_commented_header(lines.lines[position - 1 : position + 1], delimiter):
        position -= 1
    return position, delimiter


def _is_commented_header(pair: list[str], delimiter: str | None) -> bool:
    """Whether the last line that begins with # is a header: as many cells as the next one, which holds values."""
    rows = list(_rows(pair, delimiter or _delimiter(pair)))
    if not pair[0].startswith("#") or len(rows) != 2 or len(rows[0]) != len(rows[1]) or len(rows[0]) == 1:
        return False
    return not pair[0].startswith("# ") or any(_NUMBER.fullmatch(cell.strip()) for cell in rows[1])


def _delimiter(lines: list[str]) -> str:
    """The candidate that gives all rows equally many cells, is frequent in the first one, and makes numbers."""
    header = re.sub(r'"[^"]*"', "", lines[0])

    def rank(candidate: str) -> tuple[bool, int, int]:
        rows = [row for row in _rows(lines, candidate) if row]
        widths = {len(row) for row in rows}
        numbers = sum(_NUMBER.fullmatch(cell) is not None for row in rows for cell in row)
        return len(widths) == 1 and widths != {1}, header.count(candidate), numbers

    return max(DELIMITERS, key=rank)


def _rows(lines: list[str], delimiter: str, most: int = 20) -> Iterator[list[str]]:
    """So many rows, or those before a cell of more than 131,072 characters."""
    try:
        yield from itertools.islice(csv.reader(lines, delimiter=delimiter), most)
    except csv.Error:
        return


def _first_row(lines: list[str], delimiter: str, number: int) -> tuple[list[str], int]:
    """The first row, which begins on the line of this number, and how many lines it takes."""
    reader = csv.reader([*lines, AFTER_THE_END], delimiter=delimiter)
    try:
        first = next(reader)
    except csv.Error as error:
        raise TooLargeDatasetError(
            f"A cell on line {number} is too long: {error}.",
            "Close its quote, or leave out columns of long texts.",
        ) from error
    if first[-1].endswith(AFTER_THE_END):
        raise open_quote(number)
    return first, reader.line_num


def open_quote(line: int) -> UnreadableFileError:
    """The refusal of a quote that is never closed, in the row that begins on this line."""
    return UnreadableFileError(
        f"A quoted cell in the row of line {line} is never closed.",
        "Close the quote, or remove it.",
        line=line,
    )


def _is_header(first: list[str], sample: list[list[str]], target: str | None) -> bool:
    """Whether the first line names the columns, instead of holding values like those below it."""
    cells = [cell.strip() for cell in first]
    below = [row for row in sample if len(row) == len(first)]
    if not below or (target is not None and target.strip() in cells):
        return True
    if len(cells) > 2 and cells == [str(index) for index in range(len(cells))]:
        return True  # what pandas writes for columns that were never named
    numbers = 0
    for index, cell in enumerate(cells):
        values = {row[index].strip() for row in below} - set(MISSING_MARKERS)
        if _NUMBER.fullmatch(cell):
            if not all(_NUMBER.fullmatch(value) for value in values):
                return True
            numbers += 1
        elif cell not in values and (cell == "" or cell not in MISSING_MARKERS):
            return True
    return numbers == 0


def _is_padded(sample: list[list[str]]) -> bool:
    """Whether a space follows every delimiter."""
    return bool(sample) and all(
        len(row) > 1 and all(cell.startswith(" ") for cell in row[1:]) for row in sample
    )
