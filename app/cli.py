"""The `metaselect` command."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from httpx import TransportError
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from app import presenting
from app.client import Client, ProblemError
from app.config import Settings, pin_threads
from app.errors import ServiceError
from app.metalearning.table import ColumnType, TaskType
from app.processes import embedded_worker, running_service

cli = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Recommends learning algorithms for tabular data."
)
console = Console()

_EXAMPLE_TARGET = "diagnosis"

ColumnTypes = Annotated[
    list[str] | None,
    typer.Option("--column-type", help="Type of a column, like zip=categorical; may be repeated."),
]
Group = Annotated[str | None, typer.Option(help="Column whose equal values belong together.")]
Time = Annotated[str | None, typer.Option(help="Column by which the future is predicted.")]


def main() -> None:
    """Run the command; errors that have an explanation are shown as such."""
    try:
        cli()
    except ProblemError as error:
        sys.exit(f"{error.code}: {error.problem['detail']}\n{error.problem['advice']}")
    except ServiceError as error:
        sys.exit(f"{error.code}: {error.detail}\n{error.advice}")
    except TransportError as error:
        sys.exit(f"The service did not answer: {error}.")
    except OSError as error:
        sys.exit(f"{error.filename or ''}: {error.strerror or error}")


@cli.command()
def serve(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 8000,
    data_dir: Annotated[Path | None, typer.Option(help="Folder for database and scratch files.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Run the service: embedded with a worker of its own, or with DATABASE_URL and REDIS_URL the API alone."""
    pin_threads()
    import uvicorn  # noqa: PLC0415  the other commands do without

    from app.main import create_app  # noqa: PLC0415
    from app.store.database import create_database_engine  # noqa: PLC0415
    from app.store.migrating import migrate as bring_up  # noqa: PLC0415

    settings = Settings() if data_dir is None else Settings(data_dir=data_dir)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    bring_up(create_database_engine(settings))
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(settings), host=host, port=port, log_config=None, timeout_graceful_shutdown=10
        )
    )
    # The server re-raises the signal that stopped it; as an exit, the worker's end is waited for.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with embedded_worker(settings):
        server.run()


@cli.command()
def migrate() -> None:
    """Bring the database of the settings to the newest revision."""
    from app.store.database import create_database_engine  # noqa: PLC0415
    from app.store.migrating import head_revision  # noqa: PLC0415
    from app.store.migrating import migrate as bring_up  # noqa: PLC0415

    bring_up(create_database_engine(Settings()))
    console.print(f"The database is at revision {head_revision()}.")


@cli.command()
def recommend(
    data: Annotated[
        Path | None, typer.Argument(help="CSV, TSV, Parquet, ARFF or JSON lines file, also gzip or zstd.")
    ] = None,
    target: Annotated[str | None, typer.Option(help="Name of the column to predict.")] = None,
    example: Annotated[
        bool, typer.Option("--example", help="Use a small real dataset instead of DATA.")
    ] = False,
    url: Annotated[
        str | None, typer.Option(help="A running service; without it one is started and stopped.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the model, its card and its script.")] = Path("out"),
    task_type: Annotated[TaskType | None, typer.Option(help="Inferred from the target unless given.")] = None,
    column_type: ColumnTypes = None,
    group: Group = None,
    time: Time = None,
    metric: Annotated[str | None, typer.Option(help="What to rank by.")] = None,
    k: Annotated[int, typer.Option(min=1, max=50, help="How many candidates to verify.")] = 5,
    budget: Annotated[
        float, typer.Option(min=1, help="Seconds for experiments and stacking together.")
    ] = 300.0,
    data_dir: Annotated[Path, typer.Option(help="Data folder of the service that is started.")] = Path(
        "data"
    ),
) -> None:
    """Recommend for a file, verify the recommendation, and write the fitted winner to OUT."""
    if example:
        out.mkdir(parents=True, exist_ok=True)
        data, target = _write_example(out / "example.csv"), _EXAMPLE_TARGET
    if data is None or target is None:
        sys.exit(
            "Name a file and its target column: metaselect recommend data.csv --target y (or --example)."
        )
    _check_file(data)
    out.mkdir(parents=True, exist_ok=True)
    with running_service(url, data_dir) as address, Client(address) as client:
        recommendation = client.recommend(
            data,
            target=target,
            task_type=task_type,
            column_types=_column_types(column_type) or None,
            group=group,
            time=time,
            metric=metric,
            k=k,
            verify=True,
            time_budget_seconds=budget,
        )
        _show_recommendation(recommendation)
        job = _watch(client, recommendation["job"]["id"])
        for line in presenting.experiment_lines(job):
            console.print(f"[yellow]{line}[/yellow]")
        if job["status"] != "succeeded":
            reason = job["error"] or {"code": job["status"], "detail": "The job was cancelled.", "advice": ""}
            sys.exit(f"{reason['code']}: {reason['detail']}\n{reason['advice']}")
        console.print(presenting.leaderboard_table(job["result"]))
        console.print(presenting.model_sentence(job["result"]))
        _write_results(client, job, recommendation, out)


@cli.command()
def describe(
    data: Annotated[
        Path, typer.Argument(help="CSV, TSV, Parquet, ARFF or JSON lines file, also gzip or zstd.")
    ],
    target: Annotated[str, typer.Option(help="Name of the column to predict.")],
    task_type: Annotated[TaskType | None, typer.Option(help="Inferred from the target unless given.")] = None,
    column_type: ColumnTypes = None,
    group: Group = None,
    time: Time = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the body that POST /recommend takes.")
    ] = False,
    seconds: Annotated[float, typer.Option(min=0, help="Time for landmarkers.")] = 5.0,
) -> None:
    """Print a file's metafeatures; nothing is sent anywhere."""
    pin_threads()
    from app.metalearning.columns import Declaration  # noqa: PLC0415
    from app.metalearning.description import describe as describe_file  # noqa: PLC0415
    from app.metalearning.metafeatures import SCHEMA  # noqa: PLC0415

    _check_file(data)
    declared = Declaration(target, task_type, _column_types(column_type), group, time)
    _, facts = describe_file(data, declared, seconds)
    if as_json:
        body = {
            "task_type": facts["task_type"],
            "metafeature_version": facts["metafeature_version"],
            "metafeatures": facts["metafeatures"],
        }
        typer.echo(json.dumps(body, indent=1))
        return
    console.print(presenting.metafeature_table(facts, {each.name: each.family for each in SCHEMA}))
    for finding in facts["findings"]:
        console.print(f"[yellow]{finding['code']}[/yellow] {finding['detail']} {finding['advice']}")


@cli.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, add_help_option=False
)
def metadataset(context: typer.Context) -> None:
    """Build the meta-dataset, fit the meta-learners on it, show what they are worth, import and export others."""
    command = [sys.executable, "-m", "workers.training", *context.args]
    raise typer.Exit(subprocess.run(command, check=False).returncode)  # noqa: S603  our own module


def _column_types(given: list[str] | None) -> dict[str, ColumnType]:
    """Types by column from arguments like zip=categorical; the last equals sign parts them."""
    types = {}
    for each in given or []:
        name, equals, kind = each.rpartition("=")
        if not equals or kind not in set(ColumnType):
            kinds = ", ".join(ColumnType)
            raise typer.BadParameter(f"{each!r} is not COLUMN=TYPE, with one of {kinds}.")
        types[name] = ColumnType(kind)
    return types


def _check_file(path: Path) -> None:
    if path.is_dir():
        sys.exit(f"{path} is a folder: name one file in it.")
    if not path.is_file():
        sys.exit(f"There is no file {path}.")


def _show_recommendation(recommendation: dict[str, Any]) -> None:
    for finding in recommendation["findings"]:
        console.print(f"[yellow]{finding['code']}[/yellow] {finding['detail']} {finding['advice']}")
    console.print(presenting.ranking_table(recommendation))
    console.print(recommendation["explanation"])
    nearest = ", ".join(f"{each['dataset']} ({each['winner']} won)" for each in recommendation["similar"])
    console.print(f"Most similar past datasets: {nearest}.")


def _watch(client: Client, job_id: str) -> dict[str, Any]:
    """Show the job's progress until it has ended; Ctrl-C cancels it."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("waiting for a worker", total=None)

        def show(job: dict[str, Any]) -> None:
            state = job["progress"]
            progress.update(
                bar,
                description=presenting.progress_sentence(job),
                completed=state["experiments_done"],
                total=state["experiments_total"],
            )

        try:
            return client.wait(job_id, on_change=show)
        except KeyboardInterrupt:
            client.cancel(job_id)
            raise


def _write_results(client: Client, job: dict[str, Any], recommendation: dict[str, Any], out: Path) -> None:
    (out / "recommendation.json").write_text(json.dumps(recommendation, indent=1) + "\n")
    (out / "job.json").write_text(json.dumps(job, indent=1) + "\n")
    model_id = job["result"]["model_id"]
    if model_id is None:
        console.print(f"Wrote {out}/recommendation.json and job.json.")
        return
    card = client.model(model_id)["card"]
    client.artifact(model_id, out / "model.skops")
    client.artifact(model_id, out / "script.py", "python")
    (out / "card.json").write_text(json.dumps(card, indent=1) + "\n")
    (out / "card.md").write_text(client.card(model_id))
    console.print(
        f"Wrote {out}/model.skops, card.md, card.json, script.py, recommendation.json and job.json."
    )


def _write_example(path: Path) -> Path:
    """scikit-learn's copy of the Wisconsin breast cancer data (569 rows, 30 columns), as CSV."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.csv  # noqa: PLC0415
    from sklearn.datasets import load_breast_cancer  # noqa: PLC0415

    bunch = load_breast_cancer()
    columns = {name: bunch.data[:, index] for index, name in enumerate(bunch.feature_names)}
    columns[_EXAMPLE_TARGET] = bunch.target_names[bunch.target]
    pa.csv.write_csv(pa.table({str(name): pa.array(values) for name, values in columns.items()}), path)
    return path


if __name__ == "__main__":
    main()
