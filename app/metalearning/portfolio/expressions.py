"""A pipeline as data: one tree of calls that workers build and users read as Python source.

Because both come from the same tree, the script that a user takes home is the pipeline that was measured.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Call:
    """A call of `function` (dotted path of a public class or function) with values that may be calls themselves."""

    function: str
    positional: tuple[Any, ...] = ()
    keywords: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The function's name without its module."""
        return self.function.rpartition(".")[2]


def call(function: str, *positional: Any, **keywords: Any) -> Call:
    """Write a call as one would in Python."""
    return Call(function, positional, keywords)


def source(value: Any, indent: int = 0) -> str:
    """Python source of the expression; calls with several arguments take one line each."""
    if isinstance(value, Call):
        parts = [source(item, indent + 4) for item in value.positional]
        parts += [f"{key}={source(item, indent + 4)}" for key, item in value.keywords.items()]
        return _bracketed(f"{value.name}(", parts, ")", indent)
    if isinstance(value, list):
        return _bracketed("[", [source(item, indent + 4) for item in value], "]", indent)
    if isinstance(value, tuple):
        parts = [source(item, indent + 4) for item in value]
        return f"({parts[0]},)" if len(parts) == 1 else _bracketed("(", parts, ")", indent)
    if isinstance(value, dict):
        parts = [f"{source(key)}: {source(item, indent + 4)}" for key, item in value.items()]
        return _bracketed("{", parts, "}", indent)
    return _literal(value)


def imports(expression: Call) -> list[str]:
    """The import lines that the expression's source needs, sorted."""
    names: dict[str, set[str]] = {}
    for function in _functions(expression):
        module, _, name = function.rpartition(".")
        names.setdefault(module, set()).add(name)
    return [f"from {module} import {', '.join(sorted(names[module]))}" for module in sorted(names)]


def _literal(value: Any) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)  # double quotes, as formatters write them
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    return repr(value)


def _bracketed(opening: str, parts: list[str], closing: str, indent: int) -> str:
    line = opening + ", ".join(parts) + closing
    if "\n" not in line and indent + len(line) <= 88:
        return line
    margin = "\n" + " " * (indent + 4)
    return f"{opening}{margin}{f',{margin}'.join(parts)},\n{' ' * indent}{closing}"


def _functions(value: Any) -> Iterator[str]:
    if isinstance(value, Call):
        yield value.function
        for item in (*value.positional, *value.keywords.values()):
            yield from _functions(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _functions(item)
