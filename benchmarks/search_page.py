"""From what `make bench-search` measured to figures, and from figures to the table and the plot of docs/search.md."""

import re
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from app.metalearning.table import FloatArray
from benchmarks.recording import ROOT, recorded, with_tables

PAGE, PLOT = ROOT / "docs" / "search.md", ROOT / "docs" / "search-regret.svg"
RIVAL, N_RIVAL = "random", 60
TARGET = 10
NS = (1, 3, 5, 10, 20, 40, 60)
_WORST = 2.0
_SHARES = np.geomspace(0.01, 1.0, 60)
_COLOURS = {
    "random": "#999999",
    "grid": "#000000",
    "tpe": "#0072B2",
    "gp": "#D55E00",
    "asha": "#CC79A7",
    "hyperband": "#009E73",
}
_SEARCH = re.compile(r"(?P<search>[\w, ]+): reached within 10 trials \[share\]")


def figures_of(measured: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Every figure by name and unit."""
    figures = {"datasets [count]": float(len(measured))}
    for search in next(iter(measured.values()))["runs"]:
        needed = np.array([_needed(each["runs"], search) for each in measured.values()])
        curves = _curves(measured, search)
        figures[f"{search}: trials to random's best of 60, median [count]"] = _finite(np.median(needed))
        figures[f"{search}: reached within 10 trials [share]"] = float(np.mean(needed <= TARGET))
        figures[f"{search}: reached [share]"] = float(np.mean(np.isfinite(needed)))
        for n in NS:
            if n <= curves.shape[1]:
                figures[f"{search}: best of {n} [normalised regret]"] = float(curves[:, n - 1].mean())
        seconds = [sum(trial["seconds"] for trial in each["runs"][search]) for each in measured.values()]
        figures[f"{search}: CPU seconds, median [s]"] = float(np.median(seconds))
    return figures


def write_page(measured: dict[str, dict[str, Any]]) -> None:
    """Write the table and the plot anew."""
    PAGE.write_text(tables(PAGE.read_text(), recorded("search")))
    _plot(measured)


def tables(page: str, figures: dict[str, float]) -> str:
    """The page with its table written anew."""
    return with_tables(page, lambda _: rows(figures))


def rows(figures: dict[str, float]) -> list[str]:
    """A row per search."""
    found = [
        "| search | trials to random's best of 60, median | within 10 trials | ever | "
        + " | ".join(f"best of {n}" for n in NS)
        + " | CPU s, median |",
        "|---|---|---|---|" + "---|" * (len(NS) + 1),
    ]
    for search in [match["search"] for match in map(_SEARCH.fullmatch, figures) if match]:
        median = figures[f"{search}: trials to random's best of 60, median [count]"]
        regrets = [figures.get(f"{search}: best of {n} [normalised regret]") for n in NS]
        cells = [
            search,
            f"{median:.3g}" if median > 0 else "not reached",
            f"{figures[f'{search}: reached within 10 trials [share]']:.0%}",
            f"{figures[f'{search}: reached [share]']:.0%}",
            *("" if each is None else f"{each:.3f}" for each in regrets),
            f"{figures[f'{search}: CPU seconds, median [s]']:.3g}",
        ]
        found.append("| " + " | ".join(cells) + " |")
    return found


def _needed(runs: dict[str, Any], search: str) -> float:
    """After how many trials a search is as good as random search after all of its own; infinite where it never is."""
    goal = _best_so_far(runs[RIVAL])[N_RIVAL - 1]
    reached = np.flatnonzero(_best_so_far(runs[search]) <= goal)
    return float(reached[0] + 1) if len(reached) else float("inf")


def _finite(median: float) -> float:
    """JSON knows no infinity: 0 where half of the datasets or more never got there."""
    return float(median) if np.isfinite(median) else 0.0


def _best_so_far(trials: list[dict[str, Any]]) -> FloatArray:
    losses = [np.inf if each["loss"] is None else each["loss"] for each in trials]
    best: FloatArray = np.minimum.accumulate(losses)
    return best


def _regret(runs: dict[str, Any], search: str) -> FloatArray:
    """0 is the best that any search found on the dataset, 1 the middle of random search's trials."""
    best = min(_best_so_far(trials)[-1] for trials in runs.values())
    scored = [each["loss"] for each in runs[RIVAL] if each["loss"] is not None]
    gap = max(float(np.median(scored)) - best, 1e-12)
    regret: FloatArray = np.minimum((_best_so_far(runs[search]) - best) / gap, _WORST)
    return regret


def _curves(measured: dict[str, dict[str, Any]], search: str) -> FloatArray:
    """Regret after every trial, shape (datasets, trials); a grid that is at its end stays where it is."""
    curves = [_regret(each["runs"], search) for each in measured.values()]
    length = max(map(len, curves))
    return np.array([np.pad(each, (0, length - len(each)), mode="edge") for each in curves])


def _over_time(measured: dict[str, dict[str, Any]], search: str) -> FloatArray:
    """Mean regret at shares of the CPU seconds that random search took, until the search's own end; NaN behind it."""
    found = []
    for each in measured.values():
        spent = np.cumsum([trial["seconds"] for trial in each["runs"][search]])
        whole = sum(trial["seconds"] for trial in each["runs"][RIVAL])
        regret = np.concatenate([[_WORST], _regret(each["runs"], search)])
        found.append(regret[np.searchsorted(spent, _SHARES * whole, side="right")])
    mean: FloatArray = np.mean(found, axis=0)
    return mean


def _plot(measured: dict[str, dict[str, Any]]) -> None:
    """Regret against trials and against seconds, all searches in one figure."""
    mpl.rcParams["svg.hashsalt"] = "search"
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    by_trials, by_seconds = figure.subplots(1, 2, sharey=True)
    for search in next(iter(measured.values()))["runs"]:
        method, _, warm = search.partition(", ")
        look = {"color": _COLOURS[method], "linestyle": "-" if warm else "--", "linewidth": 1.6}
        mean = _curves(measured, search).mean(axis=0)
        by_trials.plot(np.arange(1, len(mean) + 1), mean, label=search, **look)
        by_seconds.plot(_SHARES, _over_time(measured, search), **look)
    by_trials.set(xscale="log", xlabel="trials", ylabel="normalised regret, mean", yscale="log")
    by_seconds.set(xscale="log", xlabel="CPU seconds, random search's 60 trials = 1")
    figure.legend(*by_trials.get_legend_handles_labels(), loc="outside right center", frameon=False)
    figure.savefig(PLOT, metadata={"Date": None})
