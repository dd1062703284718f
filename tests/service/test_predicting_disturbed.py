"""Predictions whose worker dies: the request that waits is answered all the same, once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app import failpoints
from app.failpoints import Step
from tests.deployments import Deployment
from tests.service import data


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Deployment, Path, dict[str, Any]]]:
    """An embedded service, the folder of its failpoints, and a model."""
    folder = tmp_path_factory.mktemp("disturbed")
    environment = {
        "FAILPOINTS_DIR": str(folder / "failpoints"),
        "LEASE_SECONDS": "2",
        "RECONCILE_SECONDS": "0.5",
        "LANDMARKING_SECONDS": "0",
    }
    deployment = Deployment(folder, environment, embedded=True).start()
    try:
        path = folder / "iris.csv"
        path.write_bytes(data.iris())
        client = deployment.client
        dataset_id = client.upload(path, target="species")["id"]
        job = client.verify(dataset_id, configurations=["clf-gaussian_nb-default"])
        model_id = client.wait(job["id"], timeout=120)["result"]["model_id"]
        yield deployment, folder / "failpoints", client.model(model_id)
    finally:
        deployment.stop()


@pytest.mark.requirement("R4")
@pytest.mark.parametrize("moment", failpoints.MOMENTS)
@pytest.mark.parametrize("step", [Step.CLAIM_TASK, Step.APPLY_OUTCOME])
def test_a_worker_that_dies_costs_time_alone(
    disturbed: tuple[Deployment, Path, dict[str, Any]], step: Step, moment: str
) -> None:
    deployment, folder, model = disturbed
    armed = failpoints.arm(folder, step, moment, "kill")
    told = deployment.client.predict(model["id"], [{"a": 5.1, "b": 3.5, "c": 1.4, "d": 0.2}])
    assert told["predictions"] == ["setosa"]
    assert not armed.exists()
    job = deployment.client.job(told["job_id"])
    assert job["status"] == "succeeded"
    kinds = [each["kind"] for each in deployment.client.events(told["job_id"])]
    assert kinds.count("ended") == 1
    was_lost = (step, moment) in {(Step.CLAIM_TASK, "after"), (Step.APPLY_OUTCOME, "before")}
    assert ("predicting_retried" in kinds) is was_lost
