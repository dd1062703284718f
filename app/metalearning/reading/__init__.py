"""Read an uploaded file exactly, or refuse it with the reason: bytes in, an Arrow table out.

The content decides what a file is, never its name, and everything that had to be guessed is told.
"""

from collections.abc import Collection
from pathlib import Path

from app.errors import EmptyFileError
from app.metalearning.reading.arff import read_arff
from app.metalearning.reading.compression import decompress
from app.metalearning.reading.delimited import read_delimited
from app.metalearning.reading.formats import Format, is_parquet, recognise, refuse_foreign
from app.metalearning.reading.jsonlines import read_json_lines
from app.metalearning.reading.limits import ReadingLimits
from app.metalearning.reading.parquet import read_parquet
from app.metalearning.reading.rawtable import MISSING_MARKERS, RawTable
from app.metalearning.reading.text import as_utf8

__all__ = ["MISSING_MARKERS", "RawTable", "ReadingLimits", "read_file"]


def read_file(
    path: Path,
    limits: ReadingLimits | None = None,
    target: str | None = None,
    *,
    decimal: str | None = None,
    texts: Collection[str] = (),
) -> RawTable:
    """Read a CSV, TSV, Parquet, ARFF or JSON lines file, as it is or compressed by gzip or zstd.

    Args:
        path: the file; its name means nothing.
        limits: what it may hold.
        target: a column's name that is expected; a first line that has it is a header.
        decimal: the decimal mark of numbers in CSV; found by itself unless given.
        texts: names of columns of CSV that stay the strings that they are, whatever these look like.

    Raises: EmptyFileError, UnreadableFileError, UnreadableEncodingError, RaggedRowsError, UnsupportedColumnError,
        TooLargeDatasetError.
    """
    limits = limits or ReadingLimits()
    content, compression = decompress(path.read_bytes(), limits)
    refuse_foreign(content)
    if is_parquet(content):
        return read_parquet(content, compression, limits)
    content, encoding = as_utf8(content)
    if not content or content.isspace():
        raise EmptyFileError(
            "The file holds no data.", "Send a file with a header line and at least 20 rows."
        )
    found = recognise(content)
    if found is Format.ARFF:
        raw = read_arff(content, limits)
    elif found is Format.JSON_LINES:
        raw = read_json_lines(content, limits)
    else:
        raw = read_delimited(content, limits, target, decimal, texts)
    return raw.found_in(compression, encoding)
