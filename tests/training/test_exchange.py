"""`metaselect metadataset import`, `export` and `info --name`, as they are called."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.config import Settings
from app.errors import MetaDatasetNotFoundError, ServiceError
from app.metalearning.importing import read_matrix, read_scenario, write_matrix, write_scenario
from app.metalearning.importing.knowledge import load
from app.store import metadatasets
from app.store.database import Database
from tests.scenarios import ACCURACY, RUN_TIME, decided, differences
from workers.training import importing
from workers.training.__main__ import cli


@pytest.fixture
def call(monkeypatch, tmp_path: Path):
    """Call the command on a database of its own; what it printed, or the error that it told."""
    monkeypatch.setattr(importing, "MOST_FOLDS", 4)

    def call(*arguments: str) -> str:
        result = CliRunner().invoke(cli, [*arguments, "--data-dir", str(tmp_path / "data")])
        if isinstance(result.exception, ServiceError):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.output

    return call


def stored(tmp_path: Path, name: str):
    database = Database(Settings(data_dir=tmp_path / "data", database_url=None))
    with database.read() as session:
        content = metadatasets.content(session, metadatasets.get(session, "local", name))
    database.engine.dispose()
    return load(content)


def test_scenario_is_imported_told_and_exported_again(call, tmp_path: Path) -> None:
    given = decided(measure=RUN_TIME)
    write_scenario(given, tmp_path / "scenario", "TEST")
    said = call("import", str(tmp_path / "scenario"), "--name", "solvers")
    assert "40 datasets" in said
    assert "PAR10" in said
    assert "best constant" in said
    assert said.endswith(call("info", "--name", "solvers"))
    assert differences(given, stored(tmp_path, "solvers").matrix) == []
    call("export", str(tmp_path / "again"), "--name", "solvers")
    assert differences(given, read_scenario(tmp_path / "again")) == []
    call("export", str(tmp_path / "tables"), "--name", "solvers", "--format", "parquet")
    files = tmp_path / "tables" / "performances.parquet", tmp_path / "tables" / "metafeatures.parquet"
    assert differences(given, read_matrix(*files, RUN_TIME)) == []


def test_tables_are_imported_and_replaced(call, tmp_path: Path) -> None:
    for n_datasets in (40, 30):
        write_matrix(decided(n_datasets), tmp_path)
        files = ["--performances", str(tmp_path / "performances.parquet")]
        files += ["--metafeatures", str(tmp_path / "metafeatures.parquet")]
        call("import", *files, "--name", "models", "--measure", "accuracy", "--larger-is-better")
        assert differences(decided(n_datasets), stored(tmp_path, "models").matrix) == []
    call("import", *files, "--name", "times", "--cutoff", "100")
    assert stored(tmp_path, "times").matrix.measure == RUN_TIME
    assert stored(tmp_path, "models").matrix.measure == ACCURACY


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (["--name", "x"], "invalid_request", "Nothing to import"),
        (["--name", "a/b", "somewhere"], "names_unusable", "a/b"),
        (["--name", "x", "nowhere"], "unreadable_scenario", "description.txt"),
        (["--name", "x", "--performances", "p", "--metafeatures", "m"], "invalid_request", "not said"),
        (
            ["--name", "x", "--performances", "p", "--metafeatures", "m", "--measure", "accuracy"],
            "invalid_request",
            "not said",
        ),
    ],
)
def test_what_cannot_be_imported_is_told(call, arguments, code, named) -> None:
    with pytest.raises(ServiceError) as refused:
        call("import", *arguments)
    assert refused.value.code == code
    assert named in refused.value.detail


def test_unknown_names_are_told(call, tmp_path: Path) -> None:
    for arguments in (["info"], ["export", str(tmp_path / "out")]):
        with pytest.raises(MetaDatasetNotFoundError):
            call(*arguments, "--name", "nothing")


@pytest.mark.parametrize("format_", ["aslib", "parquet"])
def test_shipped_meta_dataset_is_exported_for_each_task_type(call, tmp_path: Path, format_: str) -> None:
    call("export", str(tmp_path / "out"), "--format", format_)
    file = {"aslib": "algorithm_runs.arff", "parquet": "performances.parquet"}[format_]
    for task_type in ("classification", "regression"):
        assert (tmp_path / "out" / task_type / file).stat().st_size > 10_000
