"""Write the tables and figures of docs/meta-dataset.md anew from what ships: python -m scripts.write_meta_dataset_page.

Everything between `<!-- table NAME -->` and `<!-- end of table -->` is replaced; numbers there are never typed.
"""

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from app.metalearning import protocol
from app.metalearning.baselines import average_ranks
from app.metalearning.contents import Contents, load_contents
from app.metalearning.metadataset import DATA_DIR, read_evaluations
from app.metalearning.metafeatures import LEARNED
from app.metalearning.table import TaskType
from app.presenting import contents_as_a_whole, contents_by_task_type
from scripts.meta_dataset_analysis import Judged, complementarity, judge

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "meta-dataset.md"
EVIDENCE = ROOT / "benchmarks" / "results" / "evidence.json"
_TABLE = re.compile(r"(?<=<!-- table )(?P<name>[\w ]+)( -->\n).*?(?=<!-- end of table -->)", re.DOTALL)
_PORTFOLIO_SIZES = (1, 2, 3, 5, 10, 20)
# Why there is no score, where the evaluation says no more than its status.
_LIMITS = {
    "timeout": f"a fit took more than {protocol.FIT_CPU_SECONDS:.0f} CPU seconds",
    "memory": "more memory than the limit",
    "crash": "the process died",
}
_NOT_TRIED = "not_applicable"


def main() -> None:
    """Write tables and figures."""
    from scripts.meta_dataset_plots import write_plots  # noqa: PLC0415  tables need no drawing library

    rows = read_evaluations(DATA_DIR / "evaluations.parquet")
    both = [judge(task_type, rows) for task_type in TaskType]
    PAGE.write_text(with_tables(PAGE.read_text(), rows, both))
    paths = write_plots(both, PAGE.parent)
    print(f"{PAGE.name} shows {len(rows):,} evaluations, in tables and {len(paths)} figures.")


def with_tables(page: str, rows: list[dict[str, Any]], both: list[Judged]) -> str:
    """The page with the tables of what ships now."""
    contents = load_contents().contents
    classification, regression = both
    tables: dict[str, Callable[[], list[str]]] = {
        "contents": lambda: _contents(contents),
        "datasets": lambda: _datasets(both),
        "failures": lambda: _failures(rows),
        "not tried": lambda: _not_tried(rows),
        "portfolios": lambda: _portfolios(both),
        "classification": lambda: _configurations(classification),
        "regression": lambda: _configurations(regression),
        "checks": _checks,
    }
    return _TABLE.sub(lambda found: "\n".join([f"{found['name']} -->", *tables[found["name"]](), ""]), page)


def _contents(contents: Contents) -> list[str]:
    names = ("", *(each.task_type for each in contents.task_types))
    counts = _markdown(names, contents_by_task_type(contents))
    return [
        *counts,
        "",
        *_markdown(("how it was measured", ""), contents_as_a_whole(contents), numbers=False),
    ]


def _datasets(both: list[Judged]) -> list[str]:
    """Quartiles of what the complete datasets are like."""
    shown = {"rows": "nr_inst", "columns": "nr_attr", "classes": "nr_class"}
    shares = {"share of categorical columns": "cat_share", "share of missing values": "missing_share"}
    rows = []
    for judged in both:
        for label, name in {**shown, **shares}.items():
            values = judged.evidence.metafeatures[:, LEARNED.index(name)]
            if not np.isnan(values).all():
                quartiles = np.nanquantile(values, [0, 0.25, 0.5, 0.75, 1])
                style = "{:.0%}" if name.endswith("share") else "{:,.0f}"
                rows.append((f"{judged.task_type}: {label}", *(style.format(each) for each in quartiles)))
    return _markdown(("datasets", "least", "quarter", "median", "three quarters", "most"), rows)


def _failures(rows: list[dict[str, Any]]) -> list[str]:
    """Configurations that were tried and left no score, on which datasets, and why."""
    lines = [
        (f"`{configuration}`", status, str(len(datasets)), reason, ", ".join(sorted(datasets)))
        for (configuration, status, reason), datasets in _without_score(rows).items()
        if status != _NOT_TRIED
    ]
    return _markdown(("configuration", "status", "cells", "why", "datasets"), lines, numbers=False)


def _not_tried(rows: list[dict[str, Any]]) -> list[str]:
    """Configurations that do not apply to some datasets, and why."""
    lines = [
        (f"`{configuration}`", reason, str(len(datasets)))
        for (configuration, status, reason), datasets in _without_score(rows).items()
        if status == _NOT_TRIED
    ]
    return (
        _markdown(("configuration", "why", "datasets"), lines, text_columns=2)
        if lines
        else ["There are none."]
    )


def _without_score(rows: list[dict[str, Any]]) -> dict[tuple[str, str, str], list[str]]:
    """The datasets by configuration, status and reason, the most frequent first."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        if row["status"] != "ok":
            found.setdefault((row["configuration"], row["status"], _reason(row)), []).append(row["dataset"])
    return dict(sorted(found.items(), key=lambda item: (-len(item[1]), item[0])))


def _reason(row: dict[str, Any]) -> str:
    """The first sentence of the error, without what differs from dataset to dataset."""
    if row["status"] in _LIMITS:
        return _LIMITS[row["status"]]
    error = row["error"] or "unknown"
    sentence = error.rpartition("could not learn from this dataset: ")[2].split(". ")[0].strip().rstrip(".")
    shown = sentence if row["status"] == _NOT_TRIED else re.sub(r"\d+", "N", sentence)
    return shown.replace("|", "\\|")[:160]


def _portfolios(both: list[Judged]) -> list[str]:
    """Mean normalised regret by size of the greedy portfolio, held out."""
    rows = []
    for judged in both:
        found = complementarity(judged)
        sizes = [size for size in _PORTFOLIO_SIZES if size <= len(found.held_out)]
        for label, values in (("seen datasets", found.seen), ("held-out groups", found.held_out)):
            rows.append((f"{judged.task_type}, {label}", *(f"{values[size - 1]:.3f}" for size in sizes)))
        rows.append(
            (f"{judged.task_type}, single best, held-out groups", f"{found.held_out_single_best:.3f}")
        )
    return _markdown(("tried", *map(str, _PORTFOLIO_SIZES)), rows)


def _configurations(judged: Judged) -> list[str]:
    """Every configuration: how good, how dear, the least mean regret first."""
    regret = judged.evidence.regret
    best = judged.losses <= judged.losses.min(axis=1, keepdims=True)
    memory = judged.column("peak_memory_bytes") / 1e6
    columns = {
        "best on": (best.mean(axis=0), "{:.0%}"),
        "within 1 %": (judged.close.mean(axis=0), "{:.0%}"),
        "mean regret": (regret.mean(axis=0), "{:.2f}"),
        "median regret": (np.median(regret, axis=0), "{:.2f}"),
        "mean rank": (average_ranks(regret), "{:.1f}"),
        "fit, median CPU s": (np.quantile(judged.fit_seconds, 0.5, axis=0, method="lower"), "{:.2g}"),
        "fit, 90 %": (np.quantile(judged.fit_seconds, 0.9, axis=0, method="lower"), "{:.2g}"),
        "memory, median MB": (np.nanmedian(memory, axis=0), "{:.0f}"),
        "no score": (np.isinf(judged.losses).sum(axis=0), "{:.0f}"),
    }
    order = np.argsort(regret.mean(axis=0), kind="stable")
    rows = [
        (
            f"`{judged.evidence.configurations[index]}`",
            *(style.format(v[index]).replace("inf", "—") for v, style in columns.values()),
        )
        for index in order
    ]
    return _markdown(("configuration", *columns), rows)


def _checks() -> list[str]:
    """The cells that `make bench-evidence` measured again."""
    cells: dict[tuple[str, str, str], dict[str, float]] = {}
    pattern = re.compile(r"(\S+) (\S+) (shipped|again|plain scikit-learn) \[(roc_auc|log_loss|rmse)\]")
    for figure, value in json.loads(EVIDENCE.read_text()).items():
        if found := pattern.fullmatch(figure):
            dataset, configuration, way, metric = found.groups()
            cells.setdefault((dataset, configuration, metric), {})[way] = value
    ways = ("shipped", "again", "plain scikit-learn")
    rows = [
        (dataset, f"`{configuration}`", metric, *(f"{scores[way]:.6f}" for way in ways))
        for (dataset, configuration, metric), scores in cells.items()
    ]
    return _markdown(("dataset", "configuration", "metric", *ways), rows, text_columns=3)


def _markdown(
    names: Iterable[str], rows: Iterable[Iterable[str]], *, numbers: bool = True, text_columns: int = 1
) -> list[str]:
    """A table; behind the first columns are numbers, aligned to the right."""
    header = list(names)
    right = len(header) - text_columns if numbers else 0
    marks = ["---"] * (len(header) - right) + ["---:"] * right
    padded = ([*row, *[""] * len(header)][: len(header)] for row in rows)
    return [f"| {' | '.join(cells)} |" for cells in (header, marks, *padded)]


if __name__ == "__main__":
    main()
