"""Services, databases and queues that `benchmarks.jobs` measures; Postgres here waits for the disk with every commit."""

import secrets
import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import sklearn.datasets
from sqlalchemy import func, insert, select, update

from app.metalearning.portfolio import configurations_of
from app.metalearning.table import TaskType
from app.store import fairness
from app.store.database import Database, now
from app.store.ids import new_id
from app.store.migrating import migrate
from app.store.tables import Dataset, Experiment, Job, JobEvent, Task
from tests import servers
from tests.deployments import Deployment, wait_until

EMBEDDED, DISTRIBUTED = "embedded", "distributed"
CHEAP = "clf-lda-shrunk"  # what a job of these measurements measures, where that does not matter
_WARMING_SECONDS = 120.0


@contextmanager
def fresh(way: str) -> Iterator[Deployment]:
    """The processes of one set-up, none of which runs yet, with a migrated database of their own."""
    with ExitStack() as stack:

        def folder(name: str) -> Path:
            # Not below one folder: the user of the Postgres server must be able to reach its own.
            return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=f"metaselect-{name}-")))

        environment = {"RETRAIN_AFTER": "0"}  # minutes of computing that nobody asked for
        if way == DISTRIBUTED:
            server = stack.enter_context(servers.postgres_server(folder("postgres"), durable=True))
            environment["DATABASE_URL"] = servers.create_database(server, secrets.token_hex(8))
            environment["REDIS_URL"] = stack.enter_context(servers.redis_server(folder("redis")))
        deployment = Deployment(folder("service"), environment, embedded=way == EMBEDDED)
        database = deployment.database()
        migrate(database.engine)
        database.engine.dispose()
        yield deployment


@contextmanager
def door(way: str) -> Iterator[Deployment]:
    """One API process without any worker: whatever it accepts stays queued."""
    with fresh(way) as deployment:
        process, deployment.client, deployment.url = deployment.start_another_api()
        try:
            yield deployment
        finally:
            deployment.client.close()
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)


@contextmanager
def service(way: str, slots: int, workers: int) -> Iterator[Deployment]:
    """A service of so many workers with so many slots each, all of them warm and idle."""
    with fresh(way) as deployment:
        deployment.environment["WORKER_SLOTS"] = str(slots)
        deployment.start()
        try:
            for _ in range(workers - 1):
                deployment.start_worker()
            _wait_until_warm(deployment, workers)
            yield deployment
        finally:
            deployment.stop()


def upload(deployment: Deployment) -> str:
    """A small dataset, uploaded; its id."""
    path = deployment.folder / "breast_cancer.csv"
    sklearn.datasets.load_breast_cancer(as_frame=True).frame.to_csv(path, index=False)
    return deployment.client.upload(path, target="target", task_type="classification")["id"]


def submit(http: httpx.Client, dataset_id: str, *configurations: str) -> str:
    """A job that measures these configurations; its id."""
    body = {
        "kind": "measurement",
        "dataset_id": dataset_id,
        "configurations": configurations or [CHEAP],
        "time_budget_seconds": 3600,
    }
    return http.post("/jobs", json=body).raise_for_status().json()["id"]


def wait_for_end(database: Database, job_ids: list[str], seconds: float, every: float = 0.05) -> None:
    """Wait until all of these jobs have ended, asking no API process."""
    unfinished = select(func.count()).where(Job.id.in_(job_ids), Job.finished_at.is_(None))

    def ended() -> bool:
        with database.read() as session:
            return session.scalar(unfinished) == 0

    wait_until(ended, seconds, every)


def add_dataset(database: Database) -> str:
    """A dataset of which only the row is there, for tasks that nobody will carry out; its id."""
    empty = {"columns": [], "reading": {}, "findings": [], "metafeatures": {}, "metafeature_seconds": {}}
    with database.write() as session:
        dataset = Dataset(
            id=new_id("ds"),
            owner="local",
            name="d",
            target="y",
            task_type="classification",
            n_rows=100,
            classes=["a", "b"],
            metafeature_version=1,
            absent_metafeatures=[],
            **empty,
        )
        session.add(dataset)
        session.commit()
    return dataset.id


def fill(database: Database, dataset_id: str, owners: list[str], n_jobs: int) -> None:
    """Queue so many jobs of one experiment, owners in turn, written faster than one by one."""
    configuration = configurations_of(TaskType.CLASSIFICATION)[0]
    rows = [(new_id("job"), new_id("task"), owners[index % len(owners)]) for index in range(n_jobs)]
    job = {
        "kind": "measurement",
        "status": "queued",
        "phase": "experimenting",
        "dataset_id": dataset_id,
        "request": {"configurations": [configuration.id], "time_budget_seconds": 300.0},
        "time_budget_seconds": 300.0,
        "version": 1,
    }
    task = {"kind": "experiment", "queue": "cpu", "status": "queued", "progress": {}}
    experiment = {"configuration": configuration.id, "fingerprint": configuration.fingerprint}
    event = {"position": 1, "kind": "queued", "data": {}}
    with database.write() as session:
        session.execute(insert(Job), [{**job, "id": job_id, "owner": owner} for job_id, _, owner in rows])
        session.execute(
            insert(Task),
            [
                {**task, "id": task_id, "job_id": job_id, "owner": owner, "priority": fairness.LONG}
                for job_id, task_id, owner in rows
            ],
        )
        session.execute(
            insert(Experiment),
            [{**experiment, "task_id": task_id, "job_id": job_id} for job_id, task_id, _ in rows],
        )
        session.execute(insert(JobEvent), [{**event, "job_id": job_id} for job_id, _, _ in rows])
        session.commit()


def end_all(database: Database, status: str, newer_than: str = "") -> None:
    """End what has this status, without doing it, where its job's id comes after this one."""
    ended = {"status": "succeeded", "finished_at": now()}
    with database.write() as session:
        session.execute(update(Task).where(Task.status == status, Task.job_id > newer_than).values(ended))
        session.execute(update(Job).where(Job.status == status, Job.id > newer_than).values(ended))
        session.commit()


def _wait_until_warm(deployment: Deployment, workers: int) -> None:
    """Let the service measure until each of its workers has."""
    dataset_id, database = upload(deployment), deployment.database()
    measured_by: set[str] = set()

    def warm() -> bool:
        with httpx.Client(base_url=deployment.url, timeout=60) as http:
            job_ids = [submit(http, dataset_id) for _ in range(2 * workers)]
        wait_for_end(database, job_ids, _WARMING_SECONDS)
        with database.read() as session:
            measured_by.update(session.scalars(select(Task.worker).where(Task.job_id.in_(job_ids))).all())
        return len(measured_by) == workers

    wait_until(warm, _WARMING_SECONDS)
    database.engine.dispose()
