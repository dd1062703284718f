"""Numbers and dates that are written as strings."""

import numpy as np
import pyarrow as pa
import pytest

from app.metalearning.columns.written import (
    POINT,
    date_formats,
    number_format,
    read_dates,
    read_numbers,
    trimmed,
)
from tests.tables import typed_column


def numbers(*texts):
    values = pa.array(texts, pa.string())
    written = number_format(values)
    return written and read_numbers(trimmed(values), written).to_pylist()


def dates(*texts):
    """The first fitting format, and the values as ISO strings."""
    values = pa.array(texts, pa.string())
    formats = date_formats(values)
    if not formats:
        return None
    days = read_dates(trimmed(values), formats[0]).to_numpy(zero_copy_only=False)
    return formats[0], [str((day * 86400).round().astype("datetime64[s]")) for day in days]


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        (["1,234.5", "7"], [1234.5, 7]),
        (["1.234,50", "-7"], [1234.5, -7]),
        (["1.234.567", "8,5"], [1234567, 8.5]),
        (["1 234", "0.5"], [1234, 0.5]),
        (["1\u00a0234,5", "3"], [1234.5, 3]),
        (["1'234.5", "+3"], [1234.5, 3]),
        (["$5", "$1,000"], [5, 1000]),
        (["-$5", "$-6"], [-5, -6]),
        (["5 €", "1.000,5 €"], [5, 1000.5]),
        (["EUR 5.5", "EUR 7"], [5.5, 7]),
        (["45%", "7.5 %"], [45, 7.5]),
        ([" 1.5", "2 "], [1.5, 2]),
        (["1e5", "2.5E-3"], [1e5, 2.5e-3]),
        (["NA", "1.5", None, ""], [None, 1.5, None, None]),
    ],
    ids=str,
)
def test_written_numbers_are_read(texts, values):
    assert numbers(*texts) == values


@pytest.mark.parametrize(
    "texts",
    [
        ["007", "1.5"],
        ["1,23,4", "5"],
        ["12345678901234567", "1.5"],
        ["$5", "€5"],
        ["5%", "5"],
        ["1.5", "about 2"],
        ["1-2", "3-4"],
        ["ABC 5", "ABC 6"],
        ["1.2.3", "1.2.4"],
        ["1,5", "1.234.5"],
        ["", None],
        [],
    ],
    ids=str,
)
def test_what_only_resembles_numbers_stays_text(texts):
    assert numbers(*texts) is None


def test_bare_whole_numbers_are_codes_while_they_are_few_or_of_one_length():
    assert numbers(*map(str, range(1, 90))) is None
    assert numbers(*map(str, range(10_000, 10_500))) is None
    assert numbers(*map(str, range(1, 500))) == list(range(1, 500))


@pytest.mark.parametrize(
    ("texts", "written", "values"),
    [
        (["13/01/2020", "01/02/2020"], "%d/%m/%Y", ["2020-01-13", "2020-02-01"]),
        (["01/13/2020", "01/02/2020"], "%m/%d/%Y", ["2020-01-13", "2020-01-02"]),
        (["1.2.2020", "29.2.2020"], "%d.%m.%Y", ["2020-02-01", "2020-02-29"]),
        (["3 Jan 2020", "15 MAY 2021"], "%d %b %Y", ["2020-01-03", "2021-05-15"]),
        (["03-Jan-20", "04-Dec-99"], "%d-%b-%y", ["2020-01-03", "1999-12-04"]),
        (["January 5, 2020", "May 6, 2020"], "%B %d, %Y", ["2020-01-05", "2020-05-06"]),
        (["2020/12/31", "1960/01/01"], "%Y/%m/%d", ["2020-12-31", "1960-01-01"]),
        (
            ["1/13/2020 2:30 PM", "1/12/2020 12:00 am"],
            "%m/%d/%Y %I:%M %p",
            ["2020-01-13T14:30:00", "2020-01-12T00:00:00"],
        ),
        (
            ["2020-01-01", "2020-01-01 06:00", "2020-01-01T06:00:30.5+02:00", "2020-01-01T06:00:00Z"],
            "ISO8601",
            ["2020-01-01", "2020-01-01T06:00:00", "2020-01-01T04:00:30", "2020-01-01T06:00:00"],
        ),
    ],
    ids=str,
)
def test_written_dates_are_read(texts, written, values):
    expected = [str(np.datetime64(value, "s")) for value in values]
    assert dates(*texts) == (written, expected)


@pytest.mark.parametrize(
    "texts",
    [
        ["31/02/2020"],
        ["2020-13-01"],
        ["29.2.2021"],
        ["13/01/2020", "01/13/2020"],
        ["3 Jan 2020", "3 Foo 2020"],
        ["1/1/2020 25:00"],
        ["1/1/2020 13:30 PM"],
        ["555-1234"],
        ["2020-01-01", "soon"],
    ],
    ids=str,
)
def test_what_only_resembles_dates_stays_text(texts):
    assert dates(*texts) is None


def test_numbers_among_strings_become_a_numeric_column_and_are_reported():
    type_, values, findings = typed_column(["1,200.5", None, " 7"])
    assert (type_, values[:3]) == ("numeric", [1200.5, None, 7.0])
    assert [(each.code, each.evidence) for each in findings] == [
        ("number_like_strings", {"format": POINT, "example": "1,200.5"})
    ]


def test_dates_that_can_be_read_two_ways_tell_which_was_chosen():
    type_, values, findings = typed_column(["01/02/2020", "03/04/2020"])
    assert (type_, values[0]) == ("date", float(np.datetime64("2020-01-02").astype(int)))
    assert [each.code for each in findings] == ["date_like_strings", "ambiguous_dates"]
    assert findings[1].evidence == {"format": "%m/%d/%Y", "other_format": "%d/%m/%Y"}
    assert [each.code for each in typed_column(["01/02/2020", "13/04/2020"])[2]] == ["date_like_strings"]
