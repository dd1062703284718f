"""Tables as spreadsheets, R, pandas and instruments write them."""

import pytest

from app.errors import EmptyFileError, RaggedRowsError, UnreadableFileError

CSV = b"a,b\n1,x\n2,y\n"
DATA = {"a": [1, 2], "b": ["x", "y"]}


@pytest.mark.parametrize(
    ("content", "skipped"),
    [
        (CSV, 0),
        (CSV.replace(b"\n", b"\r"), 0),
        (CSV.replace(b"\n", b"\r\n"), 0),
        (b"\xef\xbb\xbf" + CSV, 0),
        (b"\n\r\n" + CSV, 2),
        (CSV + b"\n\n\r\n", 0),
        (CSV.replace(b"\n", b"\n\n"), 0),
        (CSV.replace(b"\n", b"\n  \t\n") + b" ", 0),
        (CSV[:-1], 0),
        (b"sep=,\n" + CSV, 1),
        (b"# by an instrument\n# at noon, in the sun\n" + CSV, 2),
        (b"# don't\n\n" + CSV, 2),
    ],
)
def test_lines_around_the_table_are_no_part_of_it(read, content, skipped):
    raw = read(content)
    assert raw.frame.to_pydict() == DATA
    assert (raw.skipped_lines, raw.has_header) == (skipped, True)


def test_header_may_begin_like_a_comment(read):
    raw = read(b"# comment\n#id,b\n1,x\n")
    assert raw.frame.to_pydict() == {"#id": [1], "b": ["x"]}
    assert raw.skipped_lines == 1


def test_file_of_comments_is_empty(read):
    with pytest.raises(EmptyFileError):
        read(b"# one\n# two\n\n")


def test_line_that_names_the_delimiter_is_believed(read):
    raw = read(b"sep=;\na,b;c\n1,5;2\n")
    assert (raw.delimiter, raw.frame.column_names) == (";", ["a,b", "c"])


def test_german_spreadsheet_reads_as_numbers(read):
    raw = read("Größe;Preis;Ort\r\n1,5;1.234,50;Köln\r\n2,25;12.345.678,00;\r\n;;\r\n".encode("cp1252"))
    assert (raw.encoding, raw.delimiter, raw.decimal, raw.thousands) == ("cp1252", ";", ",", ".")
    assert raw.frame.to_pydict() == {
        "Größe": [1.5, 2.25, None],
        "Preis": [1234.5, 12345678.0, None],
        "Ort": ["Köln", None, None],
    }


def test_unicode_text_of_a_spreadsheet_reads(read):
    raw = read('a\tb\r\n"1,5"\t"x\ty"\r\n2\tz\r\n'.encode("utf-16"))
    assert (raw.encoding, raw.delimiter, raw.decimal) == ("utf-16", "\t", ",")
    assert raw.frame.to_pydict() == {"a": [1.5, 2.0], "b": ["x\ty", "z"]}


@pytest.mark.parametrize(
    ("content", "decimal", "thousands", "numbers"),
    [
        (b'a,b\n"1,234",x\n"12,345,678.5",y\n7,z\n', ".", ",", [1234.0, 12345678.5, 7.0]),
        (b'a,b\n"1,23",x\n"4,5",y\n', ",", None, [1.23, 4.5]),
        (b'a,b\n"1,234",x\n"5,678",y\n', ".", ",", [1234.0, 5678.0]),
        (b"a;b\n1,234;x\n5,678;y\n", ",", None, [1.234, 5.678]),
        (b"a;b\n1.234;x\n5.678;y\n", ".", None, [1.234, 5.678]),
        (b"a;b\n1.234.567;x\n;y\n-5;z\n", ",", ".", [1234567.0, None, -5.0]),
        (b'a,b\n"1,23",x\n"1,2,3",y\n', ".", None, ["1,23", "1,2,3"]),
        (b'a,b\n"1,2345",x\n"1,234",y\n', ",", None, [1.2345, 1.234]),
        (b"a|b\n0,123|x\n0,456|y\n", ",", None, [0.123, 0.456]),
        (b"a,b\n192.168.100.200,x\n10.0.0.1,y\n", ".", None, ["192.168.100.200", "10.0.0.1"]),
    ],
)
def test_marks_inside_of_numbers_are_found(read, content, decimal, thousands, numbers):
    raw = read(content)
    assert raw.frame["a"].to_pylist() == numbers
    assert (raw.decimal, raw.thousands) == (decimal, thousands)


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (b"5.1,3.5\n4.9,3.0\n", None),
        (b"5.1,3.5,setosa\n4.9,3.0,setosa\n", None),
        (b"5.1,?,setosa\n4.9,3.0,setosa\n", None),
        (b"1,5;2\n2,5;3\n", None),
        (b"5.1,3.5,new\n4.9,3.0,setosa\n", ["5.1", "3.5", "new"]),
        (b"country,2001,2002\nFR,1,2\n", ["country", "2001", "2002"]),
        (b"0,1,2\n5,6,7\n", ["0", "1", "2"]),
        (b",0,1\n0,6,7\n1,8,9\n", ["column_1", "0", "1"]),
        (b"x,x,y\nx,x,y\n", ["x", "x.2", "y"]),
        (b"7,8\nlow,9\n", ["7", "8"]),
        (b"7,8\n", ["7", "8"]),
        (b"a,b\n1,2\n", ["a", "b"]),
    ],
)
def test_first_line_is_data_where_it_looks_like_the_lines_below(read, content, names):
    raw = read(content)
    assert raw.has_header == (names is not None)
    width = raw.frame.num_columns
    assert raw.frame.column_names == (names or [f"column_{index}" for index in range(1, width + 1)])
    assert raw.frame.num_rows == content.count(b"\n") - raw.has_header
    assert raw.renamed_columns == tuple(set(names or ()) & {"column_1", "x.2"})


def test_first_line_with_the_target_in_it_is_a_header(read):
    content = b"2001,2002\n1,2\n3,4\n"
    assert read(content, target=" 2002 ").frame.to_pydict() == {"2001": [1, 3], "2002": [2, 4]}
    assert read(content, target="2003").frame.num_rows == 3


def test_index_column_and_trailing_delimiters_get_names(read):
    raw = read(b",a,b,\n1,2,3,\n2,4,5,\n")
    assert raw.frame.column_names == ["column_1", "a", "b", "column_4"]
    assert raw.renamed_columns == ("column_1", "column_4")
    assert raw.frame["column_4"].null_count == 2


@pytest.mark.parametrize("row", [b"1,2,", b"row1,1,2"], ids=["trailing delimiter", "row names of R"])
def test_rows_longer_than_the_header_are_never_shifted(read, row):
    with pytest.raises(RaggedRowsError, match="Line 2 has 3 cells, the header has 2"):
        read(b"a,b\n" + row + b"\n" + row + b"\n")


def test_quoted_newline_in_the_header_belongs_to_the_name(read):
    raw = read(b'"weight\n(kg)",b\n1,x\n2,y\n')
    assert raw.frame.to_pydict() == {"weight\n(kg)": [1, 2], "b": ["x", "y"]}
    with pytest.raises(RaggedRowsError) as caught:
        read(b'"weight\n(kg)",b\n1,x\n2\n')
    assert caught.value.evidence == {"line": 4}


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"])
def test_lines_are_counted_as_an_editor_does_whatever_ends_them(read, ending):
    with pytest.raises(RaggedRowsError) as caught:
        read(ending.join([b"# made by hand", b"", b"a,b", b"", b'"1', b'2",3', b"4", b"5,6", b""]))
    assert caught.value.evidence == {"line": 7}


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b'a,b\n1,2\n3,"4\n5,6\n', 3),
        (b'a,b\n1,2\n3,5"\n3,"4\n5,6\n', 4),
        (b'a,b\n1,"2\n3,4\n', 2),
        (b'a,b\n"1,2\n3,4\n', 2),
        (b'a,b\n1,2\n\n3,"4', 4),
        (b'# remark\na,"b\n1,2\n3,4\n', 2),
        (b'a,b\n"1' + b"\n2,3" * 20, 2),
    ],
)
def test_open_quote_is_found_on_its_line(read, content, line):
    with pytest.raises(UnreadableFileError, match="never closed") as caught:
        read(content)
    assert caught.value.evidence == {"line": line}


def test_quotes_inside_of_cells_are_characters(read):
    assert read(b'a,b\n5" pipe,x\n6" pipe,y"\n').frame.to_pydict() == {
        "a": ['5" pipe', '6" pipe'],
        "b": ["x", 'y"'],
    }


def test_space_after_each_delimiter_belongs_to_no_cell(read):
    raw = read(b"age, job, rich\n39, State-gov, true\n50, ?, false\n")
    assert raw.padded
    assert raw.frame.to_pydict() == {"age": [39, 50], "job": ["State-gov", None], "rich": [True, False]}
    assert not read(b"age, job\n39,a\n50, b\n").padded


@pytest.mark.parametrize(
    ("cells", "values", "codes"),
    [
        (["007", "12"], ["007", "12"], ("a",)),
        (["12", "-08"], ["12", "-08"], ("a",)),
        (["0x1F", "0x2A"], ["0x1F", "0x2A"], ("a",)),
        (['"01.5"', "2"], ["01.5", "2"], ("a",)),
        (["0", "10"], [0, 10], ()),
        (["0.5", "-0.25"], [0.5, -0.25], ()),
        (["99999999999999999999", "1"], [1e20, 1.0], ()),
        (["1e999", "-inf"], [float("inf"), float("-inf")], ()),
    ],
)
def test_leading_zeros_are_kept(read, cells, values, codes):
    raw = read("a,b\n{},05:30\n{},x 00\n".format(*cells).encode())
    assert raw.frame["a"].to_pylist() == values
    assert raw.code_columns == codes


def test_code_in_the_very_first_cell_is_seen(read):
    assert read(b"007,1\n123,2\n").frame["column_1"].to_pylist() == ["007", "123"]


def test_delimiter_that_fits_all_rows_beats_a_frequent_one(read):
    raw = read(b"size (a, b, c);value\n1;2\n3;4\n")
    assert (raw.delimiter, raw.frame.column_names) == (";", ["size (a, b, c)", "value"])
