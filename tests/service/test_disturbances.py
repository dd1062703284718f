"""The distributed service while what it stands on fails: Postgres's connections, and Redis."""

import random
import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import psutil
import psycopg
import pytest
import redis
from sqlalchemy import select

from app.store.tables import Evaluation, Experiment
from tests import servers
from tests.deployments import Deployment
from tests.service import data

# Long enough that a busy machine keeps its leases.
_LEASE_SECONDS = 4.0
_QUICK = ["clf-gaussian_nb-default", "clf-lda-shrunk"]
_CUTS = 50
_MOST_CONNECTIONS = 50  # of one process: its pool and what may come on top


@dataclass
class Disturbed:
    """A deployment with a Redis of its own, and a dataset to work on."""

    deployment: Deployment
    broker: redis.Redis
    iris: str

    def check_done_once(self, job_id: str, configurations: list[str]) -> None:
        """The job succeeded, and every configuration has one result and one evaluation."""
        job = self.deployment.client.wait(job_id, timeout=120)
        assert job["status"] == "succeeded", (job["error"], self.deployment.log()[-3000:])
        assert {each["outcome"] for each in job["experiments"]} == {"ok"}
        with self.deployment.database().read() as session:
            ids = select(Experiment.task_id).where(Experiment.job_id == job_id)
            found = session.scalars(select(Evaluation).where(Evaluation.experiment_id.in_(ids))).all()
        assert sorted(each.configuration for each in found) == sorted(configurations)


@pytest.fixture(scope="module")
def disturbed(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disturbed]:
    folder = tmp_path_factory.mktemp("disturbed")
    (folder / "redis").mkdir()
    with servers.redis_server(folder / "redis") as redis_url:
        environment = {
            "DATABASE_URL": servers.create_database(postgres_url, secrets.token_hex(8)),
            "REDIS_URL": redis_url,
            "LEASE_SECONDS": str(_LEASE_SECONDS),
            "RECONCILE_SECONDS": "0.5",
            "LANDMARKING_SECONDS": "1",
        }
        deployment = Deployment(folder, environment, embedded=False).start()
        try:
            (folder / "iris.csv").write_bytes(data.iris())
            iris = deployment.client.upload(folder / "iris.csv", target="species")["id"]
            yield Disturbed(deployment, redis.Redis.from_url(redis_url), iris)
        finally:
            deployment.stop()


@dataclass
class Cutter:
    """Ends all connections to a database again and again, fifty at least, and looks at them meanwhile."""

    url: str
    cut: int = 0
    most_connections: int = 0
    old_transactions: list[str] = field(default_factory=list)

    def run(self) -> None:
        server, _, name = self.url.replace("+psycopg", "").rpartition("/")
        with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
            while self.cut < _CUTS:
                time.sleep(random.uniform(0.1, 0.4))
                self._look(connection, name)
                cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
                self.cut += len(connection.execute(cut, [name]).fetchall())

    def _look(self, connection: psycopg.Connection, name: str) -> None:
        of_name = "FROM pg_stat_activity WHERE datname = %s"
        self.most_connections = max(
            self.most_connections, connection.execute(f"SELECT count(*) {of_name}", [name]).fetchone()[0]
        )
        old = f"SELECT query {of_name} AND xact_start < clock_timestamp() - interval '5 s'"
        self.old_transactions += [row[0] for row in connection.execute(old, [name]).fetchall()]


@pytest.mark.requirement("R14")
def test_jobs_succeed_while_fifty_connections_are_cut(disturbed: Disturbed) -> None:
    client = disturbed.deployment.client
    cutter = Cutter(disturbed.deployment.environment["DATABASE_URL"])
    job_ids = []
    with ThreadPoolExecutor(1) as pool:
        cutting = pool.submit(cutter.run)
        while not cutting.done():
            job_ids.append(client.measure(disturbed.iris, _QUICK)["id"])
            time.sleep(0.7)
        cutting.result()
    assert cutter.cut >= _CUTS
    assert len(job_ids) >= 3
    for job_id in job_ids:
        disturbed.check_done_once(job_id, _QUICK)
    assert cutter.old_transactions == []
    n_processes = 1 + len(disturbed.deployment.workers)
    assert 0 < cutter.most_connections <= n_processes * _MOST_CONNECTIONS


@pytest.mark.requirement("R1")
def test_jobs_are_done_although_redis_loses_everything_or_is_silent(disturbed: Disturbed) -> None:
    client, broker = disturbed.deployment.client, disturbed.broker
    job_ids = []
    for _ in range(6):
        job_ids.append(client.measure(disturbed.iris, _QUICK)["id"])
        broker.flushall()
    server = psutil.Process(broker.info()["process_id"])
    server.suspend()
    try:
        job_ids += [client.measure(disturbed.iris, _QUICK)["id"] for _ in range(3)]
        for job_id in job_ids:
            disturbed.check_done_once(job_id, _QUICK)
    finally:
        server.resume()


@pytest.mark.requirement("R1")
@pytest.mark.requirement("R10")
def test_worker_that_starts_without_a_broker_works_and_stops(disturbed: Disturbed) -> None:
    deployment = disturbed.deployment
    deployment.kill_worker()
    deployment.start_worker(REDIS_URL=f"redis://127.0.0.1:{servers.free_port()}/0")
    job_id = deployment.client.measure(disturbed.iris, _QUICK)["id"]
    disturbed.check_done_once(job_id, _QUICK)
    without_broker = deployment.workers[-1]
    without_broker.terminate()
    assert without_broker.wait(timeout=30) == 0, deployment.log()[-3000:]
