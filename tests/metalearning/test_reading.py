import gzip
import io

import pyarrow as pa
import pyarrow.parquet
import pytest

from app.errors import (
    EmptyFileError,
    RaggedRowsError,
    TooLargeDatasetError,
    UnreadableEncodingError,
    UnreadableFileError,
)
from app.metalearning.reading import MISSING_MARKERS

CSV = b"name,height\nann,1.5\nbob,2\n"
ROWS = {"name": ["ann", "bob"], "height": [1.5, 2.0]}


def as_parquet(frame: pa.Table, **options: object) -> bytes:
    sink = io.BytesIO()
    pa.parquet.write_table(frame, sink, **options)
    return sink.getvalue()


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiter_is_found_by_itself(read, delimiter):
    raw = read(CSV.replace(b",", delimiter.encode()))
    assert raw.delimiter == delimiter
    assert raw.frame.to_pydict() == ROWS


@pytest.mark.parametrize(
    ("content", "decimal", "numbers"),
    [
        (b"a;b\n1,5;x\n2,5;y\n", ",", [1.5, 2.5]),
        (b"a;b\n1.5;x\n2.5;y\n", ".", [1.5, 2.5]),
        (b"a;b\n1;x\n2;y\n", ".", [1, 2]),
        (b"a,b\n1.5,x\n2.5,y\n", ".", [1.5, 2.5]),
    ],
)
def test_decimal_comma_is_found_by_itself(read, content, decimal, numbers):
    raw = read(content)
    assert raw.decimal == decimal
    assert raw.frame["a"].to_pylist() == numbers


def test_delimiter_is_counted_outside_quotes(read):
    raw = read(b'"a,b,c,d";e\n1;2\n')
    assert (raw.delimiter, raw.frame.column_names) == (";", ["a,b,c,d", "e"])


@pytest.mark.parametrize("content", [CSV, as_parquet(pa.table(ROWS))], ids=["csv", "parquet"])
def test_gzipped_file_reads_like_the_plain_one(read, content):
    assert read(gzip.compress(content)).frame.equals(read(content).frame)
    assert read(content).frame.to_pydict() == ROWS


def test_all_members_of_a_gzip_file_are_read(read):
    raw = read(gzip.compress(CSV) + gzip.compress(b"cid,3\n"))
    assert raw.frame["name"].to_pylist() == ["ann", "bob", "cid"]


@pytest.mark.parametrize("lost", [1, 9, 20])
def test_truncated_gzip_file_is_refused(read, lost):
    with pytest.raises(UnreadableFileError, match="ends too early"):
        read(gzip.compress(CSV * 100)[:-lost])


def test_damaged_gzip_file_is_refused(read):
    content = bytearray(gzip.compress(CSV * 100))
    content[20] ^= 0xFF
    with pytest.raises(UnreadableFileError):
        read(bytes(content))


def test_gzip_bomb_is_refused_at_the_limit(read):
    bomb = gzip.compress(b"a,b\n" + b"1,2\n" * 100_000)
    for content in (bomb, gzip.compress(CSV) + bomb):
        with pytest.raises(TooLargeDatasetError, match="1,000 bytes"):
            read(content, decoded_bytes=1_000)


def test_damaged_parquet_is_refused(read):
    content = as_parquet(pa.table(ROWS))
    for damaged in (content[:-20], content[:4] + b"\0" * 40 + content[44:]):
        with pytest.raises(UnreadableFileError):
            read(damaged)


def test_parquet_is_counted_decoded_not_as_it_lies_on_disk(read):
    content = as_parquet(pa.table({"x": ["the same long string over and over" * 30] * 20_000}))
    assert len(content) < 20_000
    with pytest.raises(TooLargeDatasetError):
        read(content, decoded_bytes=1_000_000)


@pytest.mark.parametrize(
    "content", [as_parquet(pa.table({"x": [1] * 3, "y": [2] * 3})), b"x,y\n" + b"1,2\n" * 3]
)
def test_too_many_rows_or_columns_are_refused(read, content):
    assert read(content, rows=3, columns=2).frame.num_rows == 3
    for limits in ({"rows": 2}, {"columns": 1}):
        with pytest.raises(TooLargeDatasetError):
            read(content, **limits)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_encoding_is_found_by_itself(read, encoding):
    raw = read("stadt,größe\nköln,1\n".encode(encoding))
    assert raw.encoding == encoding.removesuffix("-sig")
    assert raw.frame.to_pydict() == {"stadt": ["köln"], "größe": [1]}


@pytest.mark.parametrize(
    "content",
    [
        bytes(range(256)) * 4,
        b"a,b\n\x811,\x8d\n",
    ],
    ids=["bytes", "no cp1252 character"],
)
def test_what_is_no_text_is_refused(read, content):
    with pytest.raises(UnreadableEncodingError):
        read(content)


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xef\xbb\xbf", b"\xff\xfe", gzip.compress(b"")])
def test_empty_file_is_refused(read, content):
    with pytest.raises(EmptyFileError):
        read(content)


def test_header_without_rows_is_an_empty_table(read):
    assert read(b"a,b\n").frame.num_rows == 0


@pytest.mark.parametrize("row", [b"5", b"5,6,7", b" , , "])
@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_ragged_row_is_refused_with_its_line_number(read, row, ending):
    with pytest.raises(RaggedRowsError, match="Line 4 has") as caught:
        read(ending.join([b"a,b", b"1,2", b"3,4", row, b"8,9", b""]))
    assert caught.value.evidence == {"line": 4}


@pytest.mark.parametrize("row", [b"", b'"one\ntwo",3'], ids=["empty line", "quoted newline"])
def test_line_number_is_the_one_that_an_editor_shows(read, row):
    content = b"\n".join([b"a,b", row, b"5,6,7", b""])
    with pytest.raises(RaggedRowsError) as caught:
        read(content)
    assert caught.value.evidence["line"] == content.splitlines().index(b"5,6,7") + 1


def test_quote_that_never_ends_is_refused(read):
    with pytest.raises(UnreadableFileError):
        read(b'a,b\n1,2\n3,"4\n5,6\n7,8\n')


def test_repeated_and_unnamed_columns_get_names_of_their_own(read):
    raw = read(b"a.2,x,a,a,, b \n1,2,3,4,5,6\n")
    assert raw.frame.column_names == ["a.2", "x", "a", "a.3", "column_5", "b"]
    assert raw.renamed_columns == ("a.3", "column_5", "b")
    assert [column[0].as_py() for column in raw.frame.columns] == [1, 2, 3, 4, 5, 6]


def test_quoted_cells_may_hold_newlines_and_delimiters(read):
    raw = read(b'a,b\n"one\ntwo, ""three""",1\nfour,2\n')
    assert raw.frame.to_pydict() == {"a": ['one\ntwo, "three"', "four"], "b": [1, 2]}


def test_missing_markers_are_missing_in_columns_of_every_type(read):
    lines = "".join(f'"{marker}",{marker},{marker}\n' for marker in MISSING_MARKERS)
    raw = read(f"text,number,flag\n{lines}none,-1,true\n".encode())
    missing = [None] * len(MISSING_MARKERS)
    assert raw.frame.to_pydict() == {
        "text": [*missing, "none"],
        "number": [*missing, -1],
        "flag": [*missing, True],
    }


def test_column_types_come_from_the_whole_file(read):
    lines = "1,1\n" * 400_000 + "1.5,x\n"
    raw = read(("a,b\n" + lines).encode())
    assert [str(kind) for kind in raw.frame.schema.types] == ["double", "string"]
