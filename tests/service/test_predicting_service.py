"""Predictions over HTTP, with workers that compute them."""

import io
import json
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet
import pytest

from app.client import ProblemError
from tests.deployments import Deployment
from tests.service import data

FIRST = {"a": 5.1, "b": 3.5, "c": 1.4, "d": 0.2}
LAST = {"a": 5.9, "b": 3.0, "c": 5.1, "d": 1.8}


@pytest.fixture(scope="module")
def model(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A model of irises with a category beside their numbers."""
    path = tmp_path_factory.mktemp("data") / "iris.csv"
    lines = data.iris().decode().splitlines()
    header, rows = lines[0], lines[1:]
    bed = ["north", "south", "7"]
    path.write_text(
        f"bed,{header}\n" + "".join(f"{bed[index % 3]},{row}\n" for index, row in enumerate(rows))
    )
    return fit(deployment, path, "species", ["clf-lda-shrunk"])


def fit(deployment: Deployment, path: Path, target: str, names: list[str]) -> dict[str, Any]:
    client = deployment.client
    dataset_id = client.upload(path, target=target)["id"]
    job = client.wait(client.verify(dataset_id, configurations=names)["id"], timeout=120)
    assert job["status"] == "succeeded", (job["error"], deployment.log()[-3000:])
    return client.model(job["result"]["model_id"])


def post(deployment: Deployment, model: dict[str, Any], **arguments: Any) -> httpx.Response:
    return httpx.post(f"{deployment.url}/models/{model['id']}/predict", timeout=60, **arguments)


def refused(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code), answer.text
    assert problem["advice"]
    return dict(problem["evidence"])


def test_rows_are_answered_with_labels_and_probabilities(
    deployment: Deployment, model: dict[str, Any]
) -> None:
    rows = [
        {**FIRST, "bed": "north"},
        {**LAST, "bed": 7, "species": "setosa", "id": 3},
        {"bed": "west", **LAST},
    ]
    answer = post(deployment, model, json={"rows": rows})
    assert answer.status_code == 200, (answer.text, deployment.log()[-3000:])
    told = answer.json()
    assert told["classes"] == ["setosa", "versicolor", "virginica"]
    assert told["predictions"] == ["setosa", "virginica", "virginica"]
    assert [sum(row) for row in told["probabilities"]] == pytest.approx([1.0] * 3)
    assert (told["ignored_columns"], told["target_ignored"]) == (["id"], True)
    assert told["unknown_categories"] == {"bed": {"values": ["west"], "n_values": 1, "n_rows": 1}}
    job = deployment.client.job(told["job_id"])
    assert (job["kind"], job["status"], job["dataset_id"]) == ("prediction", "succeeded", model["dataset_id"])
    assert answer.headers["content-location"] == job["result"]["predictions"]
    again = httpx.get(deployment.url + job["result"]["predictions"])
    assert again.content == answer.content
    assert httpx.get(f"{deployment.url}/jobs/{job['id']}/report").status_code == 200


@pytest.mark.parametrize("form", ["csv", "parquet", "json_lines"])
def test_files_are_answered_as_rows_are(deployment: Deployment, model: dict[str, Any], form: str) -> None:
    rows = [{**FIRST, "bed": "7"}, {**LAST, "bed": None}]
    wanted = post(deployment, model, json={"rows": rows}).json()
    buffer = io.BytesIO()
    if form == "csv":
        buffer.write(b"d,c,b,a,bed\n0.2,1.4,3.5,5.1,7\n1.8,5.1,3.0,5.9,\n")
    elif form == "parquet":
        pa.parquet.write_table(pa.Table.from_pylist(rows), buffer)
    else:
        buffer.write("\n".join(map(json.dumps, rows)).encode())
    answer = post(deployment, model, files={"file": ("rows", buffer.getvalue())})
    assert answer.status_code == 200, answer.text
    assert answer.json()["probabilities"] == wanted["probabilities"]
    assert answer.json()["unknown_categories"] == {}


def test_a_regression_is_answered_with_numbers(deployment: Deployment, tmp_path: Path) -> None:
    path = tmp_path / "diabetes.csv"
    path.write_bytes(data.diabetes())
    found = fit(deployment, path, "progression", ["reg-ridge-default"])
    told = deployment.client.predict(found["id"], path)
    assert told["n_rows"] == len(told["predictions"]) == 442
    assert (told["classes"], told["probabilities"], told["target_ignored"]) == (None, None, True)
    assert 100 < sum(told["predictions"]) / 442 < 200


def test_what_is_wrong_with_the_rows_is_named(deployment: Deployment, model: dict[str, Any]) -> None:
    row = {**FIRST, "bed": "north"}

    def sent(*rows: dict[str, Any]) -> httpx.Response:
        return post(deployment, model, json={"rows": rows})

    evidence = refused(sent({"a": 1.0, "b": 2.0, "c": 3.0}), 422, "column_missing")
    assert evidence["missing"] == ["bed", "d"]
    evidence = refused(sent(row, {**row, "c": "long"}), 422, "value_of_wrong_type")
    assert (evidence["row"], evidence["column"], evidence["expected"]) == (2, "c", "a number")
    refused(sent(), 422, "no_rows")
    evidence = refused(sent(*[{}] * 3), 422, "column_missing")
    assert evidence["n_missing"] == 5
    refused(post(deployment, model, json={"rows": [{"a": [1]}]}), 422, "invalid_request")
    refused(post(deployment, model, json={}), 422, "invalid_request")
    refused(post(deployment, model, files={"file": ("x", b"PK\x03\x04")}), 422, "unreadable_file")
    refused(
        post(deployment, model, content=b"a,b", headers={"content-type": "text/csv"}),
        415,
        "unsupported_media_type",
    )
    many = "a,b,c,d,bed\n" + "1,1,1,1,north\n" * 100_001
    evidence = refused(post(deployment, model, files={"file": ("x", many)}), 422, "too_many_rows")
    assert evidence == {"n_rows": 100_001, "most": 100_000}


def test_who_does_not_wait_has_a_job_to_watch(deployment: Deployment, model: dict[str, Any]) -> None:
    accepted = post(deployment, model, json={"rows": [{**FIRST, "bed": "north"}]}, params={"wait": 0})
    assert accepted.status_code == 202
    job_id = accepted.json()["id"]
    assert accepted.headers["location"] == f"/jobs/{job_id}"
    assert deployment.client.wait(job_id, timeout=60)["status"] == "succeeded"
    told = httpx.get(f"{deployment.url}/jobs/{job_id}/predictions").json()
    assert told["predictions"] == ["setosa"]


def test_a_repeat_has_the_same_predictions_and_begins_nothing(
    deployment: Deployment, model: dict[str, Any]
) -> None:
    request = {
        "json": {"rows": [{**LAST, "bed": "south"}]},
        "headers": {"Idempotency-Key": f"again {model['id']}"},
    }
    first, second = (post(deployment, model, **request) for _ in range(2))
    assert first.status_code == second.status_code == 200
    assert first.content == second.content
    assert second.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    other = {**request, "json": {"rows": [{**FIRST, "bed": "south"}]}}
    refused(post(deployment, model, **other), 422, "idempotency_mismatch")


def test_the_client_predicts_and_raises_what_was_refused(
    deployment: Deployment, model: dict[str, Any], tmp_path: Path
) -> None:
    client = deployment.client
    assert client.predict(model["id"], [{**FIRST, "bed": "north"}])["predictions"] == ["setosa"]
    path = tmp_path / "rows.csv"
    path.write_text("a,b,c,d,bed\n5.9,3.0,5.1,1.8,south\n")
    assert client.predict(model["id"], path, time_budget_seconds=30)["predictions"] == ["virginica"]
    with pytest.raises(ProblemError) as problem:
        client.predict(model["id"], [{}])
    assert problem.value.code == "column_missing"


def test_an_erased_model_predicts_no_more_and_nothing_is_left_of_what_it_predicted(
    deployment: Deployment, tmp_path: Path
) -> None:
    path = tmp_path / "iris.csv"
    path.write_bytes(data.iris())
    found = fit(deployment, path, "species", ["clf-gaussian_nb-default"])
    told = deployment.client.predict(found["id"], [FIRST])
    deployment.client.delete_dataset(found["dataset_id"])
    refused(post(deployment, found, json={"rows": [FIRST]}), 404, "model_not_found")
    refused(httpx.get(f"{deployment.url}/jobs/{told['job_id']}/predictions"), 410, "prediction_erased")
