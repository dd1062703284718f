"""Webhooks end to end: a job ends on a real service, and a receiver hears of it.

The waits are long for the sake of workers that are still starting on a busy machine.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.store import jobs
from tests.deployments import Deployment, wait_until
from tests.receivers import Received, Receiver, receiver
from tests.service import data
from tests.service.watched import standing_job
from tests.store.test_deliveries import lose_lease

pytestmark = pytest.mark.requirement("A4")


@pytest.fixture
def said() -> Iterator[Receiver]:
    with receiver() as said:
        yield said


@pytest.fixture
def webhook(deployment: Deployment, said: Receiver) -> Iterator[dict]:
    registered = deployment.client.webhooks.register(said.url, description="tests")
    yield registered
    deployment.client.webhooks.delete(registered["id"])


def heard_of(said: Receiver, job_id: str, deployment: Deployment) -> Received:
    """The one message about this job."""
    try:
        wait_until(lambda: said.of_job(job_id), 90)
    except AssertionError:
        raise AssertionError(deployment.log()[-3000:]) from None
    [came] = said.of_job(job_id)
    return came


def delivery(deployment: Deployment, webhook: dict, message_id: str) -> dict:
    found = deployment.client.webhooks.deliveries(webhook["id"])
    return next(each for each in found if each["id"] == message_id)


def check(deployment: Deployment, webhook: dict, came: Received, status: str) -> None:
    message = came.verified(webhook["secret"])
    assert message["type"] == f"job.{status}"
    told = message["data"]
    job = deployment.client.job(told["job_id"])
    assert [told[name] for name in ("kind", "status", "dataset_id")] == [
        job["kind"],
        status,
        job["dataset_id"],
    ]
    assert deployment.client._call("GET", told["links"]["job"])["status"] == status
    assert message["timestamp"] == job["finished_at"]
    wait_until(lambda: delivery(deployment, webhook, came.id)["status"] == "delivered", 30)
    assert delivery(deployment, webhook, came.id)["attempts"] == 1


def test_job_that_succeeds_is_told(
    deployment: Deployment, said: Receiver, webhook: dict, tmp_path: Path
) -> None:
    path = tmp_path / "iris.csv"
    path.write_bytes(data.iris())
    dataset = deployment.client.upload(path, target="species")
    job = deployment.client.measure(dataset["id"], ["clf-gaussian_nb-default"])
    assert deployment.client.wait(job["id"], timeout=60)["status"] == "succeeded"
    check(deployment, webhook, heard_of(said, job["id"], deployment), "succeeded")


def test_job_that_fails_is_told(
    deployment: Deployment, said: Receiver, webhook: dict, tmp_path: Path
) -> None:
    path = tmp_path / "slow.csv"
    path.write_bytes(data.slow_binary())
    dataset = deployment.client.upload(path, target="y")
    job = deployment.client.verify(
        dataset["id"], configurations=["clf-catboost-300"], time_budget_seconds=1.0
    )
    ended = deployment.client.wait(job["id"], timeout=60)
    assert ended["error"]["code"] == "no_configuration_succeeded"
    came = heard_of(said, job["id"], deployment)
    check(deployment, webhook, came, "failed")
    assert b"catboost" not in came.body


def test_job_that_is_cancelled_is_told(
    deployment: Deployment, said: Receiver, webhook: dict, tmp_path: Path
) -> None:
    job = standing_job(deployment, tmp_path)
    deployment.client.cancel(job.id)
    check(deployment, webhook, heard_of(said, job.id, deployment), "cancelled")


def test_message_that_was_refused_comes_again(
    deployment: Deployment, said: Receiver, webhook: dict, tmp_path: Path
) -> None:
    """By itself after some seconds, and on request at once."""
    said.answers = [500, 503, 200]
    job = standing_job(deployment, tmp_path)
    job.write(lambda session: jobs.fail(session, job.id, {"code": "x"}))
    wait_until(lambda: len(said.of_job(job.id)) == 2, 90)
    first, second = said.of_job(job.id)
    assert (first.id, first.body) == (second.id, second.body)
    wait_until(lambda: delivery(deployment, webhook, first.id)["response_status"] == 503, 30)
    waiting = delivery(deployment, webhook, first.id)
    assert (waiting["status"], waiting["attempts"]) == ("pending", 2)
    assert waiting["next_attempt_at"] > waiting["created_at"]
    deployment.client.webhooks.retry(webhook["id"], first.id)
    wait_until(lambda: delivery(deployment, webhook, first.id)["status"] == "delivered", 30)
    assert len(said.of_job(job.id)) == 3
    assert said.of_job(job.id)[-1].verified(webhook["secret"])["type"] == "job.failed"


def test_rotated_secret_signs_beside_the_one_before(
    deployment: Deployment, said: Receiver, webhook: dict
) -> None:
    rotated = deployment.client.webhooks.rotate_secret(webhook["id"])
    assert rotated["secret"] != webhook["secret"]
    test = deployment.client.webhooks.test(webhook["id"])
    wait_until(lambda: said.received, 90)
    [came] = said.received
    assert came.id == test["id"]
    for each in (rotated, webhook):
        assert came.verified(each["secret"])["type"] == "webhook.test"


def test_message_whose_worker_was_killed_is_sent_by_the_next(
    deployment: Deployment, said: Receiver, webhook: dict, tmp_path: Path
) -> None:
    """The receiver kills it before it answers; the lease of the delivery is made to run out at once."""
    said.before_answer = lambda _: deployment.kill_worker() if len(said.received) == 1 else None
    job = standing_job(deployment, tmp_path)
    deployment.client.cancel(job.id)
    wait_until(lambda: said.of_job(job.id), 90)
    if not deployment.embedded:
        deployment.start_worker()
    lose_lease(job.database)
    wait_until(lambda: len(said.of_job(job.id)) == 2, 60)
    first, second = said.of_job(job.id)
    assert (first.id, first.body) == (second.id, second.body)
    wait_until(lambda: delivery(deployment, webhook, first.id)["status"] == "delivered", 30)
    assert delivery(deployment, webhook, first.id)["attempts"] == 2
