"""A model card for people: the same facts as its JSON, as Markdown (Mitchell et al. 2019)."""

from collections.abc import Iterable
from typing import Any

_MOST_COLUMNS = 50
_MOST_CATEGORIES, _LONGEST_CATEGORY = 5, 40
_SPECIAL = str.maketrans({each: f"\\{each}" for each in "\\`*_{}[]<>()#+-.!|~$&"} | {"\n": " ", "\r": " "})


def as_markdown(model_id: str, card: dict[str, Any]) -> str:
    """The card; whatever a client named is escaped, so that it is shown as it is and nothing else."""
    score = card["scores"].get(card["metric"])
    lines = [
        f"# Model {_text(model_id)}",
        f"Predicts {_text(card['target'])} ({_text(card['task_type'])}) on data like {_text(card['dataset']['name'])}.",
        f"{_text(card['metric'])} {_number(score)}{_interval(card)}, from {_text(card['scores_from'])}.",
        "## What it is",
        *_table(
            ("configuration", "algorithm", "hyperparameters"),
            (
                (each["id"], each["algorithm"], _settings(each["hyperparameters"]))
                for each in card["configurations"]
            ),
        ),
        *_stack(card),
        "## How well it does",
        *_table(("metric", "score"), sorted(card["scores"].items())),
        f"Splits: {_text(card['splits'])}.",
        *_folds(card),
        *_runner_up(card),
        *_calibration(card),
        *_importance(card),
        *_learning_curve(card),
        "## What it was fitted on",
        f"{card['dataset']['n_rows']:,} rows, {len(card['columns']):,} columns.",
        *_columns(card["columns"]),
        *_classes(card),
        "## Limits",
        *_list(card["limits"]),
        "## To load it",
        f"```python\nskops.io.load(path, trusted={card['artifact']['trusted_types']!r})\n```",
        *_onnx(card),
        *_table(("library", "version"), card["versions"].items()),
        f"Seed: {_text(card['seed'])}.",
    ]
    return "\n\n".join(lines) + "\n"


def _stack(card: dict[str, Any]) -> list[str]:
    """How it was stacked, or why it is a single one."""
    stack, comparison = card.get("stack"), card.get("stack_comparison")
    if comparison is None:
        return []
    lines = [_text(comparison["because"])] if "because" in comparison else []
    if stack and card["winner"] == "stack":
        lines.insert(0, f"Stacked by {_text(stack['meta_model'])}.")
        if "weights" in stack:
            lines += _table(("configuration", "weight"), stack["weights"].items())
    return lines


def _folds(card: dict[str, Any]) -> list[str]:
    """The spread over the folds; cards of before did not have it."""
    scores = [each for each in card.get("fold_scores", ()) if each is not None]
    if not scores:
        return []
    return [f"On single folds {_text(card['metric'])} is {_number(min(scores))} to {_number(max(scores))}."]


def _runner_up(card: dict[str, Any]) -> list[str]:
    told = card.get("runner_up")
    if not told or told["verdict"] is None:
        return []
    ends = f"{_number(told['low'])} to {_number(told['high'])}"
    return [
        (
            f"{_text(told['first'])} has {_number(told['difference'])} less loss than {_text(told['second'])} "
            f"(90 % interval {ends}): {_text(told['verdict'].replace('_', ' '))}."
        )
    ]


def _interval(card: dict[str, Any]) -> str:
    found = _diagnosis(card).get("interval")
    return f" \\(90 % interval {_number(found[0])} to {_number(found[1])}\\)" if found else ""


def _importance(card: dict[str, Any]) -> list[str]:
    """The columns that it looks at most."""
    columns = (_diagnosis(card).get("importance") or {}).get("columns")
    if not columns:
        return []
    rows = ((each["name"], each["mean"], each["sd"]) for each in columns)
    return [
        "## What it looks at",
        "By how much its loss grows when a column's values change places, on rows that were held out.",
        *_table(("column", "growth of the loss", "standard deviation"), rows),
    ]


def _learning_curve(card: dict[str, Any]) -> list[str]:
    """What it scored after few rows: whether more rows would help."""
    metric = card["metric"]
    points = [each for each in card.get("learning_curve") or () if each.get(metric) is not None]
    if not points:
        return []
    rows = ((each["anchor"], each[metric]) for each in points)
    return ["## How it learns", *_table(("rows", metric), rows)]


def _diagnosis(card: dict[str, Any]) -> dict[str, Any]:
    """Cards of before did not have it."""
    found: dict[str, Any] = card.get("diagnosis") or {}
    return found


def _calibration(card: dict[str, Any]) -> list[str]:
    told = card.get("calibration")
    if not told:
        return []
    rows = ((name, told["before"].get(name), after) for name, after in sorted(told["after"].items()))
    return [
        f"Its probabilities are calibrated ({_text(told['method'])}):",
        *_table(("metric", "before", "after"), rows),
    ]


def _onnx(card: dict[str, Any]) -> list[str]:
    """Whether there is a file for other runtimes; cards of before did not have it."""
    told = card["artifact"].get("onnx")
    if told is None:
        return []
    if not told["available"]:
        return [f"There is no ONNX file. {_text(told['reason'])}"]
    difference = _number(told["max_difference"])
    unit = "a standard deviation" if card["task_type"] == "regression" else "a probability"
    return [
        f"As ONNX it predicts the same: on {told['rows']:,} rows the largest difference is {difference} of {unit}."
    ]


def _columns(columns: list[dict[str, Any]]) -> list[str]:
    shown = columns[:_MOST_COLUMNS]
    more = [f"And {len(columns) - len(shown):,} more."] if len(shown) < len(columns) else []
    rows = ((each["name"], each["type"], _categories(each)) for each in shown)
    return [*_table(("column", "type", "categories"), rows), *more]


def _categories(column: dict[str, Any]) -> str:
    """The first of those that training saw, and how many there were; cards of before did not have them."""
    count = column.get("n_categories")
    if count is None:
        return ""
    shown = (column["categories"] or [])[:_MOST_CATEGORIES]
    rest = f"{count - len(shown):,} {'more' if shown else 'categories'}" if count > len(shown) else ""
    return ", ".join([*(each[:_LONGEST_CATEGORY] for each in shown), *([rest] if rest else [])])


def _classes(card: dict[str, Any]) -> list[str]:
    if not card["classes"]:
        return []
    codes = enumerate(card["classes"][:_MOST_COLUMNS])
    return ["The skops file predicts codes of classes:", *_table(("code", "class"), codes)]


def _table(heads: tuple[str, ...], rows: Iterable[Iterable[Any]]) -> list[str]:
    """One Markdown block, as a list like the others."""
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    return ["\n".join([*lines, *(f"| {' | '.join(map(_cell, row))} |" for row in rows)])]


def _list(items: Iterable[Any]) -> list[str]:
    return ["\n".join(f"- {_text(each)}" for each in items)]


def _settings(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in values.items())


def _cell(value: Any) -> str:
    return _number(value) if isinstance(value, float) or value is None else _text(value)


def _number(value: float | None) -> str:
    return "-" if value is None else _text(f"{value:.4g}")


def _text(value: Any) -> str:
    return str(value).translate(_SPECIAL)
