"""The figures of docs/meta-dataset.md, drawn from what ships; the same data give the same bytes."""

import re
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform
from scipy.stats import spearmanr

from app.metalearning import protocol
from app.metalearning.portfolio import ALGORITHMS, find_configuration
from app.metalearning.protocol import ANCHORS
from app.metalearning.table import FloatArray
from scripts.meta_dataset_analysis import KINDS, Judged, complementarity, learning_curves
from scripts.meta_dataset_names import name_points

# Okabe and Ito's colours: they differ for colour-blind readers too.
_COLOURS = {
    "linear or additive": "#0072B2",
    "discriminant or naive Bayes": "#56B4E9",
    "kernel or neighbours": "#CC79A7",
    "single tree": "#8C6D31",
    "forest": "#009E73",
    "boosting": "#D55E00",
    "neural network": "#000000",
}
_GREY = "#666666"
_SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10)
_STYLE = {
    "svg.hashsalt": "metaselect",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}
_DRAWINGS = ("winners", "time", "complementarity", "correlation", "learning-curves")


def write_plots(both: list[Judged], folder: Path, ending: str = "svg") -> list[Path]:
    """Draw every figure into the folder; both task types side by side or above each other."""
    paths = [folder / f"meta-dataset-{name}.{ending}" for name in _DRAWINGS]
    with mpl.rc_context(_STYLE):
        figures = (
            winners(both),
            time_against_score(both),
            portfolio_sizes(both),
            correlations(both),
            curves(both),
        )
        for path, figure in zip(paths, figures, strict=True):
            figure.savefig(path, metadata={"Date": None} if ending == "svg" else None)
    return paths


def winners(both: list[Judged]) -> Figure:
    """Heat maps: on which share of the datasets of a segment an algorithm is best or within 1 %."""
    figure = Figure(figsize=(12, 7.6), layout="constrained")
    for axes, judged in zip(figure.subplots(1, 2), both, strict=True):
        close = judged.by_algorithm(judged.close, np.max)
        shares = np.array([close[segment.members].mean(axis=0) for segment in judged.segments]).T
        order = np.argsort(-shares[:, 0], kind="stable")
        labels = [
            "\n".join([*segment.name.rsplit(" ", 1), f"({int(segment.members.sum())})"])
            for segment in judged.segments
        ]
        names = [_readable(name) for name in np.array(list(judged.algorithms))[order]]
        _heat_map(axes, shares[order], labels, names, "{:.0%}", {"cmap": "Blues", "vmin": 0, "vmax": 0.6})
        axes.axvline(0.5, color="white", linewidth=4)
        axes.axvline(3.5, color="white", linewidth=4)
        axes.set_title(f"{judged.task_type}: best, or within 1 % of the least loss")
        axes.set_xlabel("datasets (how many)")
    return figure


def time_against_score(both: list[Judged]) -> Figure:
    """Every configuration's median regret against its median fit time, the Pareto front joined and in bold."""
    figure = Figure(figsize=(10, 13), layout="constrained")
    panels = figure.subplots(2, 1)
    for axes, judged in zip(panels, both, strict=True):
        seconds, regret = _medians(judged)
        front = _pareto(seconds, regret)
        axes.set_xscale("log")
        axes.set_xticks(_SECONDS, [f"{each:g}" for each in _SECONDS])
        axes.set_xticks([], minor=True)
        axes.scatter(seconds, regret, c=_colours(judged), s=30, zorder=3)
        axes.step(seconds[front], regret[front], where="post", color=_GREY, linewidth=1, zorder=1)
        axes.set_xlim(seconds.min() / 2.4, seconds.max() * 1.8)
        axes.set_ylim(-0.05, regret.max() + 0.15)
        axes.grid(alpha=0.25)
        axes.set_title(str(judged.task_type))
        axes.set_xlabel("median CPU seconds of one fit (log scale)")
        axes.set_ylabel("median normalised regret (0 best, 1 median configuration)")
    panels[0].legend(handles=_legend(), loc="upper right", frameon=False)
    figure.draw_without_rendering()  # names are placed by where points are on the page
    for axes, judged in zip(panels, both, strict=True):
        seconds, regret = _medians(judged)
        names = [_readable(name.partition("-")[2]) for name in judged.evidence.configurations]
        name_points(axes, seconds, regret, names, _colours(judged), _pareto(seconds, regret))
    return figure


def _medians(judged: Judged) -> tuple[FloatArray, FloatArray]:
    """Of CPU seconds and of regret over the datasets where a configuration was tried, each of shape (C,).

    A fit that did not end took longest.
    """
    seconds = np.where(judged.tried, np.minimum(judged.fit_seconds, protocol.FIT_CPU_SECONDS), np.nan)
    regret = np.where(judged.tried, judged.evidence.regret, np.nan)
    return np.nanquantile(seconds, 0.5, axis=0, method="lower"), np.nanmedian(regret, axis=0)


def portfolio_sizes(both: list[Judged]) -> Figure:
    """Regret left after trying the first k of a greedy portfolio, beside the single and the virtual best."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    for axes, judged in zip(figure.subplots(1, 2, sharey=True), both, strict=True):
        found = complementarity(judged)
        sizes = np.arange(1, len(found.seen) + 1)
        axes.axhline(found.held_out_single_best, color=_GREY, linestyle="--", linewidth=1)
        axes.text(
            sizes[-1],
            found.held_out_single_best,
            "single best, held out",
            ha="right",
            va="bottom",
            color=_GREY,
        )
        axes.axhline(0, color=_GREY, linestyle=":", linewidth=1)
        axes.text(sizes[-1], -0.012, "virtual best", ha="right", va="top", color=_GREY)
        axes.plot(
            sizes,
            found.seen,
            color=_COLOURS["linear or additive"],
            marker="o",
            markersize=3,
            label="on the datasets it was chosen on",
        )
        axes.plot(
            sizes,
            found.held_out,
            color=_COLOURS["boosting"],
            marker="o",
            markersize=3,
            label="on groups of datasets held out",
        )
        axes.set_ylim(-0.06, 0.75)
        axes.set_title(str(judged.task_type))
        axes.set_xlabel("configurations of the greedy portfolio that are tried")
        axes.set_ylabel("mean normalised regret of the best")
        axes.set_xlim(0, len(sizes) + 1)
        axes.legend(frameon=False, bbox_to_anchor=(1, 0.72), loc="upper right")
    return figure


def correlations(both: list[Judged]) -> Figure:
    """How alike algorithms do: rank correlation of their regrets over datasets, like beside like."""
    figure = Figure(figsize=(12, 6.8), layout="constrained")
    for axes, judged in zip(figure.subplots(1, 2), both, strict=True):
        regret = judged.by_algorithm(judged.evidence.regret, np.min)
        matrix = np.asarray(spearmanr(regret).statistic)
        distances = squareform(np.clip(1 - matrix, 0, 2), checks=False)
        order = leaves_list(linkage(distances, "average", optimal_ordering=True))
        names = [_readable(name) for name in np.array(list(judged.algorithms))[order]]
        scale = {"cmap": "RdBu_r", "vmin": -1, "vmax": 1}
        _heat_map(axes, matrix[np.ix_(order, order)], names, names, "{:.1f}", scale, slant=True)
        axes.set_title(f"{judged.task_type}: rank correlation of regrets over datasets")
    return figure


def curves(both: list[Judged]) -> Figure:
    """Each algorithm's median normalised score as training sets grow."""
    figure = Figure(figsize=(12, 7), layout="constrained")
    panels = figure.subplots(1, 2)
    ticks = np.arange(len(ANCHORS) + 1)
    for axes, judged in zip(panels, both, strict=True):
        n_datasets, scores = learning_curves(judged)
        lowest = min(curve.min() for curve in scores.values()) - 0.04
        ends = _spread(np.array([curve[-1] for curve in scores.values()]), (1.03 - lowest) / 40, 1.01)
        for (name, curve), end in zip(scores.items(), ends, strict=True):
            colour = _colour(name)
            axes.plot(ticks, curve, color=colour, marker="o", markersize=3, linewidth=1.2)
            axes.plot([ticks[-1], ticks[-1] + 0.18], [curve[-1], end], color=colour, linewidth=0.5)
            axes.text(ticks[-1] + 0.2, end, _readable(name), color=colour, va="center", fontsize=8)
        axes.set_xticks(ticks, [*(f"{anchor:,}" for anchor in ANCHORS), "full"])
        axes.set_xlim(-0.15, ticks[-1] + 1.25)
        axes.set_ylim(lowest, 1.03)
        axes.axhline(0, color=_GREY, linewidth=0.8)
        axes.grid(alpha=0.25)
        axes.set_title(
            f"{judged.task_type}: {n_datasets} datasets with more than {ANCHORS[-1]:,} training rows"
        )
        axes.set_xlabel("training rows")
        axes.yaxis.set_major_formatter(PercentFormatter(1))
    panels[0].set_ylabel("median normalised score (0 % knows nothing, 100 % best configuration in full)")
    panels[0].legend(handles=_legend(line=True), loc="lower right", frameon=False, bbox_to_anchor=(0.78, 0))
    return figure


def _heat_map(
    axes: Axes,
    values: FloatArray,
    columns: list[str],
    rows: list[str],
    shown: str,
    scale: dict[str, object],
    *,
    slant: bool = False,
) -> None:
    """Coloured cells with their values; the text is white where the cell is dark."""
    image = axes.imshow(values, aspect="auto", **scale)
    axes.set_xticks(range(len(columns)), columns, fontsize=8)
    axes.set_yticks(range(len(rows)), rows)
    if slant:
        axes.tick_params(axis="x", rotation=90)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for (row, column), value in np.ndenumerate(values):
        dark = np.mean(image.cmap(image.norm(value))[:3]) < 0.55
        text = _brief(shown.format(value))
        axes.text(column, row, text, ha="center", va="center", fontsize=7, color="white" if dark else "black")


def _brief(number: str) -> str:
    """Without the nought before the point, and without a sign if it is nought."""
    return ".0" if number == "-0.0" else re.sub(r"^(-?)0\.", r"\1.", number)


def _pareto(cost: FloatArray, regret: FloatArray) -> list[int]:
    """Those that nothing quicker equals, by cost."""
    front: list[int] = []
    for index in np.lexsort((regret, cost)):
        if not front or regret[index] < regret[front[-1]]:
            front.append(int(index))
    return front


def _spread(values: FloatArray, least: float, most: float) -> FloatArray:
    """The values moved apart, so that neighbours differ by at least so much, none above `most`; their order stays."""
    order = np.argsort(-values, kind="stable")
    moved = values[order].astype(float)
    for _ in range(500):
        push = np.maximum(least + np.diff(moved), 0) / 2
        moved[:-1] += push
        moved[1:] -= push
        moved[0] = min(moved[0], most)
    for index in range(1, len(moved)):
        moved[index] = min(moved[index], moved[index - 1] - least)
    spread = np.empty_like(moved)
    spread[order] = moved
    return spread


def _colours(judged: Judged) -> list[str]:
    names = (find_configuration(each).algorithm.name for each in judged.evidence.configurations)
    return [_colour(name) for name in names]


def _colour(name: str) -> str:
    return _COLOURS[KINDS[ALGORITHMS[name].family]]


def _legend(*, line: bool = False) -> list[Line2D]:
    style = {"linewidth": 1.5} if line else {"linewidth": 0, "marker": "o", "markersize": 5}
    return [Line2D([], [], color=colour, label=kind, **style) for kind, colour in _COLOURS.items()]


def _readable(name: str) -> str:
    return name.replace("_", " ").replace("-", ": ")
