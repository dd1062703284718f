"""From what `make bench-stacking` recorded to the tables of docs/stacking.md."""

import re

from app.metalearning.table import TaskType
from benchmarks.recording import ROOT, recorded, with_tables

PAGE = ROOT / "docs" / "stacking.md"


def write_page() -> None:
    """Write the tables anew from what is recorded."""
    PAGE.write_text(tables(PAGE.read_text(), recorded("stacking")))


def tables(page: str, figures: dict[str, float]) -> str:
    """The page with its tables written anew."""
    return with_tables(page, lambda name: _rows(name, figures))


def _rows(table: str, figures: dict[str, float]) -> list[str]:
    kind, _, task_type = table.partition(" ")
    return {"ways": _ways, "verdicts": _verdicts, "datasets": _datasets}[kind](TaskType(task_type), figures)


def _ways(task_type: TaskType, figures: dict[str, float]) -> list[str]:
    """A row per way of stacking."""
    pattern = re.compile(rf"{task_type}: (?P<way>.+), wins \[count\]")
    rows = [
        "| stack | wins | losses | ties | chance of so many wins | loss against the single's, median |",
        "|---|---|---|---|---|---|",
    ]
    for way in [match["way"] for match in map(pattern.fullmatch, figures) if match]:
        wins, losses, ties = (
            figures[f"{task_type}: {way}, {each} [count]"] for each in ("wins", "losses", "ties")
        )
        chance = figures[f"{task_type}: {way}, chance of so many wins if it were a coin [probability]"]
        ratio = figures[f"{task_type}: {way}, loss against the single's, median [ratio]"]
        rows.append(f"| {way} | {wins:.0f} | {losses:.0f} | {ties:.0f} | {chance:.2g} | {ratio:.3f} |")
    return rows


def _verdicts(task_type: TaskType, figures: dict[str, float]) -> list[str]:
    """A row per verdict: how often it was given, and how often the stack was better."""
    rows = ["| verdict of the job | datasets | stack better on the rows aside |", "|---|---|---|"]
    for verdict in ("stack_better", "no_clear_difference", "single_better"):
        given = figures[f"{task_type}: verdict {verdict} [count]"]
        better = figures[f"{task_type}: verdict {verdict}, stack better on the rows aside [count]"]
        rows.append(f"| `{verdict}` | {given:.0f} | {better:.0f} |")
    return rows


def _datasets(task_type: TaskType, figures: dict[str, float]) -> list[str]:
    """A row per dataset."""
    pattern = re.compile(rf"{task_type} (?P<name>.+): rows aside \[count\]")
    rows = [
        "| dataset | rows aside | loss of the single | of the stack | times slower to predict |",
        "|---|---|---|---|---|",
    ]
    for name in sorted(match["name"] for match in map(pattern.fullmatch, figures) if match):
        about = f"{task_type} {name}"
        single, stack = figures[f"{about}: single [loss]"], figures[f"{about}: stack [loss]"]
        times = figures[f"{about}: predict time of the stack against the single's [ratio]"]
        better = f"**{stack:.4g}**" if stack < single else f"{stack:.4g}"
        rows.append(
            f"| {name} | {figures[f'{about}: rows aside [count]']:.0f} | {single:.4g} | {better} | {times:.2g} |"
        )
    return rows
