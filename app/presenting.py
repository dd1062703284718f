"""Answers as people read them: tables for the terminal."""

from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from app.sentences import honest_sentences, stack_sentence, why_no_score

if TYPE_CHECKING:  # the command starts without the libraries that count
    from app.metalearning.contents import Contents


def ranking_table(recommendation: dict[str, Any]) -> Table:
    """The zero-shot ranking."""
    table = _table(
        f"Recommended by {recommendation['strategy']} before anything was run: {recommendation['metric']}"
    )
    _numbers(table, "expected", "90 % interval", "beats SBS", "fit, s")
    for each in recommendation["candidates"]:
        expected, probability = each["expected"], each["probability_beats_single_best"]
        table.add_row(
            str(each["rank"]),
            each["configuration"],
            f"{expected['score']:.4g}",
            f"{expected['low']:.3g} … {expected['high']:.3g}",
            "is SBS" if probability is None else f"{probability:.0%}",
            f"{each['fit_cpu_seconds']:.2g}",
        )
    return table


def leaderboard_table(result: dict[str, Any]) -> Table:
    """The verified leaderboard."""
    metric = result["metric"]
    others = [name for name in result["leaderboard"][0]["scores"] if name != metric][:2]
    table = _table("Verified on your data, out-of-fold")
    _numbers(table, metric, *others, "fit, s")
    for row in result["leaderboard"]:
        table.add_row(
            f"{row['rank']}*" if row["name"] == result["winner"] else f"{row['rank']} ",
            row["name"],
            *(f"{row['scores'][name]:.4f}" for name in (metric, *others)),
            f"{row['fit_cpu_seconds']:.2f}",
            style="bold" if row["name"] == result["winner"] else "",
        )
    return table


def contents_by_task_type(contents: "Contents") -> list[tuple[str, ...]]:
    """Rows of a table of the meta-dataset: what is counted, then a column per task type."""
    shown = {
        "datasets": [f"{each.datasets:,}" for each in contents.task_types],
        "groups of datasets": [f"{each.groups:,}" for each in contents.task_types],
        "algorithms measured": [f"{each.algorithms}" for each in contents.task_types],
        "configurations measured": [f"{each.configurations}" for each in contents.task_types],
        "configurations in the portfolio": [f"{each.portfolio}" for each in contents.task_types],
        "datasets times portfolio, measured": [f"{each.measured_share:.1%}" for each in contents.task_types],
        "CPU hours of fits and predictions": [f"{each.cpu_hours:.2f}" for each in contents.task_types],
        "cells": [f"{sum(each.cells.values()):,}" for each in contents.task_types],
    }
    for status in sorted({status for each in contents.task_types for status in each.cells}):
        shown[f"cells: {status}"] = [f"{each.cells.get(status, 0):,}" for each in contents.task_types]
    return [(name, *values) for name, values in shown.items()]


def contents_as_a_whole(contents: "Contents") -> list[tuple[str, str]]:
    """How the meta-dataset was measured, and its size: names and values."""
    probe = contents.probe_seconds
    return [
        ("experiment protocol", ", ".join(map(str, contents.protocols))),
        ("threads per fit", ", ".join(map(str, contents.threads))),
        *(
            (library, ", ".join(f"{version} ({count:,} cells)" for version, count in versions.items()))
            for library, versions in contents.versions.items()
        ),
        (
            "probe of the machine",
            f"{probe.least:.3f} to {probe.most:.3f} CPU seconds, median {probe.median:.3f}",
        ),
        ("in the package", f"{contents.bytes / 1e6:.1f} MB"),
    ]


def _table(title: str) -> Table:
    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("#", justify="right", min_width=2)
    table.add_column("configuration", no_wrap=True)
    return table


def _numbers(table: Table, *names: str) -> None:
    for name in names:
        # Headers may wrap at a blank, values never do.
        table.add_column(name.replace("_", " "), justify="right", min_width=13 if "%" in name else 6)


def progress_sentence(job: dict[str, Any]) -> str:
    """What the job does, the best so far, and the time left where it can be told."""
    state = job["progress"]
    running = [each["configuration"] for each in job["experiments"] if each["status"] == "running"]
    best, left, step = state["best"], state["estimated_seconds_left"], state["step"]
    said = [f"{state['phase']} {', '.join(running)}".strip()]
    if step is not None:
        said.append(f"{step['phase']} {step['done']} of {step['total']}")
    if best is not None:
        said.append(f"best {best['configuration']} ({best['metric']} {best['score']:.4g})")
    if left is not None:
        said.append(f"about {left:.0f} s left" if left >= 1 else "nearly done")
    return "; ".join(said)


def experiment_lines(job: dict[str, Any]) -> list[str]:
    """Experiments that ended without a score, with the reason."""
    return [
        f"{each['configuration']}: {each['outcome'] or each['status']}. {why_no_score(each)}"
        for each in job["experiments"]
        if each["status"] not in ("queued", "running") and each["scores"] is None
    ]


def model_sentence(result: dict[str, Any]) -> str:
    """What the user gets, and whether stacking helped."""
    if result["model_id"] is None:
        return f"{result['no_model_because']} {result['winner']} leads; a larger budget also gives the model."
    sentences = [
        f"* {result['winner']} was refitted on all rows.",
        *honest_sentences(result),
        stack_sentence(result),
    ]
    return "\n".join(sentences)


def metafeature_table(facts: dict[str, Any], families: dict[str, str]) -> Table:
    """Metafeatures by family, with the seconds that each family took; `families` has each one's by its name."""
    table = Table("family", "metafeature", "value", title=f"{facts['n_rows']} rows, {facts['task_type']}")
    absent, before = set(facts["absent_metafeatures"]), ""
    for name, value in facts["metafeatures"].items():
        family = families[name]
        heading = f"{family} ({facts['metafeature_seconds'].get(family, 0.0):.2f} s)"
        shown = f"{value:.6g}" if value is not None else "no time" if name in absent else "missing"
        table.add_row("" if family == before else heading, name, shown)
        before = family
    return table
