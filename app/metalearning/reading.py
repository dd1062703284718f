"""Read an uploaded file exactly, or refuse it with the reason: bytes in, an Arrow table out."""

import csv
import io
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from app.errors import (
    EmptyFileError,
    RaggedRowsError,
    TooLargeDatasetError,
    UnreadableEncodingError,
    UnreadableFileError,
)

MISSING_MARKERS = ("", "?", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "null", "None")
_MOST_GZIP_MEMBERS = 1_000
DELIMITERS = (",", ";", "\t", "|")


@dataclass(frozen=True)
class ReadingLimits:
    """What a file may hold, checked while decoding because headers and extensions lie."""

    decoded_bytes: int = 1 << 30
    rows: int = 5_000_000
    columns: int = 10_000


@dataclass(frozen=True)
class RawTable:
    """A file's cells as read, with what had to be guessed on the way (format, encoding, delimiter)."""

    frame: pa.Table
    format: str
    encoding: str | None
    delimiter: str | None
    decimal: str
    renamed_columns: tuple[str, ...]


def read_file(path: Path, limits: ReadingLimits | None = None) -> RawTable:
    """Read a CSV, TSV or Parquet file, gzipped or not; the content decides, never the name.

    Raises: EmptyFileError, UnreadableFileError, UnreadableEncodingError, RaggedRowsError, TooLargeDatasetError.
    """
    limits = limits or ReadingLimits()
    content = path.read_bytes()
    if content[:2] == b"\x1f\x8b":
        content = _gunzip(content, limits.decoded_bytes)
    if not content.strip():
        raise EmptyFileError(
            "The file holds no data.", "Send a file with a header line and at least 20 rows."
        )
    if content[:4] == b"PAR1":
        return _read_parquet(content, limits)
    return _read_csv(content, limits)


def _gunzip(content: bytes, most_bytes: int) -> bytes:
    """Decompress at most `most_bytes`, so that a small file cannot fill the memory."""
    decoded, rest, members = bytearray(), content, 0
    try:
        while rest:  # a gzip file may hold several members one after another
            member = zlib.decompressobj(wbits=31)
            decoded += member.decompress(rest, most_bytes - len(decoded) + 1)
            if len(decoded) > most_bytes:
                raise TooLargeDatasetError(
                    f"The file decompresses to more than {most_bytes:,} bytes.", "Send a sample of the rows."
                )
            if not member.eof:
                raise UnreadableFileError(
                    "The gzip file ends too early.", "Compress and send the file again."
                )
            rest, members = member.unused_data.lstrip(b"\x00"), members + 1
            if members > _MOST_GZIP_MEMBERS:
                raise UnreadableFileError("The gzip file has too many members.", "Compress it as one.")
    except zlib.error as error:
        raise UnreadableFileError(
            f"The gzip file is damaged: {error}.", "Compress and send the file again."
        ) from error
    return bytes(decoded)


def _read_parquet(content: bytes, limits: ReadingLimits) -> RawTable:
    try:
        file = pa.parquet.ParquetFile(pa.BufferReader(content))
        _check_shape(file.metadata.num_rows, file.metadata.num_columns, limits)
        batches, rows, size = [], 0, 0
        for batch in file.iter_batches():  # the footer's counts can lie, so count while decoding
            rows, size = rows + batch.num_rows, size + batch.nbytes
            _check_shape(rows, batch.num_columns, limits)
            _check_size(size, limits)
            batches.append(batch)
        frame = pa.Table.from_batches(batches, schema=file.schema_arrow)
        frame.validate(full=True)  # strings that are no UTF-8, among others
    except (pa.ArrowException, OSError) as error:
        raise UnreadableFileError(
            f"The Parquet file is damaged: {_first_line(error)}.", "Write the file again and send it."
        ) from error
    frame, renamed = _with_distinct_names(frame)
    return RawTable(frame, "parquet", None, None, ".", renamed)


def _read_csv(content: bytes, limits: ReadingLimits) -> RawTable:
    _check_size(len(content), limits)
    text, encoding = _decode(content)
    delimiter = _sniff_delimiter(text)
    _check_quotes(text, delimiter)
    n_columns = text.split("\n", 1)[0].count(delimiter) + 1
    _check_shape(0, n_columns, limits)
    frame, decimal = _parse_csv(text.encode(), delimiter, "."), "."
    if delimiter == ";":
        # Where semicolons part the cells, decimals are often written with a comma: what reads more numbers is right.
        with_commas = _parse_csv(text.encode(), delimiter, ",")
        if _count_floats(with_commas) > _count_floats(frame):
            frame, decimal = with_commas, ","
    _check_shape(frame.num_rows, frame.num_columns, limits)
    frame, renamed = _with_distinct_names(frame)
    return RawTable(frame, "csv", encoding, delimiter, decimal, renamed)


def _parse_csv(encoded: bytes, delimiter: str, decimal: str) -> pa.Table:
    try:
        return pa.csv.read_csv(
            pa.BufferReader(encoded),
            # One block: column types are then inferred from the whole file, not from its first megabyte.
            read_options=pa.csv.ReadOptions(use_threads=False, block_size=len(encoded) + 1),
            parse_options=pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=pa.csv.ConvertOptions(
                null_values=list(MISSING_MARKERS),
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
                decimal_point=decimal,
            ),
        )
    except pa.ArrowInvalid as error:
        raise _as_reading_error(error) from error


def _count_floats(frame: pa.Table) -> int:
    return sum(pa.types.is_floating(kind) for kind in frame.schema.types)


def _as_reading_error(error: pa.ArrowInvalid) -> Exception:
    ragged = re.search(r"Row #(\d+): Expected (\d+) columns, got (\d+)", str(error))
    if ragged:
        line, expected, found = map(int, ragged.groups())
        return RaggedRowsError(
            f"Line {line} has {found} cells, the header has {expected}.",
            "Quote cells that hold the delimiter, or complete the row.",
            line=line,
        )
    if "Empty CSV" in str(error):
        return EmptyFileError("The file holds no rows.", "Send a header line and at least 20 rows.")
    return UnreadableFileError(
        f"The file is no readable CSV: {_first_line(error)}.", "Send UTF-8 CSV, TSV or Parquet."
    )


def _decode(content: bytes) -> tuple[str, str]:
    """Text and the name of its encoding: UTF-8, UTF-16 with a byte-order mark, or Windows-1252."""
    advice = "Save the file as UTF-8 and send it again."
    has_utf16_mark = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    candidates = ["utf-16"] if has_utf16_mark else ["utf-8-sig", "cp1252"]
    for encoding in candidates:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if _holds_control_characters(text):
            break
        return text, encoding.removesuffix("-sig")
    raise UnreadableEncodingError("The file is no text in UTF-8, UTF-16 or Windows-1252.", advice)


def _holds_control_characters(text: str) -> bool:
    """Whether characters occur that no table of text holds: a sign of binary data or a wrong guess."""
    return re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", text) is not None


def _check_quotes(text: str, delimiter: str) -> None:
    """Refuse a quote that is never closed: pyarrow would take the rest of the file for one cell."""
    if text.count('"') % 2 == 0:
        return
    try:
        for _ in csv.reader(io.StringIO(text), delimiter=delimiter, strict=True):
            pass
    except csv.Error as error:
        if "unexpected end of data" in str(error):
            raise UnreadableFileError(
                "A quoted cell is never closed.", "Close the quote, or remove it."
            ) from error


def _sniff_delimiter(text: str) -> str:
    """The candidate that is most frequent in the header, outside quotes."""
    header = re.sub(r'"[^"]*"', "", text.lstrip().split("\n", 1)[0])
    return max(DELIMITERS, key=header.count)


def _with_distinct_names(frame: pa.Table) -> tuple[pa.Table, tuple[str, ...]]:
    """Give unnamed and repeated columns names of their own; return which ones were renamed."""
    taken: set[str] = set()
    names, renamed = [], []
    for index, original in enumerate(frame.column_names, start=1):
        if "\x00" in original:
            raise UnreadableEncodingError("A column's name holds the character NUL.", "Rename the column.")
        base = original.strip() or f"column_{index}"
        name, copy = base, 2
        while name in taken:
            name, copy = f"{base}.{copy}", copy + 1
        taken.add(name)
        names.append(name)
        if name != original:
            renamed.append(name)
    return frame.rename_columns(names), tuple(renamed)


def _check_shape(rows: int, columns: int, limits: ReadingLimits) -> None:
    if rows > limits.rows or columns > limits.columns:
        raise TooLargeDatasetError(
            f"The table has more than {limits.rows:,} rows or {limits.columns:,} columns.",
            "Send a sample of the rows, or fewer columns.",
        )


def _check_size(size: int, limits: ReadingLimits) -> None:
    if size > limits.decoded_bytes:
        raise TooLargeDatasetError(
            f"The table takes more than {limits.decoded_bytes:,} bytes.", "Send a sample of the rows."
        )


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0][:300]
