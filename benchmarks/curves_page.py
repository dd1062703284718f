"""From what `make bench-curves` measured to figures, and from figures to the tables and the plot of docs/learning-curves.md."""

import re
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from app.metalearning.table import TaskType
from benchmarks.ranking_figures import interval
from benchmarks.recording import ROOT, of_place, recorded, with_tables

PAGE, PLOT = ROOT / "docs" / "learning-curves.md", ROOT / "docs" / "learning-curves.svg"
SOURCES = (*map(str, TaskType), "lcdb")
CHALLENGER = "recurrent"
MEASURES = {"error": "error of the log loss", "log": "log-likelihood"}
_NOT_MEASURED = "Not measured in the last run, which had no such folder."
_CELL = re.compile(r"(?P<way>[\w ]+) after (?P<points>\d+) points?, (?P<what>.+)")
_COLOURS = {
    "recurrent": "#D55E00",
    "power law": "#0072B2",
    "Gaussian process": "#009E73",
    "last value": "#999999",
}


def figures_of(measured: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Every figure by name and unit."""
    figures: dict[str, float] = {}
    for source in SOURCES:
        if f"{source} errors" in measured:
            figures |= _errors(source, measured[f"{source} errors"])
        if f"{source} stopping" in measured:
            stopping = measured[f"{source} stopping"]
            figures |= {f"{source} stopping, {name}": float(value) for name, value in stopping.items()}
    return figures


def _errors(source: str, part: dict[str, Any]) -> dict[str, float]:
    figures = {f"{source} curves [count]": float(part["curves"])}
    told = part["told"]
    for name, found in told.items():
        way, _, points = name.rpartition(" after ")
        for measure, unit in MEASURES.items():
            about = f"{source} {way} after {points} points, {unit}"
            figures[about] = float(np.mean(found[measure]))
            if way != CHALLENGER:
                less = np.array(told[f"{CHALLENGER} after {points}"][measure]) - np.array(found[measure])
                low, high = interval(less[:, None], found["group"])
                figures[f"{about}, {CHALLENGER}'s minus it, 5 %"] = float(low[0])
                figures[f"{about}, {CHALLENGER}'s minus it, 95 %"] = float(high[0])
    return figures


def write_page() -> None:
    """Write the tables and the plot anew from what is recorded."""
    figures = recorded("curves")
    PAGE.write_text(tables(PAGE.read_text(), figures))
    with mpl.rc_context({"svg.hashsalt": "metaselect", "font.size": 9, "figure.facecolor": "white"}):
        _plot(figures).savefig(PLOT, metadata={"Date": None})


def tables(page: str, figures: dict[str, float]) -> str:
    """The page with its tables written anew."""

    def rows_of(table: str) -> list[str]:
        kind, _, source = table.partition(" ")
        found = of_place(figures, source)
        if not found:
            return [_NOT_MEASURED]
        return _stopping_rows(source, found) if kind == "stopping" else _error_rows(found, MEASURES[kind])

    return with_tables(page, rows_of)


def _cells(figures: dict[str, float], measure: str) -> dict[str, dict[int, dict[str, float]]]:
    """Way → points → the measure itself (under the empty name) and the ends of the interval."""
    cells: dict[str, dict[int, dict[str, float]]] = {}
    for name, value in figures.items():
        match = _CELL.fullmatch(name)
        if match and match["what"].startswith(measure):
            end = match["what"].removeprefix(measure).rpartition(", ")[2]
            cells.setdefault(match["way"], {}).setdefault(int(match["points"]), {})[end] = value
    return cells


def _error_rows(figures: dict[str, float], measure: str) -> list[str]:
    cells = _cells(figures, measure)
    points = sorted({each for by in cells.values() for each in by})

    def shown(cell: dict[str, float] | None) -> str:
        if cell is None:
            return ""
        ends = f" ({cell['5 %']:+.3f} … {cell['95 %']:+.3f})" if "5 %" in cell else ""
        return f"{cell['']:.3f}{ends}"

    return [
        f"| {measure} | {' | '.join(f'after {each}' for each in points)} |",
        f"|---|{'---|' * len(points)}",
        *(f"| {way} | {' | '.join(shown(by.get(each)) for each in points)} |" for way, by in cells.items()),
    ]


def _stopping_rows(source: str, figures: dict[str, float]) -> list[str]:
    """The network's beside the power law's, which `make bench-verification` recorded."""
    law = recorded("verification")
    rows = ["| | power law | recurrent |", "|---|---|---|"]
    for name, value in figures.items():
        about = name.removeprefix("stopping, ")
        if about != name:
            of_law = law.get(f"{source}, {about}")
            rows.append(f"| {about} | {'' if of_law is None else f'{of_law:.3g}'} | {value:.3g} |")
    return rows


def _plot(figures: dict[str, float]) -> Figure:
    """Error and log-likelihood against the points that are seen, a column per source."""
    sources = [each for each in SOURCES if f"{each} curves [count]" in figures]
    figure = Figure(figsize=(3.4 * len(sources), 5.2), layout="constrained")
    panels = figure.subplots(2, len(sources), squeeze=False)
    for column, source in enumerate(sources):
        of_source = of_place(figures, source)
        for axes, measure in zip(panels[:, column], MEASURES.values(), strict=True):
            for way, by in _cells(of_source, measure).items():
                means = [by[each][""] for each in sorted(by)]
                axes.plot(sorted(by), means, label=way, color=_COLOURS[way], marker="o", markersize=3)
            axes.spines[["top", "right"]].set_visible(False)
            axes.set(xlabel="points seen", ylabel=measure)
        panels[0, column].set_title(source)
    panels[0, -1].legend(frameon=False, fontsize=8)
    return figure
