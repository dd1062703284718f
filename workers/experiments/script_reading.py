"""The part of the exported script that reads the file as the service does: the same cells, types and conversions."""

from collections.abc import Callable
from typing import Any

from app.metalearning.columns import conversions, written
from app.metalearning.columns.declared import FALSE_WORDS, TRUE_WORDS
from app.metalearning.portfolio.expressions import source
from app.metalearning.reading import MISSING_MARKERS
from app.metalearning.table import ColumnType, Table, TaskType
from workers.experiments.script_cells import Cells, cells_of

Function = Callable[..., Any]

# What the script calls kinds; where the file holds numbers or dates as strings, their format is the kind.
_CATEGORY, _NUMBER, _FLAG, _DATE, _NUMBER_OR_DATE = "category", "number", "flag", "date", "number or date"
_KINDS = {
    ColumnType.NUMERIC: _NUMBER,
    ColumnType.BOOLEAN: _FLAG,
    ColumnType.DATE: _DATE,
    ColumnType.TIME: _DATE,
    ColumnType.CATEGORICAL: _CATEGORY,
    ColumnType.TEXT: _CATEGORY,
}
_WRITTEN_NUMBER, _WRITTEN_DATE = "written number", "written date"

_READ = '''def read(path):
    """What is learned from, of the rows with a target."""
    frame = read_cells(path)
    frame = frame.filter(pc.invert(pc.is_null(frame[TARGET], nan_is_null=True)))
    data = {{name: as_values(frame[name], kind) for name, kind in FEATURES.items()}}
    return ({arrays}
    )


def as_values(column, kind):
    """Numbers as floats, dates and times as days, categories as strings."""{branches}
'''
_BRANCHES = {
    _CATEGORY: """
    if kind == "category":
        return as_strings(column).to_pandas().astype("str")""",
    _NUMBER: """
    if kind == "number":
        return finite_numbers(column)[0].to_pandas().astype("float64")""",
    _FLAG: f"""
    if kind == "flag":
        flags = {dict.fromkeys(TRUE_WORDS, 1) | dict.fromkeys(FALSE_WORDS, 0)}
        return trimmed(column).str.lower().map(flags).astype("float64")""",
    _DATE: """
    if kind == "date":
        return as_days(column).to_pandas().astype("float64")""",
    _NUMBER_OR_DATE: """
    if kind == "number or date":
        values = as_days(column) if pa.types.is_temporal(column.type) else finite_numbers(column)[0]
        return values.to_pandas().astype("float64")""",
    _WRITTEN_NUMBER: f"""
    if kind in {source((written.POINT, written.COMMA))}:  # how the file writes numbers
        return from_numbers(column, kind)""",
    _WRITTEN_DATE: """
    if kind == "ISO8601" or "%" in kind:  # how the file writes dates or times of day
        return from_dates(column, kind)""",
}
_TRIMMED = f'''

def trimmed(column):
    """Strings without spaces around, and with the markers of missing values as missing."""
    text = as_strings(column).to_pandas().astype("str").str.strip()
    return text.where(~text.isin({source(list(MISSING_MARKERS), 4)}))
'''
_FROM_NUMBERS = f'''

def from_numbers(column, kind):
    """Strings like 1,234.5 or 1.234,5 as floats; signs of thousands and units fall away."""
    rest = {{
        {source(written.POINT)}: r"{written.NOT_OF_NUMBER[written.POINT]}",
        {source(written.COMMA)}: r"{written.NOT_OF_NUMBER[written.COMMA]}",
    }}
    text = trimmed(column).str.replace(rest[kind], "", regex=True)
    numbers = pandas.to_numeric(text.str.replace(",", ".")).astype("float64")
    return numbers.where(numbers.abs() < {conversions.LARGEST_NUMBER})
'''
_FROM_DATES = '''

def from_dates(column, kind):
    """Strings of a format as days since 1970, or times of day as parts of a day."""
    dates = pandas.to_datetime(trimmed(column), utc=True, format=kind).astype("datetime64[us, UTC]")
    is_time = kind.startswith(("%H", "%I"))
    start = dates.dt.normalize() if is_time else pandas.Timestamp("1970-01-01", tz="UTC").as_unit("us")
    return (dates - start) / pandas.Timedelta(days=1)
'''
_FUNCTIONS: dict[str, list[Function]] = {
    _CATEGORY: [conversions.as_strings],
    _NUMBER: [conversions.finite_numbers],
    _FLAG: [conversions.as_strings],
    _DATE: [conversions.as_days],
    _NUMBER_OR_DATE: [conversions.as_days, conversions.finite_numbers],
    _WRITTEN_NUMBER: [conversions.as_strings],
    _WRITTEN_DATE: [conversions.as_strings],
}


def arrays_of(table: Table) -> dict[str, str]:
    """What the script's `read` returns: names, and expressions of `data` and `frame`."""
    is_class = table.task_type is TaskType.CLASSIFICATION
    arrays = {
        "data": "pandas.DataFrame(data)",
        "target": _codes("TARGET") if is_class else _floats("TARGET", table.target_source or _NUMBER),
    }
    if table.group is not None:
        arrays["groups"] = _codes(source(table.group))
    if table.time is not None:
        arrays["times"] = _floats(source(table.time), table.time_source or _NUMBER_OR_DATE)
    return arrays


def reading_part(table: Table, reading: dict[str, Any]) -> Cells:
    """Constants and functions of the script that read the file.

    Args:
        table: tells names, types and written formats of the columns.
        reading: how the uploaded file was read (the facts of a RawTable).
    """
    features = {column.name: column.source or _KINDS[column.type] for column in table.columns}
    ways = {_way(kind) for kind in (*features.values(), *_kinds_of_roles(table))}
    cells = cells_of(reading)
    constants = {
        "TARGET": table.target,
        "COLUMNS": reading["column_names"],
        "FEATURES": features,
    } | cells.constants
    text = "\n".join(f"{name} = {source(value)}" for name, value in constants.items())
    text += "\n\n\n" + _READ.format(
        arrays="".join(f"\n        {array}," for array in arrays_of(table).values()),
        branches="".join(branch for way, branch in _BRANCHES.items() if way in ways),
    )
    text += _FROM_NUMBERS if _WRITTEN_NUMBER in ways else ""
    text += _FROM_DATES if _WRITTEN_DATE in ways else ""
    text += _TRIMMED if ways & {_FLAG, _WRITTEN_NUMBER, _WRITTEN_DATE} else ""
    functions = [function for way in _FUNCTIONS if way in ways for function in _FUNCTIONS[way]]
    return Cells(f"{text}\n\n{cells.text}", [*functions, *cells.functions], cells.imports)


def _kinds_of_roles(table: Table) -> list[str]:
    """The kinds of target, group and time."""
    is_class = table.task_type is TaskType.CLASSIFICATION
    kinds = [_CATEGORY if is_class else table.target_source or _NUMBER]
    kinds += [] if table.group is None else [_CATEGORY]
    return kinds if table.time is None else [*kinds, table.time_source or _NUMBER_OR_DATE]


def _way(kind: str) -> str:
    """Which branch of the script reads this kind."""
    if kind in _BRANCHES:
        return kind
    return _WRITTEN_NUMBER if kind in (written.POINT, written.COMMA) else _WRITTEN_DATE


def _codes(name: str) -> str:
    return f'as_values(frame[{name}], "category").astype("category").cat.codes.to_numpy()'


def _floats(name: str, kind: str) -> str:
    return f"as_values(frame[{name}], {source(kind)}).to_numpy()"
