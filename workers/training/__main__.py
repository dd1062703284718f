"""The command behind `metaselect metadataset`: build, compile, train-networks, fit, info, import, export."""

# ruff: noqa: E402  threads are fixed before any numeric library loads
from app.config import pin_threads

pin_threads()

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.table import Table

from app.client import ProblemError
from app.errors import ServiceError
from app.metalearning import metadataset
from app.metalearning.contents import Contents, load_contents
from app.presenting import contents_as_a_whole, contents_by_task_type
from workers.training import building, exchange, fitting, remote

cli = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)


cli.command("import")(exchange.import_meta_dataset)
cli.command("export")(exchange.export_meta_dataset)


def main() -> None:
    """Run the command; errors that have an explanation are shown as such."""
    try:
        cli()
    except ServiceError as error:
        sys.exit(f"{error.code}: {error.detail}\n{error.advice}")
    except OSError as error:
        sys.exit(f"{error.filename or ''}: {error.strerror or error}")


@cli.callback()
def _group() -> None:
    """Build the meta-dataset, fit the meta-learners on it, and show what they are worth."""


@cli.command()
def build(
    datasets: Annotated[Path, typer.Option(help="Folder of Parquet files with an inventory.csv.")],
    parts: Annotated[Path, typer.Option(help="Folder for one file per dataset.")] = Path("build/metadataset"),
    workers: Annotated[int, typer.Option(min=1, help="Batches measured here at the same time.")] = 1,
    url: Annotated[str | None, typer.Option(help="A service whose workers measure instead.")] = None,
    gpu: Annotated[bool, typer.Option("--gpu", help="The service has workers with a GPU.")] = False,
) -> None:
    """Measure every configuration on every dataset, here or on a service; run it again to go on."""
    known = metadataset.read_evaluations(metadataset.DATA_DIR / "evaluations.parquet")
    if url is None:
        measured = building.build(datasets, parts, workers, known)
    else:
        try:
            measured = remote.build(datasets, parts, url, known, gpu=gpu)
        except (ProblemError, remote.AnotherPortfolioError, httpx.TransportError) as error:
            typer.echo(f"{error} What was measured is stored; run the command again to go on.", err=True)
            raise typer.Exit(1) from error
    typer.echo(f"Measured {measured} cells.")


@cli.command()
def compile(  # noqa: A001  the command's name, not used as a function
    datasets: Annotated[Path, typer.Option(help="Folder of Parquet files with an inventory.csv.")],
    parts: Annotated[Path, typer.Option(help="Folder that `build` wrote.")] = Path("build/metadataset"),
    out: Annotated[Path, typer.Option(help="Folder for the meta-dataset.")] = metadataset.DATA_DIR,
) -> None:
    """Gather what `build` measured, and the datasets' metafeatures, into the meta-dataset that ships."""
    fitting.compile_metadataset(datasets, parts, out)


@cli.command()
def fit(folder: Annotated[Path, typer.Option(help="The meta-dataset.")] = metadataset.DATA_DIR) -> None:
    """Fit every way of ranking and print its regret on groups of datasets that it had not seen."""
    _print_report(fitting.fit_metalearners(folder))


@cli.command("train-networks")
def train_networks(
    folder: Annotated[Path, typer.Option(help="The meta-dataset.")] = metadataset.DATA_DIR,
    parts: Annotated[Path, typer.Option(help="Folder for checkpoints.")] = Path("build/networks"),
    workers: Annotated[int, typer.Option(min=1, help="Networks trained at the same time.")] = 1,
) -> None:
    """Train the networks that rank, on all datasets and without each fold; run it again to go on. Then `fit` proves them."""
    try:
        from workers.networks.ranking.shipping import train_networks as train  # noqa: PLC0415  PyTorch is an extra
    except ImportError as error:
        typer.echo(f"{error}: install the extra `deep` (requirements/deep.txt).", err=True)
        raise typer.Exit(1) from error
    train(folder, parts, workers)


@cli.command()
def info(
    folder: Annotated[Path, typer.Option(help="The meta-dataset.")] = metadataset.DATA_DIR,
    name: Annotated[str | None, typer.Option(help="An imported meta-dataset instead.")] = None,
    data_dir: exchange.DataDir = None,
) -> None:
    """Print what is in the meta-dataset, and the regret that `fit` measured."""
    if name is not None:
        exchange.print_imported(name, data_dir)
        return
    _print_contents(load_contents(folder).contents)
    _print_report(json.loads((folder / "meta-learners.json").read_text()))


def _print_contents(contents: Contents) -> None:
    """What is in a meta-dataset, by task type and as a whole."""
    table = Table("", *(each.task_type for each in contents.task_types), title="The meta-dataset")
    for row in contents_by_task_type(contents):
        table.add_row(*row)
    console = Console()
    console.print(table)
    for name, value in contents_as_a_whole(contents):
        console.print(f"{name}: {value}", highlight=False)


def _print_report(report: dict[str, Any]) -> None:
    """One table per task type: mean normalised regret of the best of the first k, groups held out."""
    for task_type, proof in report.items():
        regret = proof["regret"]
        ks = list(next(iter(regret.values())))
        title = f"{task_type}: normalised regret on {proof['datasets']} datasets, whole groups held out"
        table = Table("way of ranking", *(f"best of {k}" for k in ks), title=title)
        for name, values in sorted(regret.items(), key=lambda item: item[1][ks[0]]):
            label = f"{name} (default)" if name == proof["default"] else name
            table.add_row(label, *(f"{values[k]:.3f}" for k in ks))
        table.add_row("virtual best", *("0.000" for _ in ks))
        Console().print(table)


if __name__ == "__main__":
    main()
