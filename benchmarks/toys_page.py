"""From what `make bench-toys` measured to figures, and from figures to the tables and plots of docs/learning-to-learn.md."""

import re
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from benchmarks.recording import ROOT, recorded, with_tables

PAGE = ROOT / "docs" / "learning-to-learn.md"
SHOWN_STEPS = (0, 1, 10)
# What the papers report of five-way tasks, accuracy in percent: prototypes in Snell et al. 2017, table 1 (without
# interval), MAML in Finn et al. 2017, table 1.
PAPERS = {
    "prototypes 1-shot": "98.8",
    "prototypes 5-shot": "99.7",
    "maml 1-shot": "98.7 ± 0.4",
    "maml 5-shot": "99.9 ± 0.1",
}
_LABELS = {
    "maml": "MAML",
    "first-order maml": "first-order MAML",
    "reptile": "Reptile",
    "pretrained": "trained on all waves together",
    "random": "random weights",
    "prototypes": "prototypical network",
    "pixels": "prototypes of the pixels, nothing learned",
}
_COLOURS = {
    "maml": "#D55E00",
    "first-order maml": "#0072B2",
    "reptile": "#009E73",
    "pretrained": "#000000",
    "random": "#999999",
    "prototypes": "#CC79A7",
}
_ERROR = re.compile(r"sinusoids (?P<method>[\w -]+): error after (?P<steps>\d+) steps \[MSE\]")
_ACCURACY = re.compile(r"omniglot (?P<method>[\w -]+) (?P<shots>\d-shot): accuracy \[share\]")
_HALF = ", half of the 95 % interval"

Measured = dict[str, dict[str, Any]]


def figures_of(waves: Measured, characters: Measured) -> dict[str, float]:
    """Every figure by name and unit."""
    figures: dict[str, float] = {}
    for method, found in waves.items():
        for steps, (mean, half) in enumerate(zip(found["mean"], found["half"], strict=True)):
            figures[f"sinusoids {method}: error after {steps} steps [MSE]"] = mean
            figures[f"sinusoids {method}: error after {steps} steps{_HALF} [MSE]"] = half
        figures[f"sinusoids {method}: rate of the steps"] = found["rate"]
        figures |= _training(f"sinusoids {method}", found)
    for name, found in characters.items():
        figures[f"omniglot {name}: accuracy [share]"] = found["mean"]
        figures[f"omniglot {name}: accuracy{_HALF} [share]"] = found["half"]
        figures |= _training(f"omniglot {name}", found)
    return figures


def _training(name: str, found: dict[str, Any]) -> dict[str, float]:
    if "steps" not in found:
        return {}
    return {
        f"{name}: training steps [count]": float(found["steps"]),
        f"{name}: training time [CPU s]": found["cpu_seconds"],
        f"{name}: trained on a GPU [0 or 1]": float(found["gpu"]),
    }


def write_page(waves: Measured, characters: Measured) -> None:
    """Write the tables and the plots anew."""
    PAGE.write_text(tables(PAGE.read_text(), recorded("toys")))
    with mpl.rc_context({"svg.hashsalt": "metaselect", "font.size": 9, "figure.facecolor": "white"}):
        plots = {"losses": losses(waves, characters), "sinusoids": sinusoids(waves), "wave": wave(waves)}
        for name, plot in plots.items():
            plot.savefig(PAGE.with_name(f"learning-to-learn-{name}.svg"), metadata={"Date": None})


def tables(page: str, figures: dict[str, float]) -> str:
    """The page with the tables of this benchmark written anew."""
    rows = {"toys sinusoids": _wave_rows, "toys omniglot": _character_rows}
    return with_tables(page, lambda name: rows[name](figures) if name in rows else None)


def _wave_rows(figures: dict[str, float]) -> list[str]:
    heads = [_after(steps) for steps in SHOWN_STEPS]
    found = [
        f"| first weights | rate | {' | '.join(heads)} | trained, steps | CPU s |",
        f"|---|---|{'---|' * len(heads)}---|---|",
    ]
    for method in dict.fromkeys(match["method"] for match in map(_ERROR.fullmatch, figures) if match):
        about = f"sinusoids {method}"
        errors = [
            f"{figures[f'{about}: error after {steps} steps [MSE]']:.2f} ± "
            f"{figures[f'{about}: error after {steps} steps{_HALF} [MSE]']:.2f}"
            for steps in SHOWN_STEPS
        ]
        rate = f"{figures[f'{about}: rate of the steps']:g}"
        found.append(_row(_LABELS[method], rate, *errors, *_trained(about, figures)))
    return found


def _character_rows(figures: dict[str, float]) -> list[str]:
    found = [
        "| five-way | accuracy, % | the paper's | trained, steps | CPU s |",
        "|---|---|---|---|---|",
    ]
    for match in filter(None, map(_ACCURACY.fullmatch, figures)):
        name = f"{match['method']} {match['shots']}"
        mean, half = (figures[f"omniglot {name}: accuracy{end} [share]"] for end in ("", _HALF))
        found.append(
            _row(
                f"{match['shots']}: {_LABELS[match['method']]}",
                f"{100 * mean:.1f} ± {100 * half:.1f}",
                PAPERS.get(name, "-"),
                *_trained(f"omniglot {name}", figures),
            )
        )
    return found


def _trained(about: str, figures: dict[str, float]) -> tuple[str, str]:
    """How many steps and CPU seconds, said so where a GPU helped."""
    steps = figures.get(f"{about}: training steps [count]")
    if steps is None:
        return "-", "-"
    beside = ", and a GPU" if figures[f"{about}: trained on a GPU [0 or 1]"] else ""
    return f"{steps:.0f}", f"{figures[f'{about}: training time [CPU s]']:.0f}{beside}"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def losses(waves: Measured, characters: Measured) -> Figure:
    """The loss while training, a panel per kind of task."""
    places = {"sine waves": waves}
    for name, found in characters.items():
        method, _, shots = name.rpartition(" ")
        places.setdefault(f"Omniglot, {shots}", {})[method] = found
    figure, panels = _figure(len(places))
    for axes, (title, methods) in zip(panels, places.items(), strict=True):
        for method, found in methods.items():
            if "losses" in found:
                steps = np.linspace(0, found["steps"], len(found["losses"]))
                axes.plot(steps, found["losses"], label=_LABELS[method], color=_COLOURS[method], linewidth=1)
        _logarithmic(axes)
        axes.set_title(title)
        axes.set_xlabel("training step")
        axes.legend(frameon=False, fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.22))
    panels[0].set_ylabel("what training makes small")
    return figure


def sinusoids(waves: Measured) -> Figure:
    """Error against gradient steps, every method with its interval."""
    figure, (axes,) = _figure(1)
    for method, found in waves.items():
        mean, half = np.array(found["mean"]), np.array(found["half"])
        steps = np.arange(len(mean))
        axes.plot(steps, mean, label=_LABELS[method], color=_COLOURS[method], marker="o", markersize=3)
        axes.fill_between(steps, mean - half, mean + half, color=_COLOURS[method], alpha=0.2, linewidth=0)
    _logarithmic(axes)
    axes.set_xlabel("gradient steps on ten points")
    axes.set_ylabel("mean squared error on new waves")
    axes.legend(frameon=False, fontsize=8)
    return figure


def wave(waves: Measured) -> Figure:
    """The first of the new waves: ten points, and what is made of them, a panel per method."""
    figure, panels = _figure(len(waves))
    for axes, (method, found) in zip(panels, waves.items(), strict=True):
        first = found["first wave"]
        axes.plot(*first["truth"], color="#BBBBBB", linewidth=3, label="the wave")
        for steps, style in zip(SHOWN_STEPS, (":", "--", "-"), strict=True):
            axes.plot(
                first["truth"][0],
                first["predicted"][steps],
                style,
                color=_COLOURS[method],
                label=_after(steps),
                linewidth=1.2,
            )
        axes.plot(*first["known"], "o", color="#000000", markersize=3, label="known")
        axes.set_title(_LABELS[method], fontsize=9)
        axes.set_ylim(-5.5, 5.5)
    panels[-1].legend(frameon=False, fontsize=7, loc="lower right")
    return figure


def _after(steps: int) -> str:
    return "before" if steps == 0 else "after 1 step" if steps == 1 else f"after {steps} steps"


def _logarithmic(axes: Axes) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())


def _figure(n_panels: int) -> tuple[Figure, list[Axes]]:
    """A figure with so many panels beside each other."""
    figure = Figure(figsize=(max(2.4 * n_panels, 5.4), 3.4), layout="constrained")
    panels = list(np.atleast_1d(figure.subplots(1, n_panels, sharey=n_panels > 3)))
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
    return figure, panels
