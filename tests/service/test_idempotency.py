"""`Idempotency-Key` over HTTP: whatever is sent twice happens once, and is answered alike."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select, update

from app.client import Client
from app.config import Settings
from app.main import create_app
from app.store.database import Database
from app.store.tables import Base, Dataset, IdempotencyKey, Job, Recommendation
from tests.deployments import wait_until
from tests.service import data, raw

DESCRIBED = {"task_type": "classification", "metafeatures": {"nr_inst": 800.0, "nr_attr": 12.0}}
IRIS = {"file": ("iris.csv", data.iris())}
MEASURED = {"kind": "measurement", "configurations": ["clf-gaussian_nb-default"]}


@pytest.fixture
def api(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings.model_copy(update={"landmarking_seconds": 0.0}))) as client:
        yield client


def keyed(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key}


def count(database: Database, table: type[Base]) -> int:
    with database.read() as session:
        return session.scalars(select(func.count()).select_from(table)).one()


def check_replayed(first: httpx.Response, second: httpx.Response) -> None:
    assert first.is_success, first.text
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    assert (second.status_code, second.content) == (first.status_code, first.content)
    for name in ("location", "retry-after", "content-type"):
        assert second.headers.get(name) == first.headers.get(name)


def problem(answer: httpx.Response, status: int, code: str) -> dict:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.json()["advice"]
    return answer.json()


def test_everything_that_creates_is_replayed_byte_by_byte(api: TestClient, database: Database) -> None:
    upload = {"files": IRIS, "data": {"target": "species"}, "headers": keyed("upload")}
    dataset, again = (api.post("/datasets", **upload) for _ in range(2))
    check_replayed(dataset, again)
    dataset_id = dataset.json()["id"]
    assert dataset.headers["location"] == f"/datasets/{dataset_id}"

    asked = {"json": {**MEASURED, "dataset_id": dataset_id}, "headers": keyed("job")}
    job, again = (api.post("/jobs", **asked) for _ in range(2))
    check_replayed(job, again)
    assert job.headers["location"] == f"/jobs/{job.json()['id']}"

    described = {"json": DESCRIBED, "headers": keyed("described")}
    check_replayed(*(api.post("/recommend", **described) for _ in range(2)))

    wishes = {"target": "species", "verify": "true", "k": "2"}
    verified = {"files": IRIS, "data": wishes, "headers": keyed("verified")}
    recommended, again = (api.post("/recommend", **verified) for _ in range(2))
    check_replayed(recommended, again)
    assert recommended.status_code == 202
    assert recommended.headers["location"] == f"/jobs/{recommended.json()['job']['id']}"

    tables = (Dataset, Job, Recommendation, IdempotencyKey)
    assert [count(database, table) for table in tables] == [2, 2, 2, 4]


def test_without_a_key_or_with_another_it_happens_again(api: TestClient, database: Database) -> None:
    for headers in ({}, {}, keyed("one"), keyed("two")):
        assert "idempotency-replayed" not in api.post("/recommend", json=DESCRIBED, headers=headers).headers
    assert count(database, Recommendation) == 4


def test_spelling_of_the_same_fields_does_not_matter_but_their_values_do(api: TestClient) -> None:
    first = api.post("/recommend", json=DESCRIBED, headers=keyed("k"))
    spelled = json.dumps(dict(reversed(DESCRIBED.items())), indent=2)
    headers = {**keyed("k"), "content-type": "application/json"}
    check_replayed(first, api.post("/recommend", content=spelled, headers=headers))
    problem(
        api.post("/recommend", json={**DESCRIBED, "k": 3}, headers=keyed("k")), 422, "idempotency_mismatch"
    )


def test_same_form_with_another_boundary_is_the_same_and_another_file_is_not(api: TestClient) -> None:
    def post(boundary: str, content: bytes = data.iris(), path: str = "/datasets", **fields: str):
        request = api.build_request(
            "POST",
            path,
            files={"file": ("iris.csv", content)},
            data={"target": "species", **fields},
            headers={**keyed("k"), "content-type": f"multipart/form-data; boundary={boundary}"},
        )
        return api.send(request)

    check_replayed(post("one"), post("two"))
    for other in (
        {"content": data.iris().replace(b"5.1", b"5.2", 1)},
        {"name": "named"},
        {"contribute": "false"},
        {"path": "/recommend"},
    ):
        problem(post("one", **other), 422, "idempotency_mismatch")


def test_refused_request_gives_its_key_back(api: TestClient, database: Database) -> None:
    broken = {"files": {"file": ("a.csv", b"y\n")}, "data": {"target": "y"}, "headers": keyed("k")}
    for _ in range(2):
        assert api.post("/datasets", **broken).status_code == 422
    missing = {**MEASURED, "dataset_id": "ds_missing"}
    problem(api.post("/jobs", json=missing, headers=keyed("k")), 404, "dataset_not_found")
    assert count(database, IdempotencyKey) == 0
    assert api.post("/recommend", json=DESCRIBED, headers=keyed("k")).status_code == 200


def test_failed_request_gives_its_key_back(settings: Settings, database: Database, monkeypatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError

    with TestClient(create_app(settings), raise_server_exceptions=False) as api:
        with monkeypatch.context() as patched:
            patched.setattr("app.store.recommendations.record", fail)
            assert api.post("/recommend", json=DESCRIBED, headers=keyed("k")).status_code == 500
        assert count(database, IdempotencyKey) == 0
        assert api.post("/recommend", json=DESCRIBED, headers=keyed("k")).status_code == 200


@pytest.mark.requirement("R11")
def test_repeat_in_flight_is_told_when_to_come_back(api: TestClient, database: Database) -> None:
    api.post("/recommend", json=DESCRIBED, headers=keyed("k"))
    with database.write() as session:
        session.execute(update(IdempotencyKey).values(status=None, body=None))
        session.commit()
    answer = api.post("/recommend", json=DESCRIBED, headers=keyed("k"))
    problem(answer, 409, "idempotency_in_flight")
    assert int(answer.headers["retry-after"]) >= 1


def test_answer_that_was_erased_with_its_dataset_is_not_made_again(
    api: TestClient, database: Database
) -> None:
    upload = {"files": IRIS, "data": {"target": "species"}, "headers": keyed("k")}
    dataset_id = api.post("/datasets", **upload).json()["id"]
    assert api.delete(f"/datasets/{dataset_id}").status_code == 204
    problem(api.post("/datasets", **upload), 410, "idempotency_erased")
    assert count(database, Dataset) == 1


@pytest.mark.parametrize("key", ["", "k" * 256, "tab\tbed", b"\xe9t\xe9"])
def test_key_that_is_none_is_refused(api: TestClient, key: str | bytes) -> None:
    answer = api.post("/recommend", json=DESCRIBED, headers=[(b"Idempotency-Key", key)])
    problem(answer, 422, "invalid_request")


def test_key_may_be_as_long_as_255_characters(api: TestClient) -> None:
    assert api.post("/recommend", json=DESCRIBED, headers=keyed("~" * 255)).status_code == 200


@pytest.fixture
def service(settings: Settings, tmp_path: Path) -> Iterator[raw.Api]:
    """A real server on either database."""
    with _server(settings, tmp_path / "service") as running:
        yield running


@pytest.mark.requirement("R11")
def test_fifty_threads_with_one_key_begin_one_job(service: raw.Api, database: Database) -> None:
    url = f"http://127.0.0.1:{service.port}"
    with httpx.Client(base_url=url, timeout=60, limits=httpx.Limits(max_connections=50)) as http:
        dataset_id = http.post("/datasets", files=IRIS, data={"target": "species"}).json()["id"]
        asked = {**MEASURED, "dataset_id": dataset_id}

        def ask(_: int) -> httpx.Response:
            return http.post("/jobs", json=asked, headers=keyed("one"))

        with ThreadPoolExecutor(50) as pool:
            answers = list(pool.map(ask, range(50)))
    assert {answer.status_code for answer in answers} <= {202, 409}
    accepted = [answer for answer in answers if answer.status_code == 202]
    assert sum("idempotency-replayed" not in answer.headers for answer in accepted) == 1
    assert len({answer.content for answer in accepted}) == 1
    assert count(database, Job) == 1


@pytest.mark.requirement("R11")
def test_repeat_after_the_api_was_killed_creates_once(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    upload = {
        "files": {"file": ("slow.csv", data.slow_binary())},
        "data": {"target": "y"},
        "headers": keyed("k"),
        "timeout": 60,
    }
    with _server(settings, tmp_path / "first") as first, ThreadPoolExecutor(1) as pool:
        asking = pool.submit(httpx.post, f"http://127.0.0.1:{first.port}/datasets", **upload)
        wait_until(lambda: count(database, IdempotencyKey), 30)
        first.process.kill()
        with pytest.raises(httpx.TransportError):
            asking.result(timeout=60)
    assert count(database, Dataset) == 0
    with _server(settings, tmp_path / "second") as second:
        url = f"http://127.0.0.1:{second.port}/datasets"
        problem(httpx.post(url, **upload), 409, "idempotency_in_flight")
        with database.write() as session:  # the claim's time passes
            session.execute(update(IdempotencyKey).values(expires_at=IdempotencyKey.expires_at - 200))
            session.commit()
        check_replayed(httpx.post(url, **upload), httpx.post(url, **upload))
    assert count(database, Dataset) == 1


class _LosesAnswers(httpx.HTTPTransport):
    """Every request arrives, and the first answers are lost on their way back."""

    lost = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = super().handle_request(request)
        if request.method == "POST" and self.lost < 2:
            self.lost += 1
            answer.close()
            raise httpx.ReadError("connection reset")
        return answer


@pytest.mark.requirement("R11")
def test_client_repeats_what_got_no_answer_and_nothing_is_doubled(
    service: raw.Api, database: Database, tmp_path: Path
) -> None:
    path = tmp_path / "iris.csv"
    path.write_bytes(data.iris())
    url = f"http://127.0.0.1:{service.port}"
    for ask, table in (
        (lambda client: client.upload(path, target="species"), Dataset),
        (lambda client: client.recommend(**DESCRIBED), Recommendation),
        (lambda client: client.measure(_only_dataset(database), MEASURED["configurations"]), Job),
    ):
        with Client(url) as client:
            client._http = httpx.Client(base_url=url, transport=_LosesAnswers(), timeout=60)
            assert ask(client)["id"]
        assert count(database, table) == 1


def test_client_does_not_wait_for_ever_for_a_service_that_is_not_there(monkeypatch) -> None:
    monkeypatch.setattr("app.client._OUTAGE_SECONDS", 0.5)
    with Client("http://127.0.0.1:9") as client, pytest.raises(httpx.ConnectError):
        client.recommend(**DESCRIBED)


def _server(settings: Settings, folder: Path):
    folder.mkdir()
    return raw.small_api(folder, database_url=settings.sqlalchemy_url, landmarking_seconds=3)


def _only_dataset(database: Database) -> str:
    with database.read() as session:
        return session.scalars(select(Dataset.id)).one()
