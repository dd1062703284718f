"""Traces: one leads from the request through the worker to the computing process; without a collector nothing is loaded."""

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from fastapi.testclient import TestClient

from app.config import Settings
from app.main import create_app
from tests import servers
from tests.collectors import Collector, Seen, collector
from tests.deployments import Deployment, wait_until
from tests.service import data

OUTER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"  # the client's own trace and span
TRACEPARENT = f"00-{OUTER[0]}-{OUTER[1]}-01"


@pytest.fixture
def received() -> Iterator[Collector]:
    with collector() as found:
        yield found


@pytest.fixture
def distributed(
    received: Collector, postgres_url: str, redis_url: str, tmp_path: Path
) -> Iterator[Deployment]:
    environment = {
        "DATABASE_URL": servers.create_database(postgres_url, secrets.token_hex(8)),
        "REDIS_URL": redis_url,
        "OTLP_ENDPOINT": received.url,
        "LOG_FORMAT": "json",
        "LANDMARKING_SECONDS": "1",
    }
    deployment = Deployment(tmp_path, environment, embedded=False).start()
    yield deployment
    deployment.stop()


def test_one_trace_leads_from_the_request_to_the_computing_process(
    distributed: Deployment, received: Collector
) -> None:
    answer = httpx.post(
        f"{distributed.url}/recommend",
        data={"target": "species", "verify": "true", "k": "1"},
        files={"file": ("iris.csv", data.iris())},
        headers={"traceparent": TRACEPARENT},
        timeout=60,
    )
    assert answer.status_code == 202, answer.text
    job = distributed.client.wait(answer.json()["job"]["id"], timeout=120)
    assert job["status"] == "succeeded"
    # The request with its reader, and the attempts at experiment and stacking with a process each; stacking has another for ONNX.
    wait_until(lambda: len(received.of(OUTER[0])) == 7, 20)
    spans = received.of(OUTER[0])

    def below(parent_id: str, start: str) -> Seen:
        found = [each for each in spans if each.parent_id == parent_id and each.name.startswith(start)]
        assert len(found) == 1, spans
        return found[0]

    request = below(OUTER[1], "POST /recommend")
    assert request.service == "metaselect-api"
    assert request.facts["http.response.status_code"] == 202
    assert request.facts["request"] == answer.headers["X-Request-Id"]
    reader = below(request.id, "child ")
    assert reader.service == "metaselect-api"
    workers = psutil.Process(distributed.workers[0].pid)
    for kind, function in (("experiment", "measure"), ("stacking", "stack")):
        attempt = below(request.id, f"attempt {kind}")
        assert attempt.service == "metaselect-worker"
        assert attempt.facts["job"] == job["id"]
        assert attempt.facts["attempt"] == 1
        child = below(attempt.id, f"child workers.tasks.computing:{function}")
        assert attempt.seconds[0] <= child.seconds[0] < child.seconds[1] <= attempt.seconds[1]
        assert child.facts["process.pid"] not in (
            workers.pid,
            distributed.api.pid,
            reader.facts["process.pid"],
        )
        assert (child.facts["ending"], child.facts["process.exit.code"], child.failed) == ("ok", 0, False)
        assert set(child.events) <= {"fit", "progress"}
        assert child.events, "the process told nothing"
    assert (
        below(below(request.id, "attempt experiment").id, "child ").facts["process.pid"]
        != child.facts["process.pid"]
    )

    exporting = below(attempt.id, "child workers.experiments.exporting.child:export")
    assert child.seconds[1] <= exporting.seconds[0] < exporting.seconds[1] <= attempt.seconds[1]

    log = (distributed.folder / "worker0.log").read_text().splitlines()
    about_job = [
        line for line in map(json.loads, (each for each in log if each.startswith("{"))) if "job" in line
    ]
    assert {line.get("trace") for line in about_job if line["event"] == "task_ended"} == {OUTER[0]}


def test_process_that_is_stopped_is_in_the_trace_too(distributed: Deployment, received: Collector) -> None:
    answer = httpx.post(
        f"{distributed.url}/recommend",
        data={"target": "y", "verify": "true", "k": "10"},
        files={"file": ("slow.csv", data.slow_binary())},
        headers={"traceparent": TRACEPARENT},
        timeout=60,
    )
    job_id = answer.json()["job"]["id"]
    wait_until(lambda: any(each["progress"] for each in distributed.client.job(job_id)["experiments"]), 60)
    distributed.client.cancel(job_id)
    distributed.client.wait(job_id, timeout=30)

    def stopped() -> list[Seen]:
        return [each for each in received.of(OUTER[0]) if each.facts.get("ending") == "stopped"]

    wait_until(stopped, 20)
    assert all(each.failed for each in stopped())


def test_request_without_a_trace_begins_one_and_quotes_nothing(tmp_path: Path, received: Collector) -> None:
    settings = Settings(data_dir=tmp_path, otlp_endpoint=received.url)
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        for given in ({}, {"traceparent": "00-nonsense"}, {"traceparent": b"\xff"}):
            assert (
                client.get("/algorithms?hush=hush", headers={**given, "Authorization": "hush"}).status_code
                < 500
            )
        client.get("/hush")
    assert [each.name for each in received.spans] == ["GET /algorithms"] * 3 + ["GET other"]
    assert len({each.trace_id for each in received.spans}) == 4
    assert not any(each.parent_id for each in received.spans)
    assert "hush" not in str(received.spans)


def test_collector_that_is_away_delays_nobody(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, otlp_endpoint=f"http://127.0.0.1:{servers.free_port()}")
    with TestClient(create_app(settings)) as client:
        client.get("/algorithms")
        began = time.monotonic()
        for _ in range(5):
            assert client.get("/algorithms").status_code == 200
        assert time.monotonic() - began < 3
        leaving = time.monotonic()
    assert time.monotonic() - leaving < 10


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_nothing_of_it_is_loaded_unless_it_is_set(tmp_path: Path) -> None:
    """FastAPI itself imports OpenTelemetry's interface; what costs something is all behind these."""
    code = """
import sys
from app.config import Settings
from app.main import create_app
from workers.supervisor import Supervisor
create_app(), Supervisor(Settings())
print([name for name in sys.modules if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter", "opentelemetry.proto"))])
"""
    for unset in ({}, {"OTLP_ENDPOINT": ""}):
        off = run(code, DATA_DIR=str(tmp_path), **unset)
        assert off.stdout.strip() == "[]", off.stderr
    on = run(code, DATA_DIR=str(tmp_path), OTLP_ENDPOINT=f"http://127.0.0.1:{servers.free_port()}")
    assert "opentelemetry.sdk.trace" in on.stdout, "the test sees nothing"


@pytest.mark.parametrize("start", ["from app.main import create_app; create_app()", "import workers.main"])
def test_collector_without_the_extra_is_said_at_the_start(tmp_path: Path, start: str) -> None:
    code = f"import sys; sys.modules['opentelemetry.exporter.otlp'] = None; {start}"
    ended = run(code, DATA_DIR=str(tmp_path), OTLP_ENDPOINT="http://127.0.0.1:4318")
    assert ended.returncode == 1
    assert "requirements/tracing.txt" in ended.stderr
    assert "Traceback" not in ended.stderr
