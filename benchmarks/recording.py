"""How every benchmark leaves its figures: a flat JSON file, the same as a table, and the pages that quote them."""

import importlib.metadata
import json
import os
import platform
import re
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
_TABLE = re.compile(r"(?<=<!-- table )(?P<name>[\w ,.-]+) -->\n.*?(?=<!-- end -->)", re.DOTALL)
_LIBRARIES = ("numpy", "scikit-learn", "lightgbm", "xgboost-cpu", "catboost", "fastapi", "sqlalchemy")


def kept(parts: Path, name: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """A measurement, taken now unless an earlier run left it among the parts."""
    parts.mkdir(parents=True, exist_ok=True)
    part = parts / f"{name}.json"
    if not part.exists():
        print(f"measuring {name}", flush=True)
        part.write_text(json.dumps(measure()))
    measured: dict[str, Any] = json.loads(part.read_text())
    return measured


def kept_together(
    parts: Path, measures: dict[str, Callable[[], dict[str, Any]]], at_once: int
) -> dict[str, dict[str, Any]]:
    """Several measurements by name, as `kept`, so many at once, with their progress."""
    with ThreadPoolExecutor(at_once) as pool, Progress() as progress:
        bar = progress.add_task("datasets", total=len(measures))
        measured = {}
        found = pool.map(lambda name: kept(parts, name, measures[name]), measures)
        for name, part in zip(measures, found, strict=True):
            measured[name] = part
            progress.advance(bar)
    return measured


def kept_by_processes(
    parts: Path, runs: dict[str, Callable[[], dict[str, Any]]], at_once: int
) -> dict[str, dict[str, Any]]:
    """Several measurements by name, as `kept`, so many at once, each in a process of its own."""
    with ProcessPoolExecutor(at_once) as pool:
        measured = pool.map(partial(kept, parts), runs, runs.values())
        return dict(zip(runs, measured, strict=True))


def record(name: str, figures: dict[str, float]) -> None:
    """Write `results/<name>.json` (figure name with its unit → number, then machine and versions) and print it."""
    RESULTS.mkdir(exist_ok=True)
    about = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        **{library: importlib.metadata.version(library) for library in _LIBRARIES},
    }
    (RESULTS / f"{name}.json").write_text(json.dumps({**figures, **about}, indent=1) + "\n")
    table = Table("figure", "value", title=name)
    for figure, value in figures.items():
        table.add_row(escape(figure), f"{value:.4g}")
    Console().print(table)
    for page in PAGES:
        page.write_text(quoted(page.read_text()))


def quoted(text: str) -> str:
    """A page's text in which every `<!-- figure NAME: FIGURE -->` is followed by the recorded number."""
    return re.sub(r"<!-- figure (?P<name>[\w-]+): (?P<figure>[^>]+?) -->[\d.e+-]*", _with_number, text)


def with_tables(page: str, rows_of: Callable[[str], list[str] | None]) -> str:
    """A page's text in which every `<!-- table NAME -->` … `<!-- end -->` holds the rows that are told of the name.

    Where None is told, the table is another benchmark's and stays as it is.
    """

    def table(found: re.Match[str]) -> str:
        rows = rows_of(found["name"])
        return found[0] if rows is None else "\n".join([f"{found['name']} -->", *rows, ""])

    return _TABLE.sub(table, page)


def recorded(name: str) -> dict[str, float]:
    """The figures of the last run, without what is said of the machine."""
    figures = json.loads((RESULTS / f"{name}.json").read_text())
    return {figure: value for figure, value in figures.items() if isinstance(value, float)}


def of_place(figures: dict[str, float], place: str) -> dict[str, float]:
    """The figures whose names begin with the place, without it."""
    return {
        name.removeprefix(f"{place} "): value
        for name, value in figures.items()
        if name.startswith(f"{place} ")
    }


def _with_number(match: re.Match[str]) -> str:
    figures = json.loads((RESULTS / f"{match['name']}.json").read_text())
    value = float(figures[match["figure"]])
    shown = f"{value:.0f}" if value.is_integer() else f"{value:.3g}"
    return f"<!-- figure {match['name']}: {match['figure']} -->{shown}"
