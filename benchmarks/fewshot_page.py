"""From what `make bench-fewshot` recorded to the tables and the figure of docs/few-shot.md."""

import json

import matplotlib as mpl
from matplotlib.figure import Figure

from app.metalearning.fewshot.methods import CHOICES, DEFAULT, ROWS_PER_CLASS
from benchmarks.recording import ROOT, recorded, with_tables
from workers.experiments.fewshot.learners import LEARNED
from workers.experiments.fewshot.weights import shipped

PAGE, PLOT = ROOT / "docs" / "few-shot.md", ROOT / "docs" / "few-shot-accuracy.svg"
RESULT = "few-shot"
_ORDER = (*("in_context", "prototypical", "maml", "logistic_regression", "nearest", "boosting", "auto"),)
_COLOURS = dict(zip(_ORDER, ("C0", "C1", "C2", "black", "grey", "C3", "C4"), strict=True))


def write_page() -> None:
    """Write the tables and the figure anew from what is recorded."""
    figures = recorded(RESULT)
    PAGE.write_text(tables(PAGE.read_text(), figures))
    with mpl.rc_context({"svg.hashsalt": "metaselect", "font.size": 9, "figure.facecolor": "white"}):
        _plot(figures).savefig(PLOT, metadata={"Date": None})


def tables(page: str, figures: dict[str, float]) -> str:
    """The page with its tables written anew."""
    return with_tables(page, lambda name: _rows(name, figures))


def _rows(table: str, figures: dict[str, float]) -> list[str]:
    match table:
        case "training":
            return _training()
        case "choices":
            return _choices()
        case "against":
            return _against(figures)
    return _means({"accuracy": "balanced accuracy", "log-loss": "log-loss"}[table], figures)


def _training() -> list[str]:
    """A row per network: what its training was, and how it went."""
    lines = [
        "| network | weights | steps | tasks | device | seed | loss in the first hundredth | in the last |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in LEARNED:
        weights = shipped(name)
        count = sum(array.size for array in weights.arrays.values())
        about = weights.about
        lines.append(
            f"| `{name}` | {count:,} | {about['steps']:,} | {about['tasks']:,} | {about['device']} | {about['seed']} | "
            f"{weights.losses[0]:.3f} | {weights.losses[-1]:.3f} |"
        )
    return lines


def _means(what: str, figures: dict[str, float]) -> list[str]:
    """A row per method, a column per number of rows, the best of each in bold, with its interval."""
    lines = [_header("method"), _rule()]
    names = [name for name in _ORDER if f"{name}, 1 per class: {what}, mean" in figures]
    best = max if what == "balanced accuracy" else min
    tops = {
        rows: best(
            (name for name in names if name != "auto"),
            key=lambda name: figures[f"{name}, {rows} per class: {what}, mean"],
        )
        for rows in ROWS_PER_CLASS
    }
    for name in names:
        cells = []
        for rows in ROWS_PER_CLASS:
            about = f"{name}, {rows} per class: {what}"
            mean = f"{figures[f'{about}, mean']:.3f}"
            mean = f"**{mean}**" if tops[rows] == name else mean
            cells.append(f"{mean} ({figures[f'{about}, 5 %']:.3f} … {figures[f'{about}, 95 %']:.3f})")
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return lines


def _against(figures: dict[str, float]) -> list[str]:
    """A row per method: gain over the default with its interval, and on how many datasets it is better and worse."""
    lines = [_header("method"), _rule()]
    for name in _ORDER:
        if name == DEFAULT or f"{name}, 1 per class: balanced accuracy, mean" not in figures:
            continue
        cells = []
        for rows in ROWS_PER_CLASS:
            about = f"{name}, {rows} per class"
            gain = f"{about}: balanced accuracy beyond logistic regression's"
            counts = [
                f"{figures[f'{about}: {way} than logistic regression [datasets]']:.0f}"
                for way in ("better", "worse")
            ]
            cells.append(
                f"{figures[f'{gain}, mean']:+.3f} ({figures[f'{gain}, 5 %']:+.3f} … {figures[f'{gain}, 95 %']:+.3f}), "
                f"{counts[0]} : {counts[1]}"
            )
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return lines


def _choices() -> list[str]:
    """What `auto` takes where it leaves the default."""
    choices = json.loads(CHOICES.read_text())
    lines = [
        "| with | `auto` takes |",
        "|---|---|",
        *(f"| {cell} | `{name}` |" for cell, name in choices.items()),
    ]
    return [*lines, f"| everything else | `{DEFAULT}` |"]


def _header(first: str) -> str:
    return f"| {first} | " + " | ".join(f"{rows} per class" for rows in ROWS_PER_CLASS) + " |"


def _rule() -> str:
    return "|---|" + "---|" * len(ROWS_PER_CLASS)


def _plot(figures: dict[str, float]) -> Figure:
    """Mean balanced accuracy against rows per class, with the intervals of the networks and the default."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for name in _ORDER:
        if f"{name}, 1 per class: balanced accuracy, mean" not in figures:
            continue
        abouts = [f"{name}, {rows} per class: balanced accuracy" for rows in ROWS_PER_CLASS]
        means = [figures[f"{about}, mean"] for about in abouts]
        look = {"color": _COLOURS[name], "linestyle": "--" if name == "auto" else "-"}
        axes.plot(ROWS_PER_CLASS, means, "o", label=name, markersize=3, **look)
        if name == DEFAULT:
            low, high = ([figures[f"{about}, {end} %"] for about in abouts] for end in (5, 95))
            axes.fill_between(ROWS_PER_CLASS, low, high, color=_COLOURS[name], alpha=0.1, linewidth=0)
    axes.set(
        xscale="log", xlabel="labelled rows of each class", ylabel="balanced accuracy, mean over datasets"
    )
    axes.set_xticks(ROWS_PER_CLASS, list(map(str, ROWS_PER_CLASS)))
    axes.minorticks_off()
    axes.legend(frameon=False)
    return figure
