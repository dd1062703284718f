"""Degenerate uploads and what a form says about columns, through HTTP: a ranking or a coded refusal, never a 500."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient

from app.client import Client
from app.config import Settings
from app.main import create_app
from app.store.database import Database
from app.store.migrating import migrate
from tests.degenerate import Degenerate, degenerate_datasets

CHOSEN = {
    "20 rows",
    "class of one row",
    "class named nan",
    "huge quantity",
    "one outlier",
    "numbers of every size",
    "unicode and empty names",
    "dates before and after everything",
    "more columns than rows",
    "numbers as categories",
    "type that does not fit",
    "group missing",
    "group and time",
}
ROWS = "".join(
    f"{row % 9},{10_000 + row % 3},p{row // 4},2020-01-{1 + row // 2:02d},{row % 2}\n" for row in range(60)
)
CONTENT = ("x,zip,patient,when,y\n" + ROWS).encode()


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    settings = Settings(data_dir=tmp_path_factory.mktemp("degenerate"), landmarking_seconds=0.2)
    migrate(Database(settings).engine)
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        yield client


def send(api: TestClient, path: str, content: bytes, **fields: str) -> httpx.Response:
    return api.post(path, files={"file": ("data.csv", content)}, data={"target": "y"} | fields)


@pytest.mark.parametrize(
    "case", [case for case in degenerate_datasets() if case.name in CHOSEN], ids=lambda case: case.name
)
def test_degenerate_upload_is_ranked_or_refused(api: TestClient, case: Degenerate) -> None:
    declared = case.declared
    fields = {"target": declared.target, "task_type": declared.task_type, "group": declared.group}
    fields |= {"time": declared.time, "column_types": json.dumps(dict(declared.column_types))}
    response = send(api, "/recommend", case.content, **{key: value for key, value in fields.items() if value})
    body = response.json()
    if case.refusal:
        assert (response.status_code, body["code"]) == (422, case.refusal)
        assert body["advice"]
    else:
        assert response.status_code == 200, body
        assert len(body["candidates"]) == 5
        assert set(case.findings) <= {finding["code"] for finding in body["findings"]}


def test_every_chosen_case_exists() -> None:
    assert {case.name for case in degenerate_datasets()} >= CHOSEN


def test_declared_columns_are_shown_in_their_roles(api: TestClient) -> None:
    fields = {"column_types": '{"zip": "categorical"}', "group": "patient", "time": "when"}
    body = send(api, "/datasets", CONTENT, **fields).json()
    columns = {column["name"]: (column["type"], column["role"]) for column in body["columns"]}
    assert columns["x"] == ("numeric", "feature")
    assert columns["zip"] == ("categorical", "feature")
    assert columns["patient"] == (None, "group")
    assert columns["when"] == (None, "time")
    evidence = {finding["code"]: finding["evidence"] for finding in body["findings"]}
    assert evidence["group_column"] == {"n_groups": 15}


def test_client_sends_what_is_said_about_columns(api: TestClient, tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_bytes(CONTENT)
    client = Client()
    client._http = api
    types = {"zip": "categorical"}
    body = client.recommend(
        tmp_path / "data.csv", target="y", column_types=types, group="patient", verify=False
    )
    columns = client._call("GET", f"/datasets/{body['dataset_id']}")["columns"]
    roles = {column["name"]: (column["type"], column["role"]) for column in columns}
    assert roles["zip"] == ("categorical", "feature")
    assert roles["patient"] == (None, "group")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"column_types": '{"zip": "code"}'}, "invalid_request"),
        ({"column_types": '["zip"]'}, "invalid_request"),
        ({"column_types": "zip=categorical"}, "invalid_json"),
        ({"column_types": '{"zap": "categorical"}'}, "column_not_found"),
        ({"column_types": '{"patient": "numeric"}'}, "column_type_unusable"),
        ({"group": ""}, "invalid_request"),
        ({"group": "\x00"}, "column_not_found"),
        ({"time": "y"}, "conflicting_declaration"),
    ],
    ids=str,
)
def test_what_cannot_be_declared_is_refused(api: TestClient, fields: dict[str, str], code: str) -> None:
    response = send(api, "/recommend", CONTENT, **fields)
    assert (response.status_code, response.json()["code"]) == (422, code)


def test_field_that_is_given_twice_is_refused(api: TestClient) -> None:
    data = {"target": ["y", "x"]}
    response = api.post("/recommend", files={"file": ("data.csv", CONTENT)}, data=data)
    assert (response.status_code, response.json()["code"]) == (422, "invalid_request")
    assert "'target'" in response.json()["detail"]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"metric": "rmsle"}, "unknown_metric"),
        ({"metric": "rmse", "task_type": "classification"}, "unknown_metric"),
        ({"strategy": "magic"}, "invalid_request"),
    ],
    ids=str,
)
def test_wish_that_nothing_can_fulfil_is_refused_before_the_file_is_read(
    api: TestClient, monkeypatch: pytest.MonkeyPatch, fields: dict[str, str], code: str
) -> None:
    monkeypatch.setattr(api.app.state.service.describer, "describe", None)  # type: ignore[attr-defined]
    response = send(api, "/recommend", b"no table at all", **fields)
    assert (response.status_code, response.json()["code"]) == (422, code)
    assert response.json()["advice"]
