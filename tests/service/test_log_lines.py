"""Log lines: one id follows a request through every process, and no secret is in any of them."""

import io
import json
import logging
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
import structlog
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DataError, DBAPIError, OperationalError
from starlette.routing import Route

from app.config import Settings
from app.logging import configure_logging
from app.main import create_app
from app.store.database import Database, cause_of
from tests import servers
from tests.deployments import WORKER, Deployment, wait_until
from tests.service import data

DATABASE_PASSWORD, BROKER_PASSWORD = "hush-database", "hush-broker"
SENT = {"name": "Jane Doe\x00"}  # which Postgres refuses, quoting it
KEY, TOKEN, QUERY = "hush-idempotency", "hush-token", "hush-query"


@pytest.fixture(scope="module")
def broker_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis of this module's own, with a password."""
    with servers.redis_server(tmp_path_factory.mktemp("redis")) as url:
        redis.Redis.from_url(url).config_set("requirepass", BROKER_PASSWORD)
        yield url.replace("redis://", f"redis://:{BROKER_PASSWORD}@")


@pytest.fixture(scope="module")
def distributed(
    postgres_url: str, broker_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    database = servers.create_database(postgres_url, secrets.token_hex(8))
    environment = {
        "DATABASE_URL": database.replace("metaselect@", f"metaselect:{DATABASE_PASSWORD}@"),
        "REDIS_URL": broker_url,
        "LOG_FORMAT": "json",
        "RECONCILE_SECONDS": "0.5",
        "LANDMARKING_SECONDS": "1",
    }
    folder = tmp_path_factory.mktemp("logs")
    deployment = Deployment(folder, environment, embedded=False).start()
    yield deployment
    deployment.stop()


def lines(log: Path) -> list[dict[str, Any]]:
    """The structured ones; Celery's greeting, which it prints, is none."""
    return [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]


def test_one_id_follows_a_request_through_every_process(distributed: Deployment) -> None:
    headers = {"Idempotency-Key": KEY, "Authorization": f"Bearer {TOKEN}"}
    answer = httpx.post(
        f"{distributed.url}/recommend?unknown={QUERY}",
        data={"target": "species", "verify": "true", "k": "2"},
        files={"file": ("iris.csv", data.iris())},
        headers=headers,
        timeout=60,
    )
    assert answer.status_code == 202, answer.text
    request_id = answer.headers["X-Request-Id"]
    job = distributed.client.wait(answer.json()["job"]["id"], timeout=120)
    assert job["status"] == "succeeded"

    api = lines(distributed.folder / "api.log")
    of_request = [line for line in api if line.get("request") == request_id]
    assert [line["event"] for line in of_request] == ["answered"]
    assert (of_request[0]["method"], of_request[0]["path"], of_request[0]["status"]) == (
        "POST",
        "/recommend",
        202,
    )
    assert 0 < of_request[0]["seconds"] < 60
    assert all("request" in line for line in api if line["event"] == "answered")

    def of_worker() -> list[dict[str, Any]]:
        return [
            line for line in lines(distributed.folder / "worker0.log") if line.get("request") == request_id
        ]

    wait_until(lambda: sum(line["event"] == "task_ended" for line in of_worker()) == 3, 10)
    for line in of_worker():
        assert line["job"] == job["id"]
        assert line["attempt"] == 1
        assert line["task"].startswith("task_")
        assert {"timestamp", "level", "logger"} <= set(line)
        assert ("configuration" in line) == (line["kind"] == "experiment")
    measured = {line["configuration"] for line in of_worker() if line["kind"] == "experiment"}
    assert measured == {each["configuration"] for each in job["experiments"]}
    about_tasks = [line for line in lines(distributed.folder / "worker0.log") if "task" in line]
    assert all({"request", "job", "attempt"} <= set(line) for line in about_tasks)


def test_no_secret_is_logged_even_when_things_break(distributed: Deployment) -> None:
    environment = {
        "DATABASE_URL": f"postgresql+psycopg://u:{DATABASE_PASSWORD}@127.0.0.1:{servers.free_port()}/x",
        "REDIS_URL": f"redis://:{BROKER_PASSWORD}@127.0.0.1:{servers.free_port()}/0",
    }
    broken_worker = distributed._run("broken_worker", WORKER, environment)
    broken_api = distributed._run(
        "broken_api",
        ["uvicorn", "--factory", "app.main:create_app", "--port", str(port := servers.free_port())],
        environment,
    )
    try:

        def problem() -> httpx.Response | None:
            try:
                return httpx.get(
                    f"http://127.0.0.1:{port}/models/x?unknown={QUERY}", headers={"Authorization": TOKEN}
                )
            except httpx.TransportError:
                return None

        assert wait_until(problem, 120).status_code == 503
        log = distributed.folder / "broken_worker.log"
        wait_until(lambda: "Cannot connect to redis" in log.read_text(), 60)
    finally:
        for process in (broken_worker, broken_api):
            process.terminate()
        for process in (broken_worker, broken_api):
            process.wait(timeout=60)
    text = distributed.log()
    assert "database_unavailable" in (distributed.folder / "broken_api.log").read_text()
    for secret in (DATABASE_PASSWORD, BROKER_PASSWORD, KEY, TOKEN, QUERY):
        assert secret not in text, [line for line in text.splitlines() if secret in line]


@pytest.fixture
def root_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_passwords_in_addresses_are_masked(
    root_logging: None, capsys: pytest.CaptureFixture[str], log_format: str
) -> None:
    configure_logging(log_format)
    log = logging.getLogger("some.library")
    for url in (
        "postgresql+psycopg://me:hush@host:5432/db",
        "redis://:hush@host/0",
        "amqp://me:hu%2Fsh/hush@host",
    ):
        log.warning("cannot connect to %s", url)
        log.error("it broke", exc_info=ConnectionError(url))
    shown = capsys.readouterr().err
    assert shown.count("cannot connect") == shown.count("it broke") == 3
    assert "hush" not in shown
    assert "postgresql+psycopg://me:***@host:5432/db" in shown


WORDS = st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1, max_size=12)


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize(
    "form", ["redis://:{}@host/0", "redis://us@er:{}@host/0", "postgresql://host/db?user=u&password={}&x=1"]
)
@given(begin=WORDS, end=WORDS)
@example(begin="p@ss", end="")
@example(begin='a"', end="\\b/")
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_part_of_a_password_is_shown_and_lines_stay_json(
    root_logging: None, log_format: str, form: str, begin: str, end: str
) -> None:
    configure_logging(log_format)
    (handler,) = logging.getLogger().handlers
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(shown := io.StringIO())
    password = f"hush{begin}hush{end}hush"
    if "?" in form:
        password = password.replace("&", "%26")
    url = form.format(password)
    logging.getLogger("some.library").warning("cannot connect to %s", url)
    structlog.get_logger("ours").warning("database_away", url=url, urls=[url], error=ConnectionError(url))
    assert shown.getvalue().count("***") == 4
    assert "hush" not in shown.getvalue()
    if log_format == "json":
        ours = json.loads(shown.getvalue().splitlines()[1])
        assert (ours["event"], len(ours["urls"])) == ("database_away", 1)


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_tracebacks_show_no_local_variables(
    root_logging: None, capsys: pytest.CaptureFixture[str], log_format: str
) -> None:
    def stumble() -> None:
        kept = KEY.partition("-")[0]
        raise ExceptionGroup("many", [LookupError("one of them"), ZeroDivisionError(len(kept))])

    configure_logging(log_format)
    try:
        stumble()
    except ExceptionGroup:
        structlog.get_logger("ours").exception("it broke")
        logging.getLogger("some.library").exception("it broke")
    shown = capsys.readouterr().err
    assert shown.count("in stumble") == 2
    assert shown.count("LookupError: one of them") == shown.count("ZeroDivisionError: 4") == 2
    assert "hush" not in shown


@pytest.mark.parametrize("settings", ["postgres"], indirect=True)
def test_what_the_database_says_of_a_value_is_not_logged(
    database: Database, root_logging: None, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("json")
    with database.write() as session, pytest.raises(DataError) as refused:
        session.execute(text("SELECT CAST(:value AS jsonb)"), {"value": json.dumps(SENT)})
    assert "Jane" in str(refused.value)  # in spite of hidden parameters
    structlog.get_logger("ours").warning("write_failed", error=cause_of(refused.value))
    on_the_way = RuntimeError("on the way")
    on_the_way.__cause__ = refused.value
    structlog.get_logger("ours").error("task_abandoned", exc_info=on_the_way)
    failed, abandoned = map(json.loads, capsys.readouterr().err.splitlines())
    assert failed["error"] == "UntranslatableCharacter: 22P05"
    for shown in ("psycopg.errors.UntranslatableCharacter", "sqlalchemy.exc.DataError", "on the way"):
        assert shown in abandoned["exception"]
    assert "Jane" not in str(abandoned)


def test_cause_of_a_database_that_is_not_there_says_so() -> None:
    nowhere = f"postgresql+psycopg://u:{DATABASE_PASSWORD}@127.0.0.1:{servers.free_port()}/x"
    with Database(Settings(database_url=nowhere)).read() as session, pytest.raises(OperationalError) as away:
        session.execute(text("SELECT 1"))
    assert "refused" in cause_of(away.value)


def test_what_nobody_foresaw_is_logged_and_answered_with_the_request_id(
    root_logging: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def stumble(_: object) -> None:
        raise ZeroDivisionError

    app = create_app(Settings(data_dir=tmp_path, log_format="json"))
    app.router.routes.append(Route("/stumble", stumble))
    with TestClient(app) as client:
        answer = client.get("/stumble")
    assert answer.status_code == 500
    request_id = answer.headers["X-Request-Id"]
    assert answer.json()["request_id"] == request_id
    shown = [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]
    of_request = {line["event"]: line for line in shown if line.get("request") == request_id}
    assert set(of_request) == {"unexpected_error", "answered"}
    assert "ZeroDivisionError" in of_request["unexpected_error"]["exception"]
    assert of_request["answered"]["status"] == 500


def test_errors_of_the_database_quote_no_parameters(database: Database) -> None:
    with database.read() as session, pytest.raises(DBAPIError) as failed:
        session.execute(text("SELECT * FROM nowhere WHERE name = :name"), {"name": "hush"})
    assert "nowhere" in str(failed.value)
    assert "hush" not in str(failed.value)


def test_a_path_cannot_forge_a_line(
    root_logging: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with TestClient(create_app(Settings(data_dir=tmp_path))) as client:
        client.get("/a%0Aforged line")
    assert "forged" in (shown := capsys.readouterr().err)
    assert not any(line.startswith("forged") for line in shown.splitlines())
