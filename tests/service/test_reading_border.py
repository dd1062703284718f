"""What becomes of the child that reads an upload becomes the client's answer, and nothing is left of it."""

import os
import shutil
import time
from collections.abc import Iterator

import httpx
import psutil
import pytest
from fastapi.testclient import TestClient

from app.api import describing
from app.api.describing import Describer
from app.config import Settings
from app.main import create_app
from app.store.database import Database
from app.store.migrating import migrate
from tests.deployments import wait_until
from tests.processes import commanded, lives
from tests.service import data

TABLE = data.as_csv([[i, i % 7, "ab"[i % 2]] for i in range(60)], ["x", "z", "y"])
MB = 1 << 20


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    settings = Settings(data_dir=tmp_path_factory.mktemp("reading"), landmarking_seconds=0)
    migrate(Database(settings).engine)
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        assert upload(client).status_code == 201
        yield client


@pytest.fixture
def describer(api: TestClient, monkeypatch: pytest.MonkeyPatch) -> Iterator[Describer]:
    """The API's describer, for a test to change; afterwards nothing is left, and it works as before."""
    describer: Describer = api.app.state.service.describer
    monkeypatch.setattr(describer, "_settings", describer._settings)
    monkeypatch.setattr(describing, "_WAIT_SECONDS", 0.1)
    yield describer
    monkeypatch.undo()
    assert not list(describer._settings.scratch_dir.iterdir())
    assert free(describer._slots) == os.cpu_count()
    wait_until(lambda: not readers(), 5)
    assert upload(api).status_code == 201


def upload(api: TestClient) -> httpx.Response:
    return api.post("/datasets", files={"file": ("data.csv", TABLE)}, data={"target": "y"})


def problem(response: httpx.Response, status: int, code: str) -> dict:
    body = response.json()
    assert (response.status_code, body["code"]) == (status, code), body
    assert body["advice"]
    return body


def free(semaphore) -> int:
    taken = 0
    while semaphore.acquire(blocking=False):
        taken += 1
    for _ in range(taken):
        semaphore.release()
    return taken


def readers() -> list[psutil.Process]:
    """The running children of forkservers, and theirs."""
    servers = commanded("forkserver", psutil.Process().children())
    return [each for server in servers for each in server.children(recursive=True) if lives(each)]


@pytest.mark.parametrize(
    "function", ["segfault", "kill_itself", "vanish", "abort", "break_off", "babble", "close_pipe"]
)
def test_crash_of_the_reader_is_an_unreadable_file(
    api: TestClient, describer: Describer, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    monkeypatch.setattr(describing, "_FUNCTION", f"tests.children:{function}")
    body = problem(upload(api), 422, "unreadable_file")
    assert "crashed" in body["detail"]


@pytest.mark.parametrize(
    ("function", "low", "limit"),
    [
        ("loop", {"read_seconds": 0.3}, "wall_seconds"),
        ("beget", {"read_seconds": 0.3}, "wall_seconds"),
        ("loop", {"read_cpu_seconds": 1}, "cpu_seconds"),
        ("hoard", {"memory_bytes": 500 * MB}, "memory_bytes"),
        ("burst", {"memory_bytes": 500 * MB}, "memory_bytes"),
        ("write_much", {"table_bytes": MB}, "file_bytes"),
    ],
)
def test_limit_that_the_reader_breaks_is_named(
    api: TestClient,
    describer: Describer,
    monkeypatch: pytest.MonkeyPatch,
    function: str,
    low: dict[str, float],
    limit: str,
) -> None:
    monkeypatch.setattr(describing, "_FUNCTION", f"tests.children:{function}")
    monkeypatch.setattr(describer, "_settings", describer._settings.model_copy(update=low))
    body = problem(upload(api), 422, "dataset_too_large")
    assert body["evidence"] == {"limit": limit, "most": next(iter(low.values()))}


def test_reader_may_not_take_many_descriptors(
    api: TestClient, describer: Describer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(describing, "_FUNCTION", "tests.children:refuse_with_descriptors")
    body = problem(upload(api), 422, "invalid_request")
    assert body["evidence"]["errno"] == "EMFILE"
    assert body["evidence"]["opened"] < 100


@pytest.mark.requirement("A5")
def test_error_in_our_own_code_is_ours_and_shows_no_traceback(
    api: TestClient, describer: Describer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(describing, "_FUNCTION", "tests.children:stumble")
    answer = upload(api)
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    for trace in ("Traceback", "KeyError", "children", "what is not there"):
        assert trace not in answer.text


@pytest.mark.parametrize(
    ("function", "shown"),
    [("stumble_on_a_cell", "tests.children.stumble_on_a_cell"), ("print_a_cell_and_crash", "exit code -6")],
)
def test_log_tells_where_reading_failed_and_quotes_no_cell(
    api: TestClient,
    describer: Describer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    function: str,
    shown: str,
) -> None:
    monkeypatch.setattr(describing, "_FUNCTION", f"tests.children:{function}")
    caplog.clear()
    assert upload(api).status_code in (422, 500)
    assert shown in caplog.text
    assert "Jane" not in caplog.text


def test_client_that_finds_no_slot_is_told_when_to_come_back(api: TestClient, describer: Describer) -> None:
    for _ in range(os.cpu_count() or 1):
        assert describer._slots.acquire(blocking=False)
    answer = upload(api)
    for _ in range(os.cpu_count() or 1):
        describer._slots.release()
    problem(answer, 503, "overloaded")
    assert int(answer.headers["retry-after"]) > 0


def test_only_a_few_clients_wait_for_a_slot(
    api: TestClient, describer: Describer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The threads in which they wait answer everybody else."""
    monkeypatch.setattr(describing, "_WAIT_SECONDS", 60.0)
    places = free(describer._places)
    assert places < 40
    for _ in range(places):
        assert describer._places.acquire(blocking=False)
    answer = upload(api)
    for _ in range(places):
        describer._places.release()
    problem(answer, 503, "overloaded")


def test_upload_clears_what_a_dead_process_left_long_ago(api: TestClient, describer: Describer) -> None:
    scratch = describer._settings.scratch_dir
    old, young, foreign = scratch / "upload_old", scratch / "upload_young", scratch / "task_1-1"
    long_ago = time.time() - 3600 - describer._settings.read_seconds - 5
    for folder in (old, young, foreign):
        folder.mkdir()
        (folder / "table.parquet").write_bytes(b"PAR1")
    for folder in (old, foreign):
        os.utime(folder, (long_ago, long_ago))
    assert upload(api).status_code == 201
    assert {path.name for path in scratch.iterdir()} == {"upload_young", "task_1-1"}, "tasks are the workers'"
    shutil.rmtree(young)
    shutil.rmtree(foreign)
