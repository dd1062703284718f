"""The service's own functions, word for word, for the exported script."""

import ast
import inspect
import sys
from collections.abc import Callable
from typing import Any

from app.metalearning.portfolio.expressions import source

Function = Callable[..., Any]


def source_with_needs(functions: list[Function]) -> str:
    """Source of the functions and of all constants, classes and functions of this project that they use."""
    constants: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for function in functions:
        if function.__name__ not in sources:
            _collect(function, constants, sources)
    lines = [f"{name} = {source(value)}" for name, value in sorted(constants.items())]
    return "\n\n\n".join(["\n".join([*lines, "FloatArray = IntArray = np.ndarray"]), *sources.values()])


def _collect(item: Any, constants: dict[str, Any], sources: dict[str, str]) -> None:
    """Add the item's source, after what it uses."""
    text = inspect.getsource(item).rstrip()
    known = vars(sys.modules[item.__module__])
    for node in ast.walk(ast.parse(text)):
        name = node.id if isinstance(node, ast.Name) else ""
        used = known.get(name)
        if isinstance(used, int | float | str | tuple | dict):
            constants[name] = used
        elif getattr(used, "__module__", "").startswith("app.") and used is not item and name not in sources:
            _collect(used, constants, sources)
    sources[item.__name__] = text
