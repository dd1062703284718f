"""The part of the exported script that finds the cells in the file, whatever its format, as the service does."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from app.metalearning.columns.conversions import with_plain_strings
from app.metalearning.portfolio.expressions import source
from app.metalearning.reading import MISSING_MARKERS, marks, tokens

Function = Callable[..., Any]


@dataclass(frozen=True)
class Cells:
    """Source of `read_cells`, the service's functions that it calls, its imports and constants."""

    text: str
    functions: list[Function]
    imports: list[str]
    constants: dict[str, Any] = field(default_factory=dict)


_OPEN = {
    None: ('open(path, "rb")', []),
    "gzip": ("gzip.open(path)", ["import gzip"]),
    "zstd": ('pa.input_stream(path, compression="zstd")', []),
}
_CONTENT = '''def content_of(path):
    """The file's bytes{remark}."""
    with {opened} as file:
        return file.read(){as_utf8}


'''

_PARQUET = '''def read_cells(path):
    """The table of a Parquet file."""
    frame = pyarrow.parquet.ParquetFile(pa.BufferReader(content_of(path))).read()
    return with_plain_strings(frame.rename_columns(COLUMNS))
'''

_CSV = '''def read_cells(path):
    """The table of a delimited file."""
    content = content_of(path)
    {unpadded}frame = pyarrow.csv.read_csv(
        pa.BufferReader(content),
        read_options=pyarrow.csv.ReadOptions(
            {lines}column_names=COLUMNS, use_threads=False, block_size=len(content) + 1
        ),
        parse_options=pyarrow.csv.ParseOptions(delimiter={delimiter}, newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            null_values={missing},
            strings_can_be_null=True,
            decimal_point={decimal},{codes}
        ),
    )
    {ungrouped}return frame
'''
_UNPADDED = """content = re.sub(b"[{delimiter}] +", b"{delimiter}", content)  # the spaces belong to no cell
    """
_CODE_TYPES = """
            column_types=dict.fromkeys(CODES, pa.string()),"""
_UNGROUPED = """frame, _ = without_thousands(frame, {}, {})
    """
_UNGROUPED_BESIDE_CODES = """codes = frame.select(CODES)
    frame, _ = without_thousands(frame.drop_columns(CODES), {}, {})
    for name in CODES:
        frame = frame.append_column(name, codes[name])
    """

_JSON_LINES = '''def read_cells(path):
    """The table of a file with one JSON object per line; a key that a line lacks is missing there."""
    lines = io.TextIOWrapper(io.BytesIO(content_of(path)), "utf-8")
    rows = [json.loads(line, parse_int=as_number) for line in lines if not line.isspace()]
    keys = dict.fromkeys(key for row in rows for key in row)
    return pa.table([as_array([row.get(key) for row in rows]) for key in keys], names=COLUMNS)


def as_number(digits):
    """A whole number, or the nearest float where 64 bits cannot hold it."""
    return int(digits) if len(digits) <= 18 else float(digits)


def as_array(values):
    """The values; numbers are floats where one of them is."""
    if any(isinstance(value, float) for value in values):
        values = [None if value is None else float(value) for value in values]
    return pa.array(values)
'''

_ARFF = '''def read_cells(path):
    """The table of {an_arff} file, whose rows begin behind line {skipped}."""
    lines = [line.strip() for line in io.TextIOWrapper(io.BytesIO(content_of(path)), "utf-8")]
    header, rows = lines[:{skipped}], [line for line in lines[{skipped}:] if line and line[0] != "%"]
    attributes = [line for line in header if word(line, 0, " \\t")[0].lower() == "@attribute"]
    {columns}
    return pa.table(
        [as_array(name, *each) for name, *each in zip(COLUMNS, attributes, columns)], names=COLUMNS
    )


def type_of(attribute):
    """The word behind the attribute's name and its position; nothing and that of the brace before nominal values."""
    _, position = word(attribute, 0, " \\t")
    _, position = word(attribute, skip_space(attribute, position), " \\t{{")
    position = skip_space(attribute, position)
    return word(attribute, position, " \\t{{")[0].lower(), position


def as_array(name, attribute, cells):
    """A column's cells as numbers{or_dates} or strings."""
    strings = pa.array(cells, pa.string())
    strings = pc.if_else(pc.is_in(strings, pa.array(["?", ""])), None, strings)
    if type_of(attribute)[0] in ("numeric", "real", "integer"):
        return pc.cast(strings, pa.float64())
    {dates}return strings
'''
_DENSE = "columns = zip(*(cells(line) for line in rows))"
_SPARSE = """defaults = [default_of(attribute) for attribute in attributes]
    columns = zip(*(sparse_cells(line, defaults) for line in rows))"""
_ARFF_DATES = """if name in DATE_FORMATS:
        dates = [text and datetime.strptime(text, DATE_FORMATS[name]) for text in strings.to_pylist()]
        return pa.array(dates, pa.timestamp("us"))
    """
_SPARSE_FUNCTIONS = '''

def default_of(attribute):
    """What rows mean by leaving a column out: zero, the first nominal value, otherwise nothing."""
    kind, position = type_of(attribute)
    if attribute[position] == "{":
        return word(attribute, skip_space(attribute, position + 1), ",}")[0]
    return "0" if kind in ("numeric", "real", "integer") else None


def sparse_cells(line, defaults):
    """The cells of all columns, from a row like {0 1.5, 3 blue}."""
    row = list(defaults)
    position = skip_space(line, 1)
    while line[position] != "}":
        index, position = word(line, position, " \\t,}")
        row[int(index)], position = word(line, skip_space(line, position), " \\t,}")
        position = skip_space(line, position)
        if line[position] == ",":
            position = skip_space(line, position + 1)
    return row
'''


def cells_of(reading: dict[str, Any]) -> Cells:
    """What the script needs to read a file's cells into an Arrow table.

    Args:
        reading: how the service read it (the facts of a RawTable).
    """
    opened, imports = _OPEN[reading["compression"]]
    as_utf8, remark = "", ", without compression" if reading["compression"] else ""
    if reading["format"] != "parquet":
        remark += ", in UTF-8"
        as_utf8 = f".decode({source(reading['encoding'])}).encode()"
        if reading["encoding"] == "utf-8":
            as_utf8 = r'.removeprefix(b"\xef\xbb\xbf")'
    cells = _FORMATS[reading["format"]](reading)
    content = _CONTENT.format(remark=remark, opened=opened, as_utf8=as_utf8)
    return Cells(content + cells.text, cells.functions, [*imports, *cells.imports], cells.constants)


def _parquet(_: dict[str, Any]) -> Cells:
    return Cells(_PARQUET, [with_plain_strings], ["import pyarrow.parquet"])


def _delimited(reading: dict[str, Any]) -> Cells:
    delimiter, decimal = source(reading["delimiter"]), source(reading["decimal"])
    codes, thousands = reading["code_columns"], reading["thousands"]
    unpadded = _UNPADDED.format(delimiter=delimiter[1:-1]) if reading["padded"] else ""
    lines = ""
    if reading["skipped_lines"]:
        lines += f"skip_rows={reading['skipped_lines']}, "
    if reading["has_header"]:
        lines += "skip_rows_after_names=1, "
    ungrouped = ""
    if thousands:
        ungrouped = (_UNGROUPED_BESIDE_CODES if codes else _UNGROUPED).format(source(thousands), decimal)
    text = _CSV.format(
        unpadded=unpadded,
        lines=lines,
        delimiter=delimiter,
        missing=source(list(MISSING_MARKERS), 12),
        decimal=decimal,
        codes=_CODE_TYPES if codes else "",
        ungrouped=ungrouped,
    )
    functions = [marks.without_thousands] if thousands else []
    imports = ["import pyarrow.csv", *(["import re"] if thousands or unpadded else [])]
    return Cells(text, functions, imports, {"CODES": codes} if codes else {})


def _json_lines(_: dict[str, Any]) -> Cells:
    return Cells(_JSON_LINES, [], ["import io", "import json"])


def _arff(reading: dict[str, Any]) -> Cells:
    is_sparse, dates = reading["format"] == "sparse_arff", reading["date_formats"]
    text = _ARFF.format(
        an_arff="a sparse ARFF" if is_sparse else "an ARFF",
        skipped=reading["skipped_lines"],
        columns=_SPARSE if is_sparse else _DENSE,
        or_dates=", dates" if dates else "",
        dates=_ARFF_DATES if dates else "",
    )
    if is_sparse:
        text += _SPARSE_FUNCTIONS
    functions = [tokens.word, tokens.skip_space if is_sparse else tokens.cells]
    imports = ["import io", *(["from datetime import datetime"] if dates else [])]
    return Cells(text, functions, imports, {"DATE_FORMATS": dates} if dates else {})


_FORMATS: dict[str, Callable[[dict[str, Any]], Cells]] = {
    "parquet": _parquet,
    "csv": _delimited,
    "json_lines": _json_lines,
    "arff": _arff,
    "sparse_arff": _arff,
}
