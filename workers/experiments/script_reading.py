"""The part of the exported script that reads the file as the service does: the same cells, types and conversions."""

from typing import Any

from app.metalearning.columns import written
from app.metalearning.columns.conversions import LARGEST_NUMBER
from app.metalearning.columns.declared import FALSE_WORDS, TRUE_WORDS
from app.metalearning.portfolio.expressions import source
from app.metalearning.reading import MISSING_MARKERS
from app.metalearning.table import ColumnType, Table

_KINDS = {
    "NUMBERS": (ColumnType.NUMERIC,),
    "BOOLEANS": (ColumnType.BOOLEAN,),
    "DATES": (ColumnType.DATE,),
    "TIMES": (ColumnType.TIME,),
    "CATEGORIES": (ColumnType.CATEGORICAL, ColumnType.TEXT),
}

_READ = '''def read(path):
    """The rows with a target: numbers as floats, dates and times as days, categories as strings."""
    {frame}
    frame.columns = COLUMNS
    frame = frame[frame[TARGET].notna()].reset_index(drop=True)
    data = {{}}
    for name in {order}:
        column = frame[name]
        if name in NUMBERS:
            numbers = as_numbers(column, WRITTEN[name]) if name in WRITTEN else column.astype("float64")
            data[name] = numbers.where(numbers.abs() < {largest})
        elif name in BOOLEANS:
            data[name] = as_label(column).str.strip().str.lower().map({flags})
        elif name in WRITTEN:
            data[name] = as_days(column, WRITTEN[name], name in TIMES)
        elif name in DATES:
            start = pandas.Timestamp("1970-01-01", tz="UTC").as_unit("us")
            dates = pandas.to_datetime(column, utc=True, format="ISO8601").astype("datetime64[us, UTC]")
            data[name] = (dates - start) / pandas.Timedelta(days=1)
        elif name in TIMES:
            data[name] = pandas.to_timedelta(column.astype("str").where(column.notna())) / pandas.Timedelta(days=1)
        else:
            data[name] = as_label(column)
    return ({arrays}
    )


def as_label(column):
    """Values as strings, whole numbers without a decimal point, missing ones left missing."""
    if pandas.api.types.infer_dtype(column) == "boolean":
        return column.astype("boolean").map({{True: "true", False: "false"}})
    if pandas.api.types.is_float_dtype(column) and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")
    text = column.astype("str").where(column.notna(), np.nan).astype("str")
    return text.str.removesuffix(".0") if pandas.api.types.is_float_dtype(column) else text
'''
# Only where the file holds numbers or dates as strings.
_WRITTEN = f'''

def as_numbers(column, written):
    """Strings like 1,234.5 or 1.234,5 as numbers; signs of thousands and units fall away."""
    rest = {{{source(written.POINT)}: r"{written.NOT_OF_NUMBER[written.POINT]}", {source(written.COMMA)}: r"{written.NOT_OF_NUMBER[written.COMMA]}"}}
    text = trimmed(column).str.replace(rest[written], "", regex=True)
    return pandas.to_numeric(text.str.replace(",", ".")).astype("float64")


def as_days(column, written, is_clock):
    """Strings of a format as days since 1970, or times of day as parts of a day."""
    dates = pandas.to_datetime(trimmed(column), utc=True, format=written).astype("datetime64[us, UTC]")
    start = dates.dt.normalize() if is_clock else pandas.Timestamp("1970-01-01", tz="UTC").as_unit("us")
    return (dates - start) / pandas.Timedelta(days=1)


def trimmed(column):
    """Without spaces around, and with the markers of missing values as missing."""
    text = as_label(column).str.strip()
    return text.where(~text.isin({list(MISSING_MARKERS)}), np.nan)
'''


def reading_functions(table: Table, reading: dict[str, Any], arrays: list[str]) -> str:
    """Constants and functions of the script that read the file.

    Args:
        table: tells names, types and written formats of the columns.
        reading: how the uploaded file was read (format, encoding, delimiter).
        arrays: expressions for what `read` returns, of `data` and `frame`.
    """
    formats = {column.name: column.source for column in table.columns if column.source is not None}
    constants = {
        "TARGET": table.target,
        "COLUMNS": reading["column_names"],
        **{
            constant: [column.name for column in table.columns if column.type in kinds]
            for constant, kinds in _KINDS.items()
        },
        "WRITTEN": formats,
    }
    flags = dict.fromkeys(TRUE_WORDS, 1.0) | dict.fromkeys(FALSE_WORDS, 0.0)
    functions = _READ.format(
        frame=_frame(reading, list(formats)),
        order=source([column.name for column in table.columns], 4),
        largest=LARGEST_NUMBER,
        flags=flags,
        arrays="".join(f"\n        {array}," for array in arrays),
    )
    lines = [f"{name} = {source(value)}" for name, value in constants.items()]
    return "\n".join(lines) + "\n\n\n" + functions + (_WRITTEN if formats else "")


def _frame(reading: dict[str, Any], written_columns: list[str]) -> str:
    """The statement that reads the file's cells."""
    if reading["format"] == "parquet":
        return "frame = pyarrow.parquet.read_table(path).to_pandas(ignore_metadata=True)"
    strings = dict.fromkeys([*written_columns, *reading.get("code_columns", [])], "str")
    arguments = [
        f"sep={source(reading['delimiter'])}",
        f"encoding={source('utf-8-sig' if reading['encoding'] == 'utf-8' else reading['encoding'])}",
        f"decimal={source(reading['decimal'])}",
        "header=0, names=COLUMNS, index_col=False",
        f"na_values={source(list(MISSING_MARKERS))}, keep_default_na=False",
        *([f"dtype={source(strings)}"] if strings else []),
    ]
    return f"frame = pandas.read_csv(path, {', '.join(arguments)})"
