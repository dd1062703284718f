"""The command behind `metaselect metadataset`: build."""

from app.config import pin_threads

pin_threads()

from pathlib import Path  # noqa: E402  threads are fixed before any numeric library loads
from typing import Annotated  # noqa: E402

import typer  # noqa: E402

from app.metalearning import metadataset  # noqa: E402
from workers.training import building  # noqa: E402

cli = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)


@cli.callback()
def _group() -> None:
    """Build the meta-dataset."""


@cli.command()
def build(
    datasets: Annotated[Path, typer.Option(help="Folder of Parquet files with an inventory.csv.")],
    parts: Annotated[Path, typer.Option(help="Folder for one file per dataset.")] = Path("build/metadataset"),
    workers: Annotated[int, typer.Option(min=1, help="Datasets measured at the same time.")] = 1,
) -> None:
    """Measure every configuration on every dataset; run it again to go on."""
    known = metadataset.read_evaluations(metadataset.DATA_DIR / "evaluations.parquet")
    typer.echo(f"Measured {building.build(datasets, parts, workers, known)} cells.")


if __name__ == "__main__":
    cli()
