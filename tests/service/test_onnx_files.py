"""Models as ONNX over HTTP: the file where it converts, the reason where it does not."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnxruntime
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, update

from app.config import Settings
from app.main import create_app
from app.store.database import Database
from app.store.tables import Model
from tests.deployments import Deployment
from tests.service import data
from tests.store.verified import verified


def fitted(deployment: Deployment, path: Path, name: str) -> dict[str, Any]:
    client = deployment.client
    dataset_id = client.upload(path, target="species")["id"]
    job = client.wait(client.verify(dataset_id, configurations=[name])["id"], timeout=120)
    assert job["status"] == "succeeded", (job["error"], deployment.log()[-3000:])
    return client.model(job["result"]["model_id"])


def test_the_file_predicts_at_home_what_the_service_predicts(deployment: Deployment, tmp_path: Path) -> None:
    path = tmp_path / "iris.csv"
    path.write_bytes(data.iris())
    model = fitted(deployment, path, "clf-lightgbm-default")
    told = model["card"]["artifact"]["onnx"]
    assert told["available"], told
    assert told["max_difference"] <= told["tolerance"]
    assert model["artifact"]["onnx"] == f"/models/{model['id']}/artifact?format=onnx"
    deployment.client.artifact(model["id"], tmp_path / "model.onnx", "onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    rows = [{"a": 5.1, "b": 3.5, "c": 1.4, "d": 0.2}, {"a": 5.9, "b": 3.0, "c": 5.1, "d": 1.8}]
    columns = {name: np.array([[row[name]] for row in rows]) for name in "abcd"}
    labels, probabilities = session.run(["label", "probabilities"], columns)
    here = deployment.client.predict(model["id"], rows)
    assert labels.tolist() == here["predictions"] == ["setosa", "virginica"]
    np.testing.assert_allclose(probabilities, here["probabilities"], atol=told["tolerance"])
    assert "As ONNX it predicts the same" in deployment.client.card(model["id"])


def test_where_there_is_no_file_the_card_and_the_answer_say_why(
    deployment: Deployment, tmp_path: Path
) -> None:
    path = tmp_path / "iris.csv"
    path.write_bytes(data.iris())
    model = fitted(deployment, path, "clf-gaussian_process-rbf")
    told = model["card"]["artifact"]["onnx"]
    assert not told["available"]
    assert "onnx" not in model["artifact"]
    answer = httpx.get(f"{deployment.url}/models/{model['id']}/artifact", params={"format": "onnx"})
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (409, "onnx_unavailable")
    assert problem["detail"] == told["reason"]
    assert problem["advice"]


@pytest.fixture
def api(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings)) as client:
        yield client


def test_a_model_of_before_says_so(api: TestClient, database: Database, tmp_path: Path) -> None:
    verified(database, tmp_path, contribute=True)
    with database.write() as session:
        session.execute(update(Model).values(card={"artifact": {"format": "skops", "trusted_types": []}}))
        session.commit()
        model_id = session.scalars(select(Model.id)).one()
    answer = api.get(f"/models/{model_id}/artifact", params={"format": "onnx"})
    assert (answer.status_code, answer.json()["code"]) == (409, "onnx_unavailable")
    assert "did not export" in answer.json()["detail"]
    assert api.get(f"/models/{model_id}").json()["artifact"].keys() == {"skops", "python"}
