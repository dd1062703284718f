"""Fit every configuration, write it as ONNX, and tell in docs/models.md which convert: python scripts/write_onnx_table.py.

It takes a few minutes of one core.
"""

import re
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from app.config import pin_threads

pin_threads()

import numpy as np  # noqa: E402  threads are fixed before any numeric library loads
import pyarrow as pa  # noqa: E402
import skops.io  # noqa: E402

from app.metalearning.columns import Declaration, type_table  # noqa: E402
from app.metalearning.expected import describe_columns  # noqa: E402
from app.metalearning.portfolio import Configuration, configurations_of  # noqa: E402
from app.metalearning.table import Table, TaskType, write_table  # noqa: E402
from workers.experiments import evaluation, pipelines  # noqa: E402
from workers.experiments.contract import ARTIFACT_FILE, ONNX_FILE  # noqa: E402
from workers.experiments.exporting.child import export  # noqa: E402

PAGE = Path(__file__).parents[1] / "docs" / "models.md"
_MARKED = re.compile(r"(?<=<!-- onnx -->\n).*?(?=<!-- end of onnx -->)", re.DOTALL)
_N_ROWS = 400


def main() -> None:
    """Write the table of today."""
    told = [
        (configuration, exported(configuration, a_table(configuration.task_type)))
        for task_type in TaskType
        for configuration in configurations_of(task_type)
        if not configuration.algorithm.requirements.gpu
    ]
    PAGE.write_text(_MARKED.sub(lambda _: f"\n{as_text(told)}\n\n", PAGE.read_text()))


def exported(configuration: Configuration, table: Table) -> dict[str, Any]:
    """What the card says of the configuration, fitted on the table."""
    model = evaluation.fit_pipeline(
        configuration, pipelines.features(table), table.target_values, table.task_type
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_table(table, folder / "table.parquet")
        skops.io.dump(model, folder / ARTIFACT_FILE)
        payload = {
            "table": str(folder / "table.parquet"),
            "folder": name,
            "card": card_of(table, folder / ARTIFACT_FILE),
        }
        told = export(payload, lambda _: None)
        size = (folder / ONNX_FILE).stat().st_size if told["available"] else 0
    print(
        configuration.id,
        told["available"],
        told["max_difference"],
        told["reason"] or f"{size:,} bytes",
        flush=True,
    )
    return told


def card_of(table: Table, artifact: Path) -> dict[str, Any]:
    """What exporting needs of a card."""
    return {
        "columns": describe_columns(table),
        "target": table.target,
        "task_type": table.task_type,
        "classes": list(table.classes),
        "class_type": table.class_type,
        "artifact": {"trusted_types": skops.io.get_untrusted_types(file=artifact)},
    }


def a_table(task_type: TaskType) -> Table:
    """Numbers, categories (one of them rare), dates and truth values with gaps, and a target that depends on them."""
    random = np.random.default_rng(0)
    size, weight = random.normal(size=(2, _N_ROWS))
    colour = random.choice(["red", "green", "blue", "teal"], _N_ROWS, p=[0.4, 0.3, 0.29, 0.01])
    maker = np.array([f"maker {number}" for number in random.geometric(0.05, _N_ROWS)])
    days = random.integers(0, 4000, _N_ROWS)
    old = random.random(_N_ROWS) < 0.4
    signal = size + np.where(colour == "red", 1.5, 0) + old + days / 2000 + random.normal(size=_N_ROWS) / 2
    target = (
        signal if task_type is TaskType.REGRESSION else np.digitize(signal, np.quantile(signal, [0.3, 0.7]))
    )
    columns: dict[str, Any] = {
        name: pa.array(values, mask=random.random(_N_ROWS) < 0.08)
        for name, values in {
            "size": size,
            "weight": weight.round(2),
            "colour": colour,
            "maker": maker,
            "old": old,
            "made": np.datetime64("2015-01-01") + days,
        }.items()
    }
    return type_table(pa.table({**columns, "y": target}), Declaration("y", task_type))[0]


def as_text(told: list[tuple[Configuration, dict[str, Any]]]) -> str:
    """How many convert, and a line per algorithm and outcome."""
    count = sum(each["available"] for _, each in told)
    rows: Counter[tuple[str, str, str]] = Counter()
    largest: dict[tuple[str, str, str], float] = {}
    for configuration, each in told:
        key = (configuration.algorithm.name, configuration.task_type, each["reason"] or "")
        rows[key] += 1
        largest[key] = max(largest.get(key, 0.0), each["max_difference"] or 0.0)
    lines = [
        f"{count} of {len(told)} configurations convert, and predict the same.",
        "",
        "| algorithm | task type | configurations | ONNX | largest difference |",
        "|---|---|---|---|---|",
    ]
    for key, n in sorted(rows.items()):
        name, task_type, reason = key
        difference = f"{largest[key]:.1e}" if largest[key] or not reason else "-"
        lines.append(f"| `{name}` | {task_type} | {n} | {reason or 'yes'} | {difference} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
