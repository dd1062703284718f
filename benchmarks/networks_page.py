"""From what `make bench-networks` measured to figures, and from figures to the tables and plots of docs/networks.md."""

import re
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from app.metalearning.knowledge import load_knowledge, shipped_report
from app.metalearning.metadataset import DATA_DIR
from app.metalearning.table import FloatArray, TaskType
from benchmarks.ranking_figures import interval
from benchmarks.recording import ROOT, of_place, recorded, with_tables
from workers.training.networks import load_losses

PAGE = ROOT / "docs" / "networks.md"
REGRET_PLOT, MAP_PLOT, LOSSES_PLOT = (
    ROOT / "docs" / f"networks-{what}.svg" for what in ("regret", "map", "losses")
)
BASELINE = "hybrid"
NEURAL = ("embedding", "multitask", "surrogate", "recurrent")
PLACES = (*map(str, TaskType), "oboe")
_SMOOTHED = 25  # steps
_NOT_MEASURED = "Not measured in the last run, which had no such folder."
_NAMED = {
    "regret": re.compile(r"(?P<row>[\w ]+) best of (?P<column>\d+) \[normalised regret\]"),
    "difference": re.compile(
        r"(?P<row>[\w ]+) minus hybrid best of (?P<column>\d+)(?P<end>.*) \[normalised regret\]"
    ),
    "distances": re.compile(r"distances, (?P<row>[\w, ]+?)(?P<column>| 5 %| 95 %) \[rank correlation\]"),
    "tasks": re.compile(r"(?P<task>\w+) by (?P<row>[\w ]+), (?P<column>rank correlation|error) \[.+\]"),
}
_COLOURS = {
    "hybrid": "#000000",
    "portfolio": "#999999",
    "embedding": "#56B4E9",
    "multitask": "#CC79A7",
    "surrogate": "#D55E00",
    "recurrent": "#009E73",
    "random": "#CCCCCC",
}


def figures_of(measured: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Every figure by name and unit."""
    figures: dict[str, float] = {}
    for place in PLACES:
        if f"{place} ways" in measured:
            figures |= _ways(place, measured[f"{place} ways"])
        if f"{place} distances" in measured:
            figures |= _distances(place, measured[f"{place} distances"])
        if f"{place} tasks" in measured:
            figures |= _tasks(place, measured[f"{place} tasks"])
    return figures


def _ways(place: str, part: dict[str, Any]) -> dict[str, float]:
    figures = {f"{place} datasets [count]": float(len(part["groups"]))}
    regrets = {name: np.array(values) for name, values in part["regret"].items()}
    for name, values in regrets.items():
        for k, mean in zip(part["ks"], values.mean(axis=0), strict=True):
            figures[f"{place} {name} best of {k} [normalised regret]"] = float(mean)
    for name in NEURAL:
        less = regrets[name] - regrets[BASELINE]
        low, high = interval(less, part["groups"])
        for at, k in enumerate(part["ks"]):
            about = f"{place} {name} minus {BASELINE} best of {k}"
            figures[f"{about} [normalised regret]"] = float(less[:, at].mean())
            figures[f"{about}, 5 % [normalised regret]"] = float(low[at])
            figures[f"{about}, 95 % [normalised regret]"] = float(high[at])
    return figures


def _distances(place: str, part: dict[str, Any]) -> dict[str, float]:
    figures = {}
    learned = np.array(part["agreement"]["learned"])
    for name, values in part["agreement"].items():
        figures |= _with_interval(f"{place} distances, {name}", np.array(values), part["groups"])
        if name != "learned":
            figures |= _with_interval(
                f"{place} distances, learned minus {name}", learned - np.array(values), part["groups"]
            )
    return figures


def _with_interval(about: str, values: FloatArray, groups: list[str]) -> dict[str, float]:
    low, high = interval(values[:, None], groups)
    return {
        f"{about} [rank correlation]": float(values.mean()),
        f"{about} 5 % [rank correlation]": float(low[0]),
        f"{about} 95 % [rank correlation]": float(high[0]),
    }


def _tasks(place: str, part: dict[str, Any]) -> dict[str, float]:
    figures = {}
    for task, by in part["told"].items():
        for name, values in by.items():
            about = f"{place} {task} by {name}"
            figures[f"{about}, rank correlation [rank correlation]"] = float(np.mean(values["correlation"]))
            figures[f"{about}, error [standard deviations]"] = float(np.mean(values["error"]))
    return figures


def write_page(measured: dict[str, dict[str, Any]]) -> None:
    """Write the tables and the plots anew."""
    figures = recorded("networks")
    PAGE.write_text(tables(PAGE.read_text(), figures))
    with mpl.rc_context({"svg.hashsalt": "metaselect", "font.size": 9, "figure.facecolor": "white"}):
        _regret_plot(measured).savefig(REGRET_PLOT, metadata={"Date": None})
        _map_plot().savefig(MAP_PLOT, metadata={"Date": None})
        _losses_plot().savefig(LOSSES_PLOT, metadata={"Date": None})


def tables(page: str, figures: dict[str, float]) -> str:
    """The page with its tables written anew."""
    rows = {
        "regret": _regret_rows,
        "difference": _difference_rows,
        "distances": _distance_rows,
        "tasks": _task_rows,
    }

    def rows_of(table: str) -> list[str]:
        kind, _, place = table.partition(" ")
        if kind == "all":
            return _all_rows(TaskType(place))
        found = of_place(figures, place)
        return rows[kind](found) if found else [_NOT_MEASURED]

    return with_tables(page, rows_of)


def _cells(kind: str, figures: dict[str, float]) -> list[tuple[dict[str, str], float]]:
    found = ((_NAMED[kind].fullmatch(name), value) for name, value in figures.items())
    return [(match.groupdict(), value) for match, value in found if match]


def _all_rows(task_type: TaskType) -> list[str]:
    """Every way of ranking that ships, as `metaselect metadataset fit` proved it."""
    return _table_of_ways(shipped_report(task_type)["regret"])


def _regret_rows(figures: dict[str, float]) -> list[str]:
    ways: dict[str, dict[str, float]] = {}
    for names, value in _cells("regret", figures):
        if " minus " not in names["row"]:
            ways.setdefault(names["row"], {})[names["column"]] = value
    return _table_of_ways(ways)


def _table_of_ways(ways: dict[str, dict[str, float]]) -> list[str]:
    ordered = sorted(ways, key=lambda way: float(np.mean(list(ways[way].values()))))
    columns = list(ways[ordered[0]])
    return [
        f"| way of ranking | {' | '.join(f'best of {k}' for k in columns)} |",
        f"|---|{'---|' * len(columns)}",
        *(
            f"| {f'**`{way}`**' if way in NEURAL else f'`{way}`'} | "
            f"{' | '.join(f'{ways[way][k]:.3f}' for k in columns)} |"
            for way in ordered
        ),
    ]


def _difference_rows(figures: dict[str, float]) -> list[str]:
    cells: dict[str, dict[str, dict[str, float]]] = {}
    for names, value in _cells("difference", figures):
        cells.setdefault(names["row"], {}).setdefault(names["column"], {})[names["end"]] = value
    columns = list(next(iter(cells.values())))
    return [
        f"| minus `{BASELINE}` | {' | '.join(f'best of {k}' for k in columns)} |",
        f"|---|{'---|' * len(columns)}",
        *(
            f"| `{way}` | "
            + " | ".join(
                f"{by[k]['']:+.3f} ({by[k][', 5 %']:+.3f} … {by[k][', 95 %']:+.3f})" for k in columns
            )
            + " |"
            for way, by in cells.items()
        ),
    ]


def _distance_rows(figures: dict[str, float]) -> list[str]:
    cells: dict[str, dict[str, float]] = {}
    for names, value in _cells("distances", figures):
        cells.setdefault(names["row"], {})[names["column"].strip()] = value
    return [
        "| distance | rank correlation with the distance of profiles | 5 % … 95 % |",
        "|---|---|---|",
        *(f"| {name} | {by['']:.3f} | {by['5 %']:.3f} … {by['95 %']:.3f} |" for name, by in cells.items()),
    ]


def _task_rows(figures: dict[str, float]) -> list[str]:
    cells: dict[str, dict[str, dict[str, float]]] = {}
    for names, value in _cells("tasks", figures):
        cells.setdefault(names["row"], {}).setdefault(names["task"], {})[names["column"]] = value
    tasks = list(next(iter(cells.values())))
    return [
        f"| told by | {' | '.join(f'{task}: rank correlation | error' for task in tasks)} |",
        f"|---|{'---|---|' * len(tasks)}",
        *(
            f"| {name} | "
            + " | ".join(f"{by[task]['rank correlation']:.3f} | {by[task]['error']:.3f}" for task in tasks)
            + " |"
            for name, by in cells.items()
        ),
    ]


def _regret_plot(measured: dict[str, dict[str, Any]]) -> Figure:
    """Regret against the number of tries, a panel per place."""
    places = [place for place in PLACES if f"{place} ways" in measured]
    figure = Figure(figsize=(3.6 * len(places), 3.4), layout="constrained")
    for axes, place in zip(np.atleast_1d(figure.subplots(1, len(places))), places, strict=True):
        part = measured[f"{place} ways"]
        for way, colour in _COLOURS.items():
            mean = np.array(part["regret"][way]).mean(axis=0)
            axes.plot(part["ks"], mean, label=way, color=colour, marker="o", markersize=3)
        axes.set_xscale("log")
        axes.set_xticks(part["ks"], [str(k) for k in part["ks"]])
        axes.minorticks_off()
        axes.set_ylim(bottom=0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_title(place)
        axes.set_xlabel("configurations tried")
    figure.axes[0].set_ylabel("normalised regret of the best tried")
    figure.axes[-1].legend(frameon=False, fontsize=8)
    return figure


def _losses_plot() -> Figure:
    """The loss of every step of the networks that answer, smoothed."""
    figure = Figure(figsize=(11, 2.6), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(NEURAL)), NEURAL, strict=True):
        for task_type in TaskType:
            losses = load_losses(task_type, DATA_DIR)[name]
            smooth = np.convolve(losses, np.full(_SMOOTHED, 1 / _SMOOTHED), mode="valid")
            axes.plot(np.arange(len(smooth)) + _SMOOTHED, smooth, label=str(task_type), linewidth=1)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set(title=name, xlabel="steps")
    figure.axes[0].legend(frameon=False, fontsize=8)
    return figure


def _map_plot() -> Figure:
    """The learned space in two dimensions, every dataset coloured by the family that won there."""
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    panels = figure.subplots(1, len(TaskType))
    families = sorted(
        {each.algorithm.family for known in load_knowledge().values() for each in known.configurations}
    )
    colours = dict(zip(families, mpl.colormaps["tab20"](np.linspace(0, 1, len(families))), strict=True))
    for axes, (task_type, known) in zip(panels, load_knowledge().items(), strict=True):
        spots = known.learners["embedding"].map
        winners = known.evidence.regret.argmin(axis=1)
        for family, colour in colours.items():
            here = [known.configurations[winner].algorithm.family == family for winner in winners]
            axes.scatter(*spots[here].T, color=[colour], s=16, label=family)
        axes.set(title=str(task_type), xticks=[], yticks=[])
    panels[-1].legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure
