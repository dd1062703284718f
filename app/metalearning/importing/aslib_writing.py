"""Write a performance matrix as an ASlib scenario; `aslib.read_scenario` reads it back the same."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from app.errors import NamesUnusableError
from app.metalearning.evidence import deal_folds
from app.metalearning.importing.matrix import MISSING, STATUSES, PerformanceMatrix

_STEP = "metafeatures"
_N_FOLDS = 10
README_FILE = "readme.txt"
_SECONDS = "run_seconds"
_ESCAPED = {"\\": "\\\\", "'": "\\'"}

Row = Iterable[str | float]


def write_scenario(
    matrix: PerformanceMatrix,
    folder: Path,
    scenario_id: str,
    *,
    cutoff_seconds: float | None = None,
    readme: str = "",
) -> None:
    """Write the folder of one scenario.

    Known seconds of runs become a second measure, with `cutoff_seconds` where the first is no run time. Without official folds, but with groups, cv.arff holds ten folds of
    whole groups.

    Raises: NamesUnusableError: a name that ASlib needs for itself.
    """
    _refuse_reserved(matrix)
    folder.mkdir(parents=True, exist_ok=True)
    cutoff = matrix.measure.cutoff_seconds if matrix.measure.is_run_time else cutoff_seconds
    _write_description(matrix, folder / "description.txt", scenario_id, cutoff)
    _write_runs(matrix, folder / "algorithm_runs.arff", scenario_id)
    features = (
        (dataset, 1.0, *values) for dataset, values in zip(matrix.datasets, matrix.features, strict=True)
    )
    numeric = dict.fromkeys(matrix.feature_names, "NUMERIC")
    _write_arff(folder / "feature_values.arff", f"FEATURE_VALUES_{scenario_id}", numeric, features)
    states = ((dataset, 1.0, "ok") for dataset in matrix.datasets)
    kinds = {_STEP: "{ok, timeout, memout, presolved, crash, other}"}
    _write_arff(folder / "feature_runstatus.arff", f"FEATURE_RUNSTATUS_{scenario_id}", kinds, states)
    if not np.isnan(matrix.feature_seconds).all():
        costs = (
            (dataset, 1.0, cost)
            for dataset, cost in zip(matrix.datasets, matrix.feature_seconds, strict=True)
        )
        _write_arff(folder / "feature_costs.arff", f"FEATURE_COSTS_{scenario_id}", {_STEP: "NUMERIC"}, costs)
    _write_folds(matrix, folder / "cv.arff", scenario_id)
    if readme:
        (folder / README_FILE).write_text(readme)


def _refuse_reserved(matrix: PerformanceMatrix) -> None:
    columns = [*matrix.feature_names, matrix.measure.name]
    reserved = {"instance_id", "repetition", "algorithm", "runstatus", _SECONDS}
    for name in columns:
        if name.lower() in reserved:
            raise NamesUnusableError(
                f"A scenario needs the name {name!r} for itself.", "Rename the metafeature or the measure."
            )


def _write_description(
    matrix: PerformanceMatrix, path: Path, scenario_id: str, cutoff_seconds: float | None
) -> None:
    measure = matrix.measure
    timed = _is_timed(matrix)
    cutoff = _yaml("?") if cutoff_seconds is None else repr(cutoff_seconds)
    lines = [
        f"scenario_id: {_yaml(scenario_id)}",
        "performance_measures:",
        *_items([measure.name, *([_SECONDS] if timed else [])]),
        "maximize:",
        *(["    - true"] if measure.larger_is_better else ["    - false"]),
        *(["    - false"] if timed else []),
        "performance_type:",
        "    - runtime" if measure.is_run_time else "    - solution_quality",
        *(["    - runtime"] if timed else []),
        f"algorithm_cutoff_time: {cutoff}",
        f"algorithm_cutoff_memory: {_yaml('?')}",
        f"features_cutoff_time: {_yaml('?')}",
        f"features_cutoff_memory: {_yaml('?')}",
        "features_deterministic:",
        *_items(matrix.feature_names),
        "features_stochastic: []",
        "number_of_feature_steps: 1",
        "feature_steps:",
        f"    {_STEP}:",
        "        provides:",
        *_items(matrix.feature_names, indent=12),
        "default_steps:",
        *_items([_STEP]),
        "metainfo_algorithms:",
    ]
    for name in matrix.algorithms:
        lines += [f"    {_yaml(name)}:", "        configuration: ''", "        deterministic: true"]
    path.write_text("\n".join(lines) + "\n")


def _write_runs(matrix: PerformanceMatrix, path: Path, scenario_id: str) -> None:
    """One row per cell, so that all names are there; a run that never was has neither performance nor status."""
    timed = _is_timed(matrix)
    attributes = {
        "algorithm": "STRING",
        matrix.measure.name: "NUMERIC",
        **({_SECONDS: "NUMERIC"} if timed else {}),
        "runstatus": f"{{{', '.join(STATUSES[:-1])}}}",
    }
    runs = (
        (
            dataset,
            1.0,
            algorithm,
            matrix.performances[row, column],
            *([matrix.seconds[row, column]] if timed else []),
            np.nan if matrix.statuses[row, column] == MISSING else STATUSES[matrix.statuses[row, column]],
        )
        for row, dataset in enumerate(matrix.datasets)
        for column, algorithm in enumerate(matrix.algorithms)
    )
    _write_arff(path, f"ALGORITHM_RUNS_{scenario_id}", attributes, runs)


def _write_folds(matrix: PerformanceMatrix, path: Path, scenario_id: str) -> None:
    folds = matrix.folds
    if not len(folds) and matrix.groups:
        folds = deal_folds(matrix.groups, _N_FOLDS)[None] + 1
    if not len(folds):
        return
    rows = (
        (dataset, repetition, float(fold))
        for repetition, partition in enumerate(folds, start=1)
        for dataset, fold in zip(matrix.datasets, partition, strict=True)
    )
    _write_arff(path, f"CV_{scenario_id}", {"fold": "NUMERIC"}, rows)


def _write_arff(path: Path, relation: str, attributes: dict[str, str], rows: Iterable[Row]) -> None:
    """Attributes come behind instance_id and repetition, which every file of a scenario begins with."""
    declared = {"instance_id": "STRING", "repetition": "NUMERIC", **attributes}
    with path.open("w", encoding="utf-8") as file:
        file.write(f"@RELATION {_quoted(relation)}\n\n")
        file.writelines(f"@ATTRIBUTE {_quoted(name)} {kind}\n" for name, kind in declared.items())
        file.write("\n@DATA\n")
        file.writelines(",".join(map(_cell, row)) + "\n" for row in rows)


def _cell(value: str | float) -> str:
    if isinstance(value, str):
        return _quoted(value)
    if np.isnan(value):
        return "?"
    return str(int(value)) if float(value).is_integer() and abs(value) < 2**53 else repr(float(value))


def _quoted(text: str) -> str:
    """A word as it is where nothing in it means anything to ARFF, else between quotes."""
    if text.replace("_", "").replace("-", "").replace(".", "").isalnum() and text.isascii():
        return text
    return "'" + "".join(_ESCAPED.get(letter, letter) for letter in text) + "'"


def _items(texts: Iterable[str], indent: int = 4) -> list[str]:
    return [f"{' ' * indent}- {_yaml(text)}" for text in texts]


def _yaml(text: str) -> str:
    """A YAML text between single quotes."""
    return "'" + text.replace("'", "''") + "'"


def _is_timed(matrix: PerformanceMatrix) -> bool:
    return not np.isnan(matrix.seconds).all()
