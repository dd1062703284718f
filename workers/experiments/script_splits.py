"""The part of the exported script that splits rows."""

import inspect
from collections.abc import Callable
from typing import Any

from app.metalearning import protocol
from app.metalearning.protocol import dealing
from app.metalearning.table import Table

Function = Callable[..., Any]


def split_functions(table: Table) -> list[Function]:
    """What makes the table's splits, and what samples its rows if there are too many."""
    if table.time is not None:
        splitting: Function = dealing.forward_splits
        sampling: Function = dealing.sample_times
    else:
        splitting, sampling = dealing.stratified_splits, protocol.sample_rows
    if table.group is not None:
        splitting = dealing.grouped_splits if table.time is None else splitting
        sampling = dealing.sample_groups
    return [splitting] if table.n_rows <= protocol.MOST_ROWS else [splitting, sampling]


def statements(functions: list[Function], arrays: list[str]) -> str:
    """From the file to the predictions; `arrays` are the names of what the script's `read` returns."""
    lines = [f"{', '.join(arrays)} = read(sys.argv[1])"]
    of_rows, data = "", "data"
    if len(functions) > 1:
        lines.append(f"rows = {_call(functions[1], arrays)}")
        of_rows, data = "[rows]", "data.iloc[rows]"
    lines.append(f"splits = {_call(functions[0], arrays, of_rows)}")
    lines.append(f"truth, predictions = predict_out_of_fold({data}, target{of_rows}, splits)")
    return "\n".join(lines)


def _call(function: Function, arrays: list[str], of_rows: str = "") -> str:
    names = [name for name in inspect.signature(function).parameters if name in arrays]
    return f"{function.__name__}({', '.join(name + of_rows for name in names)})"
