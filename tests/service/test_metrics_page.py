"""`/metrics`: what it tells of the system is what the database holds, whichever process is asked and whatever was killed."""

import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import func, select

from app.config import Settings
from app.main import create_app
from app.store.experiments import STOPPED_EARLY
from app.store.tables import Experiment, Job, Task
from tests.deployments import Deployment, wait_until
from tests.servers import free_port
from tests.service import data

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"
Samples = dict[tuple[str, ...], float]  # by name and the values of the labels, these by the labels' order


def read(text: str) -> Samples:
    families = text_string_to_metric_families(text)
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def metrics(url: str) -> Samples:
    return read(httpx.get(f"{url}/metrics").text)


def of(samples: Samples, name: str) -> Samples:
    return {
        labels: value
        for (found, *rest), value in samples.items()
        if found == name
        for labels in [tuple(rest)]
    }


def total(samples: Samples, name: str, **wanted: str) -> float:
    return sum(value for labels, value in of(samples, name).items() if set(wanted.values()) <= set(labels))


def wait_until_quiet(deployment: Deployment) -> None:
    def is_quiet() -> bool:
        with deployment.database().read() as session:
            return not session.scalar(select(func.count()).where(Job.status.in_(("queued", "running"))))

    def has_told_all() -> bool:
        """Workers tell some counts only when they reconcile, twice a second here."""
        before = of(metrics(deployment.url), "metaselect_child_exits_total")
        time.sleep(1.5)
        return before == of(metrics(deployment.url), "metaselect_child_exits_total")

    wait_until(is_quiet, 60, every=0.2)
    wait_until(has_told_all, 60)


def upload(deployment: Deployment, path: Path, content: bytes, target: str) -> str:
    path.write_bytes(content)
    return deployment.client.recommend(path, target=target)["dataset_id"]


def test_metrics_are_what_the_database_holds(deployment: Deployment, tmp_path: Path) -> None:
    client = deployment.client
    wait_until_quiet(deployment)
    before = metrics(deployment.url)
    iris = upload(deployment, tmp_path / "iris.csv", data.iris(), "species")
    slow = upload(deployment, tmp_path / "slow.csv", data.slow_binary(), "y")
    names = ["clf-gaussian_nb-default", "clf-lda-shrunk"]
    assert client.wait(client.verify(iris, configurations=names)["id"], timeout=120)["status"] == "succeeded"
    dear = client.verify(slow, configurations=["clf-catboost-300"], time_budget_seconds=1)
    assert client.wait(dear["id"], timeout=120)["status"] == "failed"
    unwanted = client.verify(slow, configurations=["clf-catboost-300"])["id"]
    wait_until(lambda: client.job(unwanted)["status"] == "running", 30)
    client.cancel(unwanted)
    assert client.wait(unwanted, timeout=30)["status"] == "cancelled"

    now = metrics(deployment.url)
    with deployment.database().read() as session:
        jobs = session.execute(
            select(Job.kind, Job.status, func.count()).group_by(Job.kind, Job.status)
        ).all()
        sums = select(func.sum(Task.attempt), func.sum(Task.failures), func.sum(Task.lost))
        attempts, failures, lost = session.execute(sums).one()
        measured = session.scalar(select(func.count()).where(Experiment.outcome.in_(("ok", STOPPED_EARLY))))
    assert {labels: value for labels, value in of(now, "metaselect_jobs").items() if value} == {
        (kind, status): count for kind, status, count in jobs
    }
    assert not any(of(now, "metaselect_tasks").values())
    assert not any(of(now, "metaselect_oldest_queued_seconds").values())
    ended = of(now, "metaselect_attempts_total")  # the labels' order: ending, kind
    assert sum(ended.values()) == attempts
    assert total(now, "metaselect_attempts_total", ending="failed") == failures
    assert total(now, "metaselect_attempts_total", ending="reaped") == lost
    assert ended["ok", "experiment"] == measured
    assert now["metaselect_workers", "cpu"] == 1
    assert now["metaselect_slots", "cpu"] == 2

    def more(name: str, *labels: str) -> float:
        return metrics(deployment.url)[(name, *labels)] - before[(name, *labels)]

    assert more("metaselect_jobs", "verification", "succeeded") == 1
    assert more("metaselect_jobs", "verification", "failed") == 1
    assert more("metaselect_jobs", "verification", "cancelled") == 1
    for ending, kind, count in [("ok", "experiment", 2), ("timeout", "experiment", 1), ("ok", "stacking", 1)]:
        assert more("metaselect_attempts_total", ending, kind) == count
        wait_until(lambda: more("metaselect_child_exits_total", ending, kind) == count, 10)  # noqa: B023
    assert more("metaselect_attempts_total", "cancelled", "experiment") == 1
    wait_until(lambda: more("metaselect_child_exits_total", "stopped", "experiment") == 1, 10)


def test_killed_worker_shows_as_a_reaped_attempt_and_the_queue_as_it_waits(
    deployment: Deployment, tmp_path: Path
) -> None:
    wait_until_quiet(deployment)
    before = metrics(deployment.url)
    slow = upload(deployment, tmp_path / "slow.csv", data.slow_binary(), "y")
    names = ["clf-catboost-300", "clf-random_forest-200", "clf-random_forest-leaf_3"]
    job_id = deployment.client.verify(slow, configurations=names)["id"]
    wait_until(lambda: metrics(deployment.url)["metaselect_tasks", "cpu", "running"] == 2, 30)
    wait_until(lambda: metrics(deployment.url)["metaselect_oldest_queued_seconds", "cpu"] > 0.5, 30)
    deployment.kill_worker()
    if not deployment.embedded:
        deployment.start_worker()
    reaped = ("metaselect_attempts_total", "reaped", "experiment")
    wait_until(lambda: metrics(deployment.url)[reaped] == before[reaped] + 2, 60)
    deployment.client.cancel(job_id)
    deployment.client.wait(job_id, timeout=30)
    now = metrics(deployment.url)
    with deployment.database().read() as session:
        assert total(now, "metaselect_attempts_total") == session.scalar(select(func.sum(Task.attempt)))


def test_another_process_tells_the_same_of_the_system_and_its_own_of_requests(deployment: Deployment) -> None:
    wait_until_quiet(deployment)
    process, client, url = deployment.start_another_api()
    try:
        for _ in range(3):
            list(client.jobs())

        def told(url: str) -> Samples:
            of_system = ("metaselect_jobs", "metaselect_tasks", "metaselect_attempts_total")
            return {each: value for each, value in metrics(url).items() if each[0] in of_system}

        assert told(url) == told(deployment.url)
        assert metrics(url)["metaselect_http_requests_total", "GET", "/jobs", "200"] == 3
    finally:
        client.close()
        process.terminate()
        process.wait(timeout=30)


@pytest.fixture
def api(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings)) as client:
        yield client


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_what_clients_make_up_makes_no_series(api: TestClient) -> None:
    def series() -> int:
        return len(of(read(api.get("/metrics").text), "metaselect_http_requests_total"))

    known = [
        ("GET", "/nowhere"),
        ("PAINT", "/nowhere"),
        ("GET", "/jobs/x"),
        ("POST", "/jobs/x"),
        ("PAINT", "/jobs/x"),
    ]
    for method, path in known:
        api.request(method, path)
    series()
    before = series()
    for number in range(20):
        for method, path in known:
            api.request(method if method != "PAINT" else f"PAINT{number}", f"{path}{number}")
    assert series() == before
    now = of(read(api.get("/metrics").text), "metaselect_http_requests_total")
    assert now["GET", "/jobs/{job_id}", "404"] == 21
    assert now["other", "other", "404"] == 21


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_every_metric_is_in_the_documentation(api: TestClient) -> None:
    api.get("/jobs")
    shown = set(re.findall(r"^# TYPE (\w+)", api.get("/metrics").text, re.MULTILINE))
    section = OPERATIONS.read_text().split("## Metrics")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`.*?`) \| (.*?) \|", section, re.MULTILINE)
    documented = {
        name: re.findall(r"`(\w+)`", labels)
        for names, labels in rows
        for name in re.findall(r"`(\w+)`", names)
    }
    assert set(documented) == shown
    for family in text_string_to_metric_families(api.get("/metrics").text):
        for sample in family.samples:
            name = sample.name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count")
            assert set(sample.labels) - {"le"} == set(documented[name]), name


def test_while_the_database_is_away_the_process_still_tells_of_itself(tmp_path: Path) -> None:
    url = f"postgresql+psycopg://nobody@127.0.0.1:{free_port()}/nothing"
    with TestClient(create_app(Settings(data_dir=tmp_path, database_url=url))) as api:
        assert api.get("/jobs").status_code == 503
        answer = api.get("/metrics")
        told = read(answer.text)
    assert answer.status_code == 200
    assert told["metaselect_database_up",] == 0
    assert told["metaselect_http_requests_total", "GET", "/jobs", "503"] == 1
    assert not of(told, "metaselect_jobs")


def test_a_silent_database_holds_up_nobody_who_asks(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql+psycopg://nobody@127.0.0.1:{silent.getsockname()[1]}/nothing"
        with TestClient(create_app(Settings(data_dir=tmp_path, database_url=url))) as api:
            began = time.monotonic()
            told = read(api.get("/metrics").text)
            assert time.monotonic() - began < 4.5
    assert told["metaselect_database_up",] == 0
