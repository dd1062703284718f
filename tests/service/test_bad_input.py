"""Every bad input gets a problem with a stable code and what to do; the service stays up."""

import gzip
import io
import socket
from collections.abc import Iterator

import httpx
import pyarrow as pa
import pyarrow.parquet
import pytest
from fastapi.testclient import TestClient

from app.config import Settings
from app.main import create_app
from app.store.database import Database
from app.store.migrating import migrate
from tests.deployments import Deployment
from tests.service import data

ENOUGH = "".join(f"{i},{i % 7},{'ab'[i % 2]}\n" for i in range(40))
HEADER = "x,z,y\n"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """One service for all bad inputs: it has to survive them."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("bad"), landmarking_seconds=0.5)
    migrate(Database(settings).engine)
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        yield client


def problem(response: httpx.Response, status: int, code: str) -> dict:
    assert response.headers["content-type"] == "application/problem+json", response.text
    body = response.json()
    assert (response.status_code, body["code"]) == (status, code), body
    assert body["status"] == status
    assert body["detail"]
    assert body["advice"], "a refusal says what to do"
    assert body["request_id"] == response.headers["x-request-id"]
    return body


def upload(api: TestClient, content: bytes, target: str = "y", **fields: str) -> httpx.Response:
    return api.post("/recommend", files={"file": ("data.csv", content)}, data={"target": target, **fields})


def parquet_with_lists() -> bytes:
    buffer = io.BytesIO()
    pa.parquet.write_table(pa.table({"x": [[1, 2]] * 30, "y": ["a", "b"] * 15}), buffer)
    return buffer.getvalue()


@pytest.mark.requirement("A5")
@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty_file"),
        (b"  \n\n", "empty_file"),
        (HEADER.encode(), "too_few_rows"),
        ((HEADER + "1,2,a\n2,3,b\n3,4,a\n").encode(), "too_few_rows"),
        ((HEADER + ENOUGH.replace("a", "b")).encode(), "single_class_target"),
        ((HEADER + ENOUGH + "1,2\n").encode(), "ragged_rows"),
        ((HEADER + ENOUGH + "1,2,a,4\n").encode(), "ragged_rows"),
        (b"\x89PNG\x00\x01\x02" * 50, "unreadable_file"),
        ((HEADER + ENOUGH).encode("utf-32"), "unreadable_encoding"),
        (gzip.compress((HEADER + ENOUGH).encode())[:-20], "unreadable_file"),
        (b"PAR1 this is no parquet PAR1", "unreadable_file"),
        (parquet_with_lists(), "unsupported_column_type"),
        (("y\n" + "a\nb\n" * 20).encode(), "no_features"),
        (("x,y\n" + "".join(f"{i},c{i}\n" for i in range(60))).encode(), "too_many_classes"),
    ],
)
def test_unusable_file_is_refused_with_its_reason(api: TestClient, content: bytes, code: str) -> None:
    problem(upload(api, content), 422, code)
    assert api.get("/health/live").status_code == 200


def test_ragged_row_is_named_by_its_line(api: TestClient) -> None:
    body = problem(upload(api, (HEADER + ENOUGH + "1,2\n").encode()), 422, "ragged_rows")
    assert body["evidence"]["line"] == 42


def test_wrong_target_is_answered_with_the_nearest_columns(api: TestClient) -> None:
    body = problem(upload(api, data.iris(), target="specie"), 422, "target_not_found")
    assert "species" in body["advice"]


def test_text_target_cannot_be_regressed(api: TestClient) -> None:
    problem(upload(api, data.iris(), target="species", task_type="regression"), 422, "target_unusable")


@pytest.mark.requirement("A5")
@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"task_type": "classification", "metafeatures": {"nr_inst": NaN}}', "invalid_json"),
        (b'{"task_type": "classification", "metafeatures": {"nr_inst": 1e999}}', "invalid_json"),
        (b"{not json", "invalid_json"),
        (b"[]", "invalid_request"),
        (b"{}", "invalid_request"),
        (b'{"metafeatures": {"nr_inst": 100}}', "invalid_request"),
        (b'{"task_type": "classification", "metafeatures": {"nr_inst": "many"}}', "invalid_request"),
        (b'{"task_type": "classification", "metafeatures": {}, "colour": 1}', "invalid_request"),
        (b'{"task_type": "classification", "metafeatures": {}, "k": 0}', "invalid_request"),
        (b'{"task_type": "classification", "metafeatures": {}, "verify": true}', "invalid_request"),
        (b'{"task_type": "classification", "metafeatures": {}, "strategy": "magic"}', "invalid_request"),
        (b'{"task_type": "classification", "metafeatures": {}, "metric": "rmse"}', "unknown_metric"),
        (b'{"task_type": "classification", "metafeatures": {"nr_instt": 5}}', "unknown_metafeature"),
    ],
)
def test_malformed_request_is_refused(api: TestClient, body: bytes, code: str) -> None:
    response = api.post("/recommend", content=body, headers={"content-type": "application/json"})
    problem(response, 422, code)


def test_unknown_metafeature_is_answered_with_a_near_one(api: TestClient) -> None:
    asked = {"task_type": "classification", "metafeatures": {"nr_instt": 5}}
    assert "nr_inst" in problem(api.post("/recommend", json=asked), 422, "unknown_metafeature")["advice"]


def test_other_media_types_are_refused(api: TestClient) -> None:
    response = api.post("/recommend", content=b"x", headers={"content-type": "text/plain"})
    problem(response, 415, "unsupported_media_type")
    problem(api.post("/recommend", content=b"x"), 415, "unsupported_media_type")


def test_form_without_a_file_is_refused(api: TestClient) -> None:
    response = api.post("/recommend", files={"other": ("a.csv", b"1")}, data={"target": "y"})
    problem(response, 422, "invalid_request")
    broken = api.post(
        "/recommend", content=b"junk", headers={"content-type": "multipart/form-data; boundary=x"}
    )
    problem(broken, 422, "invalid_request")


@pytest.mark.requirement("A5")
@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/jobs/job_unknown", "job_not_found"),
        ("POST", "/jobs/job_unknown/cancel", "job_not_found"),
        ("GET", "/datasets/ds_unknown", "dataset_not_found"),
        ("DELETE", "/datasets/ds_unknown", "dataset_not_found"),
        ("GET", "/models/model_unknown", "model_not_found"),
        ("GET", "/models/model_unknown/card", "model_not_found"),
        ("GET", "/models/model_unknown/artifact", "model_not_found"),
        ("GET", "/nowhere", "not_found"),
    ],
)
def test_unknown_ids_are_not_found(api: TestClient, method: str, path: str, code: str) -> None:
    problem(api.request(method, path), 404, code)


def test_job_on_unknown_dataset_or_configuration_is_refused(api: TestClient) -> None:
    problem(api.post("/jobs", json={"dataset_id": "ds_unknown"}), 404, "dataset_not_found")
    files = {"file": ("iris.csv", data.iris())}
    dataset_id = api.post("/datasets", files=files, data={"target": "species"}).json()["id"]
    asked = {"dataset_id": dataset_id, "configurations": ["clf-magic"]}
    problem(api.post("/jobs", json=asked), 422, "unknown_configuration")
    problem(
        api.post("/jobs", json={**asked, "configurations": ["reg-ridge-default"]}), 422, "invalid_request"
    )
    needs_gpu = {**asked, "configurations": ["clf-lda-shrunk", "clf-tabm-default"]}
    refused = problem(api.post("/jobs", json=needs_gpu), 409, "no_gpu_worker")
    assert "clf-tabm-default" in refused["detail"]
    nan = b'{"dataset_id": "x", "time_budget_seconds": NaN}'
    response = api.post("/jobs", content=nan, headers={"content-type": "application/json"})
    problem(response, 422, "invalid_json")


def test_cursor_that_was_never_given_is_refused(api: TestClient) -> None:
    problem(api.get("/jobs", params={"cursor": "???"}), 422, "invalid_request")
    problem(api.get("/jobs", params={"limit": "0"}), 422, "invalid_request")


def test_body_of_300_megabytes_is_refused_while_it_streams(deployment: Deployment) -> None:
    """Without a declared length the count of what arrives decides; the service goes on."""
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
    headers = {"content-type": "multipart/form-data; boundary=b"}

    def chunks() -> Iterator[bytes]:
        yield head
        for _ in range(300):
            yield b"x" * (1 << 20)

    with httpx.Client(base_url=deployment.url, timeout=60) as client:
        problem(client.post("/recommend", content=chunks(), headers=headers), 413, "body_too_large")
        assert client.get("/health/live").status_code == 200


def test_declared_length_of_300_megabytes_is_refused_before_a_byte_is_read(deployment: Deployment) -> None:
    url = httpx.URL(deployment.url)
    with socket.create_connection((url.host, url.port), timeout=10) as connection:
        connection.sendall(b"POST /recommend HTTP/1.1\r\nHost: x\r\nContent-Length: 314572800\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_a_stack_that_cannot_be_made_honestly_is_refused(api: TestClient) -> None:
    def uploaded(content: bytes, **fields: str) -> str:
        files = {"file": ("data.csv", content)}
        dataset_id: str = api.post("/datasets", files=files, data=fields).raise_for_status().json()["id"]
        return dataset_id

    def refused(dataset_id: str, **stack: object) -> str:
        body = {"dataset_id": dataset_id, "stack": stack}
        detail: str = problem(api.post("/jobs", json=body), 422, "invalid_request")["detail"]
        return detail

    iris = uploaded(data.iris(), target="species")
    assert "meta_model" in refused(iris, meta_model="alchemy")
    assert "with 2 layers" in refused(iris, meta_model="linear", layers=2)
    diabetes = uploaded(data.diabetes(), target="progression")
    assert "no probabilities" in refused(diabetes, calibrate="sigmoid")
    rows: list[list[object]] = [[x % 17, x % 20, "yes" if x % 3 else "no"] for x in range(120)]
    grouped = uploaded(data.as_csv(rows, ["x", "who", "y"]), target="y", group="who")
    for stack in ({"meta_model": "linear"}, {"layers": 2}, {"calibrate": "sigmoid"}):
        assert "at random" in refused(grouped, **stack)
    rare: list[list[object]] = [[x % 17, x % 7, "yes" if x > 5 else "no"] for x in range(120)]
    assert "fewer than" in refused(
        uploaded(data.as_csv(rare, ["x", "z", "y"]), target="y"), calibrate="isotonic"
    )
    described = {"task_type": "classification", "metafeatures": {}, "stack": {"meta_model": "linear"}}
    assert "needs verify" in problem(api.post("/recommend", json=described), 422, "invalid_request")["detail"]
