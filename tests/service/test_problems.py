"""Every error is a problem with the request's id, whoever is to blame, and shows nothing of the code, on both databases."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text
from sqlalchemy.orm import Session

from app import failpoints
from app.config import Settings
from app.failpoints import Step
from app.main import create_app
from app.store import database as databases
from app.store import jobs
from tests.servers import free_port
from tests.service import data
from tests.service.test_bad_input import problem

pytestmark = pytest.mark.requirement("A5")

OPERATIONS = json.loads((Path(__file__).parents[2] / "openapi.json").read_text())["paths"]
METHODS = ("get", "post", "put", "patch", "delete")
SECRET = "words of the defect"


@pytest.fixture
def api(settings: Settings, tmp_path: Path) -> Iterator[TestClient]:
    armed = settings.model_copy(update={"failpoints_dir": tmp_path / "failpoints"})
    with TestClient(create_app(armed), raise_server_exceptions=False) as client:
        yield client
    failpoints.use(None)


def shows_nothing(response: httpx.Response) -> None:
    for trace in ("Traceback", 'File "', ".py", SECRET, "sqlalchemy", "psycopg"):
        assert trace not in response.text


def test_address_that_nobody_serves_is_not_found(api: TestClient) -> None:
    for path in ("/nowhere", "/jobs/a/b/c", "/health"):
        shows_nothing(api.get(path))
        assert problem(api.get(path), 404, api.get(path).json()["code"])["code"].endswith("not_found")


def test_method_that_an_address_lacks_is_refused_and_the_others_are_named(api: TestClient) -> None:
    for path, operations in OPERATIONS.items():
        lacking = next(method for method in METHODS if method not in operations)
        response = api.request(lacking, path.replace("{", "").replace("}", ""))
        assert problem(response, 405, "method_not_allowed")["advice"]
        assert {each.strip().lower() for each in response.headers["allow"].split(",")} <= set(operations)


def test_defect_is_a_500_that_tells_its_request_and_no_more(
    api: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(*_: object) -> None:
        raise RuntimeError(SECRET)

    monkeypatch.setattr(jobs, "page", stumble)
    response = api.get("/jobs")
    problem(response, 500, "internal_error")
    shows_nothing(response)


@pytest.mark.parametrize("moment", failpoints.MOMENTS)
def test_lost_connection_is_a_503_that_says_when_to_come_back(
    api: TestClient, tmp_path: Path, moment: str
) -> None:
    files = {"file": ("iris.csv", data.iris())}
    dataset_id = api.post("/datasets", files=files, data={"target": "species"}).json()["id"]
    failpoints.arm(tmp_path / "failpoints", Step.ACCEPT_JOB, moment, "error")
    response = api.post("/jobs", json={"dataset_id": dataset_id, "k": 1})
    problem(response, 503, "database_unavailable")
    assert int(response.headers["retry-after"]) > 0
    shows_nothing(response)
    assert api.post("/jobs", json={"dataset_id": dataset_id, "k": 1}).status_code == 202


def test_database_that_is_not_there_is_a_503_too(tmp_path: Path) -> None:
    nowhere = f"postgresql+psycopg://nobody@127.0.0.1:{free_port()}/none"
    with TestClient(
        create_app(Settings(data_dir=tmp_path, database_url=nowhere)), raise_server_exceptions=False
    ) as api:
        for response in (api.get("/jobs"), api.get("/jobs/job_x?wait=5"), api.get("/jobs/job_x/events")):
            problem(response, 503, "database_unavailable")
            assert int(response.headers["retry-after"]) > 0
            shows_nothing(response)
        assert api.get("/health/live").status_code == 200


@pytest.mark.parametrize("settings", ["postgres"], indirect=True)
def test_transaction_that_idled_too_long_is_a_503_and_a_defective_statement_is_not(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient = {**databases._POSTGRES_CONNECTION, "options": "-c idle_in_transaction_session_timeout=100ms"}
    monkeypatch.setattr(databases, "_POSTGRES_CONNECTION", impatient)
    page = jobs.page

    def idle(session: Session, *given: Any) -> Any:
        session.execute(text("SELECT 1"))
        time.sleep(0.5)
        return page(session, *given)

    def stumble(session: Session, *_: Any) -> Any:
        session.execute(text("SELECT nothing FROM nowhere"))

    with TestClient(create_app(settings), raise_server_exceptions=False) as api:
        monkeypatch.setattr(jobs, "page", idle)
        response = api.get("/jobs")
        problem(response, 503, "database_unavailable")
        assert int(response.headers["retry-after"]) > 0
        shows_nothing(response)
        monkeypatch.setattr(jobs, "page", stumble)
        problem(api.get("/jobs"), 500, "internal_error")
        monkeypatch.setattr(jobs, "page", page)
        assert api.get("/jobs").status_code == 200  # the connection was replaced
