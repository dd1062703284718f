"""From what `make bench-recommender` measured to figures, and from figures to the tables and the plot of docs/proof.md."""

import math
import re
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from app.metalearning.table import FloatArray, TaskType
from benchmarks.recording import ROOT, recorded, with_tables

PAGE = ROOT / "docs" / "proof.md"
PLOT = ROOT / "docs" / "proof-regret.svg"
BASELINE, DEFAULT = "portfolio", "hybrid"
N_RESAMPLES = 2_000
_NOT_MEASURED = "Not measured in the last run, which had no such folder: see the end of this page."
# What shares a table: its name, and the beginnings of the parts that are put together.
PLACES = {
    **{str(each): (f"{each} complete",) for each in TaskType},
    **{f"landmarkers left out, {each}": (f"{each} without landmarkers",) for each in TaskType},
    **{f"metafeatures permuted, {each}": (f"{each} permuted",) for each in TaskType},
    "oboe grouped": ("oboe grouped_",),
    "oboe random": ("oboe random_",),
}
BUDGETED = {**{str(each): f"{each} budgets" for each in TaskType}, "oboe grouped": "oboe budgets grouped_"}
_ONE = re.compile(r"(?P<place>.+?) (?P<way>[\w, ]+) best of (?P<k>\d+) \[normalised regret\]")
_COLOURS = {
    "hybrid": "#D55E00",
    "forest": "#009E73",
    "pairwise": "#CC79A7",
    "lambdamart": "#0072B2",
    "factorisation": "#8C6D31",
    "nearest": "#56B4E9",
    "portfolio": "#000000",
    "random": "#999999",
}


def figures_of(measured: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Every figure by name and unit."""
    figures: dict[str, float] = {}
    for place, beginnings in PLACES.items():
        parts = [part for name, part in measured.items() if name.startswith(beginnings)]
        if parts:
            figures |= _regrets(place, parts)
    for place, beginning in BUDGETED.items():
        parts = [part for name, part in measured.items() if name.startswith(beginning)]
        if parts:
            figures |= _budgets(place, parts)
    for each in TaskType:
        for metric, shares in measured[f"{each} calibration"].items():
            figures |= {
                f"{each} {metric} calibration, {what} [share]": share
                for what, share in shares.items()
                if share is not None
            }
        points = measured[f"{each} points"]
        for anchor, mean in zip(points["anchors"], np.mean(points["regret"], axis=0), strict=True):
            figures[f"{each} first choice after points up to {anchor} rows [normalised regret]"] = float(mean)
    return figures | _scenarios(measured)


def _regrets(place: str, parts: list[dict[str, Any]]) -> dict[str, float]:
    ks = parts[0]["ks"]
    groups = [group for part in parts for group in part["groups"]]
    regrets = {name: _joined(parts, name) for name in parts[0]["regret"]}
    figures = {
        f"{place} datasets [count]": float(len(parts[0]["groups"])),
        f"{place} groups [count]": float(len(set(groups))),
    }
    for name, values in regrets.items():
        for k, mean in zip(ks, values.mean(axis=0), strict=True):
            figures[f"{place} {name} best of {k} [normalised regret]"] = float(mean)
    less = regrets[DEFAULT] - regrets[BASELINE]
    low, high = interval(less, groups)
    for at, k in enumerate(ks):
        about = f"{place} {DEFAULT} minus {BASELINE} best of {k}"
        figures[f"{about} [normalised regret]"] = float(less[:, at].mean())
        figures[f"{about}, 5 % [normalised regret]"] = float(low[at])
        figures[f"{about}, 95 % [normalised regret]"] = float(high[at])
    return figures


def _budgets(place: str, parts: list[dict[str, Any]]) -> dict[str, float]:
    figures = {}
    for name in parts[0]["regret"]:
        for budget, mean in zip(parts[0]["budgets"], _joined(parts, name).mean(axis=0), strict=True):
            figures[f"{place} {name} within {budget:g} s [normalised regret]"] = float(mean)
    factors = np.log(np.concatenate([part["factors"] for part in parts]))
    within = float(np.mean(np.abs(factors) <= math.log(2)))
    return figures | {f"{place} seconds predicted within a factor of two [share]": within}


def _scenarios(measured: dict[str, dict[str, Any]]) -> dict[str, float]:
    """The gap that remains between the best constant (1) and the best algorithm for every dataset (0)."""
    figures: dict[str, float] = {}
    for name in {run.split(" ")[0] for run in measured if run.endswith(" official")}:
        for way, closed in measured[f"{name} official"]["gap_closed"].items():
            figures[f"{name} official {way} remaining gap [share]"] = 1 - closed
        several = [part for run, part in measured.items() if run.startswith(f"{name} ")]
        for way in several[0]["gap_closed"] if len(several) > 1 else ():
            gaps = [1 - part["gap_closed"][way] for part in several]
            figures[f"{name} mean of {len(several)} partitions {way} remaining gap [share]"] = float(
                np.mean(gaps)
            )
        for way, mean in measured[f"{name} official"]["mean_performance"].items():
            figures[f"{name} official {way} mean performance [of the measure]"] = mean
    return dict(sorted(figures.items()))


def _joined(parts: list[dict[str, Any]], name: str) -> FloatArray:
    return np.concatenate([np.array(part["regret"][name], dtype=np.float64) for part in parts])


def interval(differences: FloatArray, groups: list[str]) -> tuple[FloatArray, FloatArray]:
    """The 5th and 95th percentile of the mean when whole groups are drawn again, shape (ks,) each."""
    labels = np.unique(groups, return_inverse=True)[1]
    n_groups = labels.max() + 1
    sums = np.zeros((n_groups, differences.shape[1]))
    np.add.at(sums, labels, differences)
    sizes = np.bincount(labels)
    draws = np.random.default_rng(0).integers(n_groups, size=(N_RESAMPLES, n_groups))
    means = sums[draws].sum(axis=1) / sizes[draws].sum(axis=1)[:, None]
    low, high = np.quantile(means, [0.05, 0.95], axis=0)
    return low, high


def write_page() -> None:
    """Write the tables and the plot anew from what is recorded."""
    figures = recorded("recommender")
    PAGE.write_text(tables(PAGE.read_text(), figures))
    with mpl.rc_context({"svg.hashsalt": "metaselect", "font.size": 9, "figure.facecolor": "white"}):
        plot(figures).savefig(PLOT, metadata={"Date": None})


def tables(page: str, figures: dict[str, float]) -> str:
    """The page with its tables written anew."""
    rows = {
        "regret": _regret_rows,
        "budget": _budget_rows,
        "gap": _gap_rows,
        "difference": _difference_rows,
        "calibration": _calibration_rows,
        "points": _points_rows,
    }

    def rows_of(table: str) -> list[str]:
        kind, _, place = table.partition(" ")
        if not any(name.startswith(f"{place} ") for name in figures):
            return [_NOT_MEASURED]
        return rows[kind](place, figures)

    return with_tables(page, rows_of)


def _of_place(place: str, figures: dict[str, float]) -> dict[str, dict[int, float]]:
    """Way of ranking → k → regret."""
    found: dict[str, dict[int, float]] = {}
    for name, value in figures.items():
        match = _ONE.fullmatch(name)
        if name.startswith(f"{place} ") and match and " minus " not in name:
            way = name.removeprefix(f"{place} ").partition(" best of ")[0]
            found.setdefault(way, {})[int(match["k"])] = value
    return found


def _regret_rows(place: str, figures: dict[str, float]) -> list[str]:
    ways = _of_place(place, figures)
    ks = list(next(iter(ways.values())))
    ordered = sorted(ways, key=lambda way: float(np.mean(list(ways[way].values()))))
    return _table_of(ways, ordered, {k: f"best of {k}" for k in ks})


def _difference_rows(place: str, figures: dict[str, float]) -> list[str]:
    about = f"{place} {DEFAULT} minus {BASELINE} best of "
    ks = [
        int(name.removeprefix(about).split(" ")[0])
        for name in figures
        if name.startswith(about) and "%" not in name
    ]
    rows = []
    for k in ks:
        mean, low, high = (figures[f"{about}{k}{end} [normalised regret]"] for end in ("", ", 5 %", ", 95 %"))
        rows.append(f"| {k} | {mean:+.3f} | {low:+.3f} … {high:+.3f} |")
    return ["| k | hybrid minus portfolio | 5 % … 95 % |", "|---|---|---|", *rows]


def _budget_rows(place: str, figures: dict[str, float]) -> list[str]:
    ways = _by_way(place, r"(?P<way>[\w ]+) within (?P<column>[\d.e+-]+) s \[normalised regret\]", figures)
    budgets = next(iter(ways.values()))
    return _table_of(ways, list(ways), {budget: f"{budget} s" for budget in budgets})


def _gap_rows(place: str, figures: dict[str, float]) -> list[str]:
    """A scenario's remaining gaps: on the official folds, and the mean over partitions where there are several."""
    folds = r"(?P<column>official|mean of \d+ partitions) (?P<way>\w+) remaining gap \[share\]"
    ways = _by_way(place, folds, figures)
    columns = sorted({each for by in ways.values() for each in by}, reverse=True)
    ordered = sorted(ways, key=lambda way: ways[way][columns[-1]])
    return _table_of(ways, ordered, {each: each.replace("official", "official folds") for each in columns})


def _calibration_rows(place: str, figures: dict[str, float]) -> list[str]:
    """A row per metric, a column per thing that is told."""
    metrics = _by_way(place, r"(?P<way>\w+) calibration, (?P<column>.+) \[share\]", figures)
    columns = list(dict.fromkeys(column for by in metrics.values() for column in by))
    rows = [
        f"| `{metric}` | {' | '.join(f'{by[each]:.3f}' if each in by else '-' for each in columns)} |"
        for metric, by in metrics.items()
    ]
    return [f"| metric | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}", *rows]


def _points_rows(place: str, figures: dict[str, float]) -> list[str]:
    beginning, end = f"{place} first choice after points up to ", " rows [normalised regret]"
    found = {
        name.removeprefix(beginning).removesuffix(end): value
        for name, value in figures.items()
        if name.startswith(beginning)
    }
    heads = ["no points" if anchor == "0" else f"up to {anchor} rows" for anchor in found]
    cells = [f"{value:.3f}" for value in found.values()]
    return [f"| {' | '.join(heads)} |", f"|{'---|' * len(found)}", f"| {' | '.join(cells)} |"]


def _by_way(place: str, ending: str, figures: dict[str, float]) -> dict[str, dict[str, float]]:
    """Way of ranking → column → figure, of those whose name is the place's and matches the ending."""
    pattern = re.compile(f"{re.escape(place)} {ending}")
    ways: dict[str, dict[str, float]] = {}
    for name, value in figures.items():
        if match := pattern.fullmatch(name):
            ways.setdefault(match["way"], {})[match["column"]] = value
    return ways


def _table_of(ways: dict[str, dict[Any, float]], ordered: list[str], heads: dict[Any, str]) -> list[str]:
    """A row per way of ranking, a column per head."""
    return [
        f"| way of ranking | {' | '.join(heads.values())} |",
        f"|---|{'---|' * len(heads)}",
        *(f"| {_label(way)} | {' | '.join(f'{ways[way][each]:.3f}' for each in heads)} |" for way in ordered),
    ]


def _label(way: str) -> str:
    return f"**`{way}`**" if way == DEFAULT else way if "random" in way or " " in way else f"`{way}`"


def plot(figures: dict[str, float]) -> Figure:
    """Regret against the number of tries, a panel per place."""
    places = [place for place in (*map(str, TaskType), "oboe grouped") if _of_place(place, figures)]
    figure = Figure(figsize=(3.6 * len(places), 3.4), layout="constrained")
    for axes, place in zip(np.atleast_1d(figure.subplots(1, len(places))), places, strict=True):
        for way, by_k in _of_place(place, figures).items():
            if way in _COLOURS:
                width = 2.4 if way == DEFAULT else 1.2
                axes.plot(
                    list(by_k),
                    list(by_k.values()),
                    label=way,
                    color=_COLOURS[way],
                    linewidth=width,
                    marker="o",
                    markersize=3,
                )
        axes.set_xscale("log")
        ks = list(_of_place(place, figures)[DEFAULT])
        axes.set_xticks(ks, [str(k) for k in ks])
        axes.minorticks_off()
        axes.set_ylim(bottom=0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_title(place)
        axes.set_xlabel("configurations tried")
    first = figure.axes[0]
    first.set_ylabel("normalised regret of the best tried")
    figure.axes[-1].legend(frameon=False, fontsize=8)
    return figure
