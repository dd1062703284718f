"""The content decides what a file is; what is known and not read is refused by its name."""

import gzip
import io
import pickle
import zipfile

import pyarrow as pa
import pyarrow.parquet
import pytest

from app.errors import (
    TooLargeDatasetError,
    UnreadableEncodingError,
    UnreadableFileError,
    UnsupportedColumnError,
)

CSV = b"a,b\n1,x\n2,y\n"


def zipped(name: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(name, "x")
    return packed.getvalue()


def as_parquet(frame: pa.Table, **options: object) -> bytes:
    sink = io.BytesIO()
    pa.parquet.write_table(frame, sink, **options)
    return sink.getvalue()


def zstd(content: bytes) -> bytes:
    return pa.compress(content, "zstd", asbytes=True)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (zipped("xl/workbook.xml"), "XLSX"),
        (zipped("table.csv"), "ZIP"),
        (zipped("a.npy"), "NumPy archive"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99), "XLS"),
        (b"\x89HDF\r\n\x1a\n" + bytes(99), "HDF5"),
        (b"SQLite format 3\x00" + bytes(99), "SQLite"),
        (b"ARROW1\0\0" + bytes(99), "Feather"),
        (b"ORC\n\x01" + bytes(99), "ORC"),
        (b"BZh91AY&SY" + bytes(99), "bzip2"),
        (b"%PDF-1.7\n", "PDF"),
        (b"PAREabcd", "encrypted Parquet"),
        (bytes(257) + b"ustar\x0000" + bytes(99), "tar"),
        (b"\n<!DOCTYPE html><html></html>", "HTML"),
        (b'[{"a": 1}]', "JSON array"),
        (b"[\n{", "JSON array"),
        *((pickle.dumps({"a": 1}, protocol), "pickle") for protocol in range(2, 6)),
    ],
)
def test_known_format_that_is_not_read_is_named(read, content, name):
    for packed in (content, gzip.compress(content)):
        with pytest.raises(UnreadableFileError, match=name) as caught:
            read(packed)
        assert caught.value.advice


def test_pickle_is_not_opened(read, tmp_path):
    class Canary:
        def __reduce__(self):
            return (open, (str(tmp_path / "opened"), "w"))

    with pytest.raises(UnreadableFileError, match="pickle"):
        read(pickle.dumps(Canary()))
    assert not (tmp_path / "opened").exists()


def test_header_that_begins_like_a_binary_format_is_text(read):
    assert read(b"ORC,b\n1,2\n").frame.column_names == ["ORC", "b"]


@pytest.mark.parametrize("compress", [gzip.compress, zstd])
def test_compression_is_undone_and_told(read, compress):
    raw = read(compress(CSV))
    assert raw.compression == {gzip.compress: "gzip", zstd: "zstd"}[compress]
    assert raw.frame.equals(read(CSV).frame)
    assert read(compress(as_parquet(raw.frame))).compression == raw.compression
    assert read(CSV).compression is None


@pytest.mark.parametrize("compress", [gzip.compress, zstd])
def test_frames_follow_one_another(read, compress):
    assert read(compress(CSV) + compress(b"") + compress(b"3,z\n")).frame["a"].to_pylist() == [1, 2, 3]


@pytest.mark.parametrize("compress", [gzip.compress, zstd])
def test_compressed_file_cut_anywhere_is_refused(read, compress):
    whole, second = compress(CSV * 20), compress(CSV)
    for length in range(4, len(whole)):
        with pytest.raises(UnreadableFileError, match="ends too early"):
            read(whole[:length])
    for length in range(1, len(second)):
        with pytest.raises(UnreadableFileError):
            read(whole + second[:length])


@pytest.mark.parametrize("compress", [gzip.compress, zstd])
def test_damaged_or_doubly_compressed_file_is_refused(read, compress):
    with pytest.raises(UnreadableFileError):
        read(compress(CSV) + b"garbage")
    for again in (gzip.compress, zstd):
        with pytest.raises(UnreadableFileError, match="twice"):
            read(again(compress(CSV)))


def test_zeros_behind_a_gzip_member_are_padding(read):
    assert read(gzip.compress(CSV) + bytes(512)).frame.num_rows == 2


@pytest.mark.parametrize(
    ("limit", "content", "most"),
    [
        ("rows", b"x,y\n" + b"1,2\n" * 9, 9),
        ("rows", b"@attribute x numeric\n@data\n" + b"1\n" * 9, 9),
        ("rows", b"@attribute x numeric\n@data\n" + b"{}\n" * 9, 9),
        ("rows", b'{"x": 1}\n' * 9, 9),
        ("rows", as_parquet(pa.table({"x": [1] * 9})), 9),
        ("columns", b"x,y,z\n1,2,3\n", 3),
        ("columns", b"@attribute x real\n@attribute y real\n@data\n1,2\n", 2),
        ("columns", b'{"x": 1}\n{"y": 1}\n{"z": 1}\n', 3),
        ("columns", as_parquet(pa.table({"x": [1], "y": [2]})), 2),
        ("first_line_bytes", b"xyz,\xc3\xa4bc\n1,2\n", 8),
        ("first_line_bytes", b'"x\nz",abc\n1,2\n', 9),
        ("first_line_bytes", b"@attribute x real\n@data\n1\n", 17),
        ("cell_bytes", b"x,y\nabc\xc3\xa4,1\n", 5),
        ("cell_bytes", b"@attribute x string\n@data\nabc\xc3\xa4\n", 5),
        ("cell_bytes", b'{"x": "abc\xc3\xa4"}\n', 5),
        ("cell_bytes", as_parquet(pa.table({"x": ["abcde", "a"]})), 5),
        ("cell_bytes", as_parquet(pa.table({"x": [b"abcde"]}, pa.schema([("x", pa.binary(5))]))), 5),
        ("decoded_bytes", b"abcd,e\n" + b"1234,5\n", 16),  # two rows of numbers take eight bytes each
        ("decoded_bytes", gzip.compress(b"abcde\n" + b"12345\n" * 20), 160),
        ("decoded_bytes", zstd(b"abcde\n" + b"12345\n" * 20), 160),
        ("decoded_bytes", b"@attribute x real\n@data\n" + b"1\n" * 25, 204),
        ("decoded_bytes", b'{"x": 12345678}\n' * 2, 32),
        ("decoded_bytes", as_parquet(pa.table({"x": [1] * 1000})), 8125),
        ("decoded_bytes", as_parquet(pa.table({"x": ["abcdef"] * 1000})), 10_000),
        ("members", gzip.compress(CSV) + gzip.compress(b"3,z\n"), 2),
    ],
)
def test_every_limit_holds_at_one_more_and_not_at_itself(read, limit, content, most):
    if limit == "decoded_bytes" and len(content) > most:
        most = len(content)  # what is not compressed is counted as it comes
    assert read(content, **{limit: most}).frame.num_rows > 0
    with pytest.raises((TooLargeDatasetError, UnreadableFileError), match=r"more than|longer than|too wide"):
        read(content, **{limit: most - 1})


@pytest.mark.parametrize("compress", [gzip.compress, zstd])
def test_ratio_counts_above_the_floor_only(read, compress):
    plain = b"abc\n" + b"1\n" * 5_000
    packed = compress(plain)
    ratio = -(-len(plain) // len(packed))
    assert read(packed, ratio=ratio, ratio_floor_bytes=0).frame.num_rows == 5_000
    assert read(packed, ratio=1, ratio_floor_bytes=len(plain)).frame.num_rows == 5_000
    for limits in (
        {"ratio": ratio - 1, "ratio_floor_bytes": 0},
        {"ratio": 1, "ratio_floor_bytes": len(plain) - 1},
    ):
        with pytest.raises(TooLargeDatasetError, match="times its size"):
            read(packed, **limits)


def test_dictionary_bomb_is_counted_before_it_is_decoded(read):
    same = pa.DictionaryArray.from_arrays(pa.array([0] * 100_000), ["x" * 90_000])
    content = as_parquet(pa.table({"x": same}))  # nine gigabytes
    assert len(content) < 100_000
    with pytest.raises(TooLargeDatasetError, match="bytes when decoded"):
        read(content)


def test_strings_and_categories_of_parquet_come_as_strings(read):
    values = ["a", None, "b", "a"]
    frame = pa.table(
        {"s": values, "c": pa.array(values).dictionary_encode(), "v": pa.array(values, pa.string_view())}
    )
    for rows in (2, 100):
        raw = read(as_parquet(frame, row_group_size=rows))
        assert [column.to_pylist() for column in raw.frame.columns] == [values] * 3
        assert raw.frame.schema.types[:2] == [pa.string()] * 2
    assert read(as_parquet(frame.slice(0, 0))).frame.num_rows == 0


def test_parquet_strings_that_are_no_text_are_refused(read):
    broken = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.array([0, 2], pa.int32()).buffers()[1], pa.py_buffer(b"\xff\xfe")]
    )
    with pytest.raises(UnreadableFileError, match="UTF8"):
        read(as_parquet(pa.table({"x": broken})))


@pytest.mark.parametrize(
    ("content", "error", "line"),
    [
        (b'{"a": 1}\n\n{"a": 1\n', UnreadableFileError, 3),
        (b'{"a": 1}\n[1]\n', UnreadableFileError, 2),
        (b'{"a": 1}\n7\n', UnreadableFileError, 2),
        (b'{"a": 1, "a": 2}\n', UnreadableFileError, 1),
        (b'{"a": 1}\n{"a": null}\n{"a": "x"}\n', UnreadableFileError, 3),
        (b'{"a": 1}\n{"a": true}\n', UnreadableFileError, 2),
        (b'{"a": 1}\n{"a": [1]}\n', UnsupportedColumnError, 2),
        (b'{"a": {"b": 1}}\n', UnsupportedColumnError, 1),
        (b'{"a": 1}\n{"a": ' + b"[" * 100_000 + b"\n", UnsupportedColumnError, 2),
        (b'{"a": 1}\n{"a": 1}{"a": 2}\n', UnreadableFileError, 2),
    ],
)
def test_json_line_that_is_no_flat_row_is_refused_with_its_number(read, content, error, line):
    with pytest.raises(error, match=f"Line {line} ") as caught:
        read(content)
    assert caught.value.evidence == {"line": line}


def test_json_lines_read_with_one_type_per_column(read):
    raw = read(
        b'{"n": 1, "f": 1, "s": "007", "b": true}\n{"f": 2.5, "n": null, "z": null}\r\n'
        b'{"s": "?", "n": 12345678901234567890123, "late": NaN}\n'
    )
    assert raw.format == "json_lines"
    frame = raw.frame
    assert frame.column_names == ["n", "f", "s", "b", "z", "late"]
    assert frame["n"].to_pylist() == [1.0, None, 12345678901234567890123.0]
    assert frame["f"].to_pylist() == [1.0, 2.5, None]
    assert frame["s"].to_pylist() == ["007", None, "?"]
    assert frame["b"].to_pylist() == [True, None, None]
    assert [str(kind) for kind in frame.schema.types] == [
        "double",
        "double",
        "string",
        "bool",
        "null",
        "double",
    ]


def test_whole_numbers_of_json_stay_whole(read):
    assert str(read(b'{"n": 1}\n{"n": -2}\n').frame.schema.types[0]) == "int64"


def test_half_a_character_is_refused(read):
    for content in (b'{"a": "\\ud800"}\n', b'{"\\ud800": "a"}\n'):
        with pytest.raises(UnreadableEncodingError):
            read(content)


def test_batches_of_json_lines_fit_together(read, monkeypatch):
    monkeypatch.setattr("app.metalearning.reading.jsonlines._BATCH_CELLS", 2)
    rows = [b'{"a": 1}', b'{"b": "x"}', b'{"a": 2.5}', b'{"b": "y", "c": true}', b'{"a": 3}']
    assert read(b"\n".join(rows)).frame.to_pydict() == {
        "a": [1.0, None, 2.5, None, 3.0],
        "b": [None, "x", None, "y", None],
        "c": [None, None, None, True, None],
    }
