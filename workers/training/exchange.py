"""Meta-datasets in and out: `metaselect metadataset import` and `export`."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table

from app import failpoints
from app.config import Settings
from app.errors import InvalidRequestError
from app.failpoints import Step
from app.metalearning.importing import (
    Measure,
    PerformanceMatrix,
    read_matrix,
    read_scenario,
    write_matrix,
    write_scenario,
)
from app.metalearning.importing.knowledge import dump, load, summarise
from app.metalearning.importing.shipped import README, shipped_matrix
from app.metalearning.protocol import FIT_CPU_SECONDS
from app.metalearning.table import TaskType
from app.store import metadatasets
from app.store.database import Database, commit
from app.store.migrating import migrate
from workers.training.importing import BEST_CONSTANT, VIRTUAL_BEST, fit_imported

OWNER = "local"
DataDir = Annotated[
    Path | None, typer.Option(help="Folder of the service's database, unless it is elsewhere.")
]
console = Console()


class ExportFormat(StrEnum):
    """What a meta-dataset is written as."""

    ASLIB = "aslib"
    PARQUET = "parquet"


def import_meta_dataset(
    name: Annotated[str, typer.Option(help="What requests call it.")],
    path: Annotated[Path | None, typer.Argument(help="Folder of an ASlib scenario.")] = None,
    performances: Annotated[Path | None, typer.Option(help="Instead: a table of performances.")] = None,
    metafeatures: Annotated[Path | None, typer.Option(help="And one of metafeatures.")] = None,
    measure: Annotated[
        str | None, typer.Option(help="What was measured; of a scenario, which of its measures.")
    ] = None,
    larger_is_better: Annotated[
        bool | None, typer.Option("--larger-is-better/--smaller-is-better", help="Of a table's performances.")
    ] = None,
    cutoff: Annotated[
        float | None,
        typer.Option(min=0, help="Performances are run times, given up after so many seconds (PAR10)."),
    ] = None,
    common_only: Annotated[
        bool, typer.Option("--common-only", help="Leave out datasets that only one table has.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Learn from performances of any algorithms; one of the same name is replaced."""
    metadatasets.check_name(name)
    if path is not None:
        matrix = read_scenario(path, measure)
    elif performances is not None and metafeatures is not None:
        read_as = _measure(measure, larger_is_better, cutoff)
        matrix = read_matrix(performances, metafeatures, read_as, common_only=common_only)
    else:
        raise InvalidRequestError(
            "Nothing to import is named.",
            "Name a scenario's folder, or files by --performances and --metafeatures.",
        )
    fitted = fit_imported(matrix)
    summary = summarise(matrix, fitted)
    with tempfile.NamedTemporaryFile() as file, _database(data_dir) as database:
        file.write(dump(matrix, fitted))
        file.flush()
        with database.write() as session:
            metadatasets.record(session, owner=OWNER, name=name, path=Path(file.name), summary=summary)
            commit(session, Step.IMPORT_META_DATASET)
    _print_summary(name, summary)


def export_meta_dataset(
    out: Annotated[Path, typer.Argument(help="Folder to write.")],
    name: Annotated[str | None, typer.Option(help="An imported meta-dataset; else the shipped one.")] = None,
    format: Annotated[ExportFormat, typer.Option(help="ASlib scenarios, or tables.")] = ExportFormat.ASLIB,  # noqa: A002  the option's natural name
    data_dir: DataDir = None,
) -> None:
    """Write a meta-dataset for other tools; the shipped one into a folder per task type."""
    if name is None:
        for task_type in TaskType:
            scenario_id = f"metaselect-{task_type}"
            _write(shipped_matrix(task_type), out / task_type, format, scenario_id, FIT_CPU_SECONDS, README)
        return
    with _database(data_dir) as database, database.read() as session:
        matrix = load(metadatasets.content(session, metadatasets.get(session, OWNER, name))).matrix
    _write(matrix, out, format, name)


def print_imported(name: str, data_dir: Path | None) -> None:
    """What is in an imported meta-dataset, and the regret of every way of ranking."""
    with _database(data_dir) as database, database.read() as session:
        summary = metadatasets.get(session, OWNER, name).summary
    _print_summary(name, summary)


def _measure(name: str | None, larger_is_better: bool | None, cutoff: float | None) -> Measure:
    if cutoff is not None:
        return Measure(name or "seconds", larger_is_better=False, is_run_time=True, cutoff_seconds=cutoff)
    if name is None or larger_is_better is None:
        raise InvalidRequestError(
            "What the performances are is not said.",
            "Add --measure NAME with --larger-is-better or --smaller-is-better, or --cutoff for run times.",
        )
    return Measure(name, larger_is_better)


@contextmanager
def _database(data_dir: Path | None) -> Iterator[Database]:
    """The database of the settings, brought to the newest revision as `serve` does it."""
    settings = Settings() if data_dir is None else Settings(data_dir=data_dir)
    failpoints.use(settings.failpoints_dir)
    database = Database(settings)
    migrate(database.engine)
    yield database
    database.engine.dispose()


def _write(
    matrix: PerformanceMatrix,
    folder: Path,
    format: ExportFormat,  # noqa: A002  as the option
    scenario_id: str,
    cutoff_seconds: float | None = None,
    readme: str = "",
) -> None:
    if format is ExportFormat.ASLIB:
        write_scenario(matrix, folder, scenario_id, cutoff_seconds=cutoff_seconds, readme=readme)
    else:
        write_matrix(matrix, folder)
    shape = f"{len(matrix.datasets)} datasets, {len(matrix.algorithms)} algorithms"
    console.print(f"Wrote {folder}: {shape}, {len(matrix.feature_names)} metafeatures.", highlight=False)


def _print_summary(name: str, summary: dict[str, Any]) -> None:
    report = summary["report"]
    runs = ", ".join(f"{count:,} {status}" for status, count in summary["runs"].items())
    console.print(
        f"{name}: {summary['datasets']} datasets in {report['groups']} groups, {len(summary['algorithms'])} "
        f"algorithms, {len(summary['metafeatures'])} metafeatures; runs: {runs}.",
        highlight=False,
    )
    measure, default = summary["measure"], report["default"]
    console.print(_table(f"whole groups held out, {report['folds']} folds", measure, default, report))
    official = report["official"]
    if official is not None:
        console.print(_table(f"the {official['folds']} official folds", measure, default, official))


def _table(title: str, measure: dict[str, Any], default: str, proof: dict[str, Any]) -> Table:
    """One line per way of ranking: normalised regret of the best of the first k, and what the first choice gives."""
    regret, means, closed = proof["regret"], proof["mean_performance"], proof["gap_closed"]
    ks = list(next(iter(regret.values())))
    unit = "PAR10" if measure["cutoff_seconds"] else measure["name"]
    ways = Column("way of ranking", no_wrap=True, min_width=14)
    heads = (ways, *(f"k = {k}" for k in ks), unit, "gap closed")
    table = Table(
        *heads, title=f"Regret of the best of the first k: {title}", box=SIMPLE_HEAD, pad_edge=False
    )
    for name, values in sorted(regret.items(), key=lambda item: item[1][ks[0]]):
        figures = (*(f"{values[k]:.3f}" for k in ks), f"{means[name]:.5g}", f"{closed[name]:.3f}")
        table.add_row(f"{name}*" if name == default else name, *figures)
    blank = ["" for _ in ks]
    table.add_row("best constant", *blank, f"{means[BEST_CONSTANT]:.5g}", "0.000")
    table.add_row("virtual best", *("0.000" for _ in ks), f"{means[VIRTUAL_BEST]:.5g}", "1.000")
    return table
