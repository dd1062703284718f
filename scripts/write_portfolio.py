"""Write the tables of docs/portfolio.md anew from the portfolio: python scripts/write_portfolio.py."""

import re
from pathlib import Path

from app.metalearning.portfolio import ALGORITHMS, Algorithm, configurations_of
from app.metalearning.portfolio.spaces import Choice, Hyperparameter
from app.metalearning.table import TaskType

PAGE = Path(__file__).parents[1] / "docs" / "portfolio.md"
_MARKED = r"(?<=<!-- {0} -->\n).*?(?=<!-- end of {0} -->)"


def with_tables(page: str) -> str:
    """The page with the tables of today's portfolio."""
    for name, table in (("algorithms", algorithms()), ("spaces", spaces()), ("configurations", chosen())):
        page = re.sub(_MARKED.format(name), lambda _, text=table: f"\n{text}\n\n", page, flags=re.DOTALL)
    return page


def algorithms() -> str:
    """One line per algorithm: what it is and what it needs."""
    lines = [
        "| algorithm | family | classification | regression | configurations | licence | cannot run on |",
        "|---|---|---|---|---|---|---|",
    ]
    for each in ALGORITHMS.values():
        counts = [
            sum(one.algorithm is each for one in configurations_of(task_type)) for task_type in TaskType
        ]
        cells = (
            f"`{each.name}`",
            each.family.replace("_", " "),
            _estimator(each.classifier),
            _estimator(each.regressor),
            " + ".join(str(count) for count in counts if count),
            each.requirements.licence,
            _limits(each) or "-",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def spaces() -> str:
    """One line per hyperparameter."""
    lines = ["| algorithm | hyperparameter | range | scale | default | only |", "|---|---|---|---|---|---|"]
    for algorithm in ALGORITHMS.values():
        for each in algorithm.hyperparameters:
            scale = "log" if getattr(each, "log", False) else "-" if isinstance(each, Choice) else "linear"
            cells = (
                f"`{algorithm.name}`",
                f"`{each.name}`",
                _range(each),
                scale,
                f"`{each.default!r}`",
                _only(each),
            )
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def chosen() -> str:
    """One line per configuration, cheap ones first."""
    lines = ["| configuration | hyperparameters |", "|---|---|"]
    for task_type in TaskType:
        for each in configurations_of(task_type):
            values = ", ".join(f"{name}={value!r}" for name, value in each.hyperparameters.items())
            lines.append(f"| `{each.id}` | {f'`{values}`' if values else 'the library defaults'} |")
    return "\n".join(lines)


def _estimator(path: str | None) -> str:
    return f"`{path}`" if path else "-"


def _limits(algorithm: Algorithm) -> str:
    needs = algorithm.requirements
    limits = [
        f"more than {most:,} {things}"
        for most, things in (
            (needs.most_rows, "rows"),
            (needs.most_columns, "columns"),
            (needs.most_classes, "classes"),
        )
        if most is not None
    ]
    if needs.fewest_rows_per_class > 1:
        limits.append(f"a class of fewer than {needs.fewest_rows_per_class} rows")
    if needs.more_rows_per_class_than_columns:
        limits.append("a class with no more rows than there are columns")
    if needs.gpu:
        limits.append("a machine without a GPU")
    return "; ".join(limits)


def _range(hyperparameter: Hyperparameter) -> str:
    if isinstance(hyperparameter, Choice):
        return ", ".join(f"`{value!r}`" for value in hyperparameter.values)
    kind = "whole numbers " if isinstance(hyperparameter.low, int) else ""
    return f"{kind}{hyperparameter.low:g} to {hyperparameter.high:g}"


def _only(hyperparameter: Hyperparameter) -> str:
    parts = [str(hyperparameter.only)] if hyperparameter.only else []
    if hyperparameter.when is not None:
        values = " or ".join(f"`{value!r}`" for value in hyperparameter.when.values)
        parts.append(f"where `{hyperparameter.when.name}` is {values}")
    return ", ".join(parts) or "-"


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text()))
    print(f"{PAGE.name} shows the portfolio.")
