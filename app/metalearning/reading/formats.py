"""What a file is, by its first bytes: a format that is read, or one that is refused by its name."""

import re
from enum import StrEnum

from app.errors import UnreadableFileError


class Format(StrEnum):
    """The formats that are read."""

    CSV = "csv"
    PARQUET = "parquet"
    ARFF = "arff"
    SPARSE_ARFF = "sparse_arff"
    JSON_LINES = "json_lines"


_CSV = "Save the table as CSV (UTF-8) or Parquet and send that."
_UNPACK = "Unpack it, and send the table itself or compress it by gzip or zstd."
_ARROW = "Write it as Parquet: pyarrow.parquet.write_table, or DataFrame.to_parquet."
_PICKLE = "Pickles are never opened, since they can run code. Write DataFrame.to_parquet and send that."
# First bytes, name, what to send instead.
_FOREIGN = (
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook (XLS)", _CSV),
    (b"\x89HDF\r\n\x1a\n", "HDF5", _CSV),
    (b"SQLite format 3\x00", "a SQLite database", "Export the table as CSV and send that."),
    (b"PARE", "encrypted Parquet", "Write it without encryption."),
    (b"ARROW1", "Arrow IPC (Feather)", _ARROW),
    (b"FEA1", "Feather", _ARROW),
    (b"ORC", "ORC", _ARROW),
    (b"Obj\x01", "Avro", _ARROW),
    (b"\x93NUMPY", "a NumPy array", _CSV),
    (b"RDX", "R data", _CSV),
    (b"RDA", "R data", _CSV),
    (b"<stata_dta>", "Stata", _CSV),
    (b"$FL2", "SPSS", _CSV),
    (b"$FL3", "SPSS", _CSV),
    (b"MATLAB 5.0", "MATLAB", _CSV),
    (b"BZh", "bzip2", _UNPACK),
    (b"\xfd7zXZ\x00", "xz", _UNPACK),
    (b"\x04\x22\x4d\x18", "lz4", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (b"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    (b"\x1f\x9d", "compress (.Z)", _UNPACK),
    (b"%PDF-", "PDF", _CSV),
    (b"\x89PNG", "an image", _CSV),
    (b"\xff\xd8\xff", "an image", _CSV),
    (b"GIF8", "an image", _CSV),
    (b"\x7fELF", "a program", _CSV),
    *((bytes([0x80, protocol]), "a Python pickle", _PICKLE) for protocol in range(2, 6)),
)
_ZIPS = (
    (b"xl/", "an Excel workbook (XLSX)"),
    (b"[Content_Types].xml", "an Excel workbook (XLSX)"),
    (b"opendocument", "an OpenDocument spreadsheet"),
    (b".npy", "a NumPy archive"),
)


def refuse_foreign(content: bytes) -> None:
    """Refuse what is recognised and not read. Raises: UnreadableFileError."""
    if content[:4] in (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"):
        found = next((name for mark, name in _ZIPS if mark in content[:4096]), None)
        raise _foreign(found or "a ZIP archive", _CSV if found else _UNPACK)
    for mark, name, advice in _FOREIGN:
        # "ORC" or "RDX" may begin a header line too; what is no text has bytes below the space near its start.
        if content.startswith(mark) and (len(mark) > 3 or mark == b"BZh" or _is_binary(content[:64])):
            raise _foreign(name, advice)
    if content[257:262] == b"ustar":
        raise _foreign("a tar archive", _UNPACK)
    start = content[:1024].lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise _foreign("HTML or XML", "Download the table itself and send that.")


def is_parquet(content: bytes) -> bool:
    """Whether it begins as Parquet does."""
    return content.startswith(b"PAR1")


def recognise(content: bytes) -> Format:
    """The format of a text in UTF-8; what is nothing else is taken for CSV. Raises: UnreadableFileError."""
    for line in re.finditer(rb"[^\r\n]+", content):
        start = line[0][:64].strip().lower()
        if not start or start[:1] == b"%":
            continue
        if start.startswith((b"@relation", b"@attribute", b"@data")):
            return Format.ARFF
        if start[:1] == b"{":
            return Format.JSON_LINES
        if start[:1] == b"[" and (start[1:].lstrip()[:1] in (b"{", b"") or start[:2] == b"[["):
            raise _foreign(
                "one JSON array", 'Send JSON lines: DataFrame.to_json(orient="records", lines=True).'
            )
        break
    return Format.CSV


def _is_binary(start: bytes) -> bool:
    return any(byte < 9 or byte > 126 for byte in start)


def _foreign(name: str, advice: str) -> UnreadableFileError:
    return UnreadableFileError(f"The file is {name}, which is not read.", advice)
