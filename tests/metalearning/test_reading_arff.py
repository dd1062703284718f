"""ARFF, dense and sparse."""

import pyarrow as pa
import pytest

from app.errors import EmptyFileError, RaggedRowsError, UnreadableFileError

HEADER = b"@relation r\n@attribute n numeric\n@attribute c {low, high}\n@attribute s string\n@data\n"


def test_dense_file_reads(read):
    raw = read(
        b"% a comment, with 'quotes\n\n@RELATION 'my data'\n@ATTRIBUTE 'a b' REAL\n@attribute c {low,'very high', \"it's\"}\n"
        b"@attribute\ti INTEGER\n@attribute s string\n@Data\n% rows\n1.5, low ,3,'x, \\'y\\'\\\\'\n?, 'very high', ?, ?\n"
        b'\n-2e3,"it\'s",4,plain text\n'
    )
    assert raw.frame.to_pydict() == {
        "a b": [1.5, None, -2000.0],
        "c": ["low", "very high", "it's"],
        "i": [3, None, 4],
        "s": ["x, 'y'\\", None, "plain text"],
    }
    assert raw.frame["i"].type == pa.int64()
    assert raw.frame["c"].type.value_type == pa.string()
    assert (raw.format, raw.skipped_lines, raw.has_header, raw.encoding) == ("arff", 8, False, "utf-8")


def test_sparse_file_reads_with_zeros_and_first_values(read):
    raw = read(HEADER + b"{0 5, 1 high}\n{}\n{2 'a b',0 ?}\n{ 1 low , 2 \"}\" }\n")
    assert raw.format == "sparse_arff"
    assert raw.frame.to_pydict() == {
        "n": [5.0, 0.0, None, 0.0],
        "c": ["high", "low", "low", "low"],
        "s": [None, None, "a b", "}"],
    }


@pytest.mark.parametrize("rows", [b"1,low,'%d'\n", b"{0 1, 2 '%d'}\n"])
def test_batches_fit_together(read, monkeypatch, rows):
    monkeypatch.setattr("app.metalearning.reading.arff._BATCH_CELLS", 4)
    raw = read(HEADER + b"".join(rows % number for number in range(7)))
    assert raw.frame["s"].to_pylist() == list("0123456")
    assert raw.frame["c"].to_pylist() == ["low"] * 7


@pytest.mark.parametrize(
    ("declared", "cell", "value"),
    [
        (b"date", b"2020-01-31T23:59:58", "2020-01-31T23:59:58"),
        (b'date "yyyy-MM-dd HH:mm:ss"', b"'2020-01-31 23:59:58'", "2020-01-31T23:59:58"),
        (b"DATE 'dd.MM.yy'", b"31.01.20", "2020-01-31T00:00:00"),
        (b"date yyyyMMdd", b"20200131", "2020-01-31T00:00:00"),
        (
            b'date "yyyy-MM-dd HH:mm:ss.SSS"',
            b"'2020-01-31 00:00:00.250'",
            "2020-01-31T00:00:00.250000",
        ),
    ],
)
def test_dates_read_by_their_format(read, declared, cell, value):
    raw = read(b"@attribute d " + declared + b"\n@data\n" + cell + b"\n?\n")
    date, missing = raw.frame["d"].to_pylist()
    assert (date.isoformat(), missing) == (value, None)


@pytest.mark.parametrize(
    ("header", "fact"),
    [
        (b"@attribute x", "type ''"),
        (b"@attribute", "no name"),
        (b"@attribute x relational", "'relational'"),
        (b"@attribute x numeric {0.5}", "weights"),
        (b"@attribute x {a,b} {0.5}", "weights"),
        (b"@attribute x {a,b", "never closed"),
        (b"@attribute x {a,'b}", "never closed"),
        (b"@attribute x {'a'b}", "text behind"),
        (b"@attribute 'x numeric", "never closed"),
        (b'@attribute x date "EEE"', "EEE"),
        (b'@attribute x date "yyyy\'"', "never closed"),
        (b"x numeric", "'x'"),
        (b"'x numeric", "never closed"),
    ],
)
def test_header_line_that_is_not_understood_is_refused_with_its_number(read, header, fact):
    with pytest.raises(UnreadableFileError, match=f"Line 3 .*{fact}") as caught:
        read(b"% comment\n@relation r\n" + header + b"\n@data\n1\n")
    assert caught.value.evidence == {"line": 3}


@pytest.mark.parametrize(
    ("row", "fact"),
    [
        (b"x,low,a", "'x' is no value of attribute 'n'"),
        (b"1,middle,a", "'middle' is no value of attribute 'c'"),
        (b"1,low,'a", "never closed"),
        (b"1,low,'a'b", "text behind"),
        (b"1,low,a,{0.5}", "weights"),
        (b"{0 1}", "mixed"),
    ],
)
def test_row_that_does_not_fit_the_header_is_refused_with_its_number(read, row, fact):
    with pytest.raises(UnreadableFileError, match=fact) as caught:
        read(HEADER + b"1,low,a\n%\n\n" + row + b"\n2,low,b\n")
    assert caught.value.evidence == {"line": 9}


@pytest.mark.parametrize(
    "row",
    [
        b"{0 1",
        b"{0}",
        b"{3 1}",
        b"{-1 1}",
        b"{0 1,0 2}",
        b"{0 1 1 low}",
        b"{0 1}, {0.5}",
        b"{x 1}",
        b"{0 '1}",
        b"{'0 1}",
        b"{0 1,'0",
        b"1,low,a",
    ],
)
def test_sparse_row_that_is_broken_is_refused_with_its_number(read, row):
    with pytest.raises(UnreadableFileError) as caught:
        read(HEADER + b"{0 1}\n" + row + b"\n")
    assert caught.value.evidence == {"line": 7}


@pytest.mark.parametrize("row", [b"1,low", b"1,low,a,b"])
def test_ragged_row_is_refused_with_its_number(read, row):
    with pytest.raises(RaggedRowsError, match="Line 7 has") as caught:
        read(HEADER + b"1,low,a\n" + row + b"\n")
    assert caught.value.evidence == {"line": 7}


def test_file_without_attributes_or_data_is_refused(read):
    with pytest.raises(EmptyFileError):
        read(b"@relation r\n@data\n1\n")
    with pytest.raises(UnreadableFileError, match="@data"):
        read(b"@relation r\n@attribute x real\n")


def test_file_without_rows_is_an_empty_table(read):
    assert read(HEADER).frame.num_rows == 0


def test_whole_numbers_that_have_fractions_or_are_large_stay_exact_enough(read):
    raw = read(b"@attribute i integer\n@attribute j integer\n@data\n1,1\n2.5,99999999999999999999\n")
    assert raw.frame.to_pydict() == {"i": [1.0, 2.5], "j": [1.0, 1e20]}


@pytest.mark.parametrize("row", [b"{}\n", b"{0 1}\n"])
def test_sparse_bomb_is_refused_before_its_zeros_are_written(read, row):
    header = b"".join(b"@attribute x%d real\n" % index for index in range(100))
    with pytest.raises(Exception, match="bytes when decoded"):
        read(header + b"@data\n" + row * 1_000, decoded_bytes=100 * 1_000 * 8 - 1)
    assert read(header + b"@data\n" + row * 100, decoded_bytes=100 * 1_000 * 8).frame.num_rows == 100
