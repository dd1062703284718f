"""Single measurements for `benchmarks.jobs`: raw samples of one set-up, `embedded` or `distributed`."""

# ruff: noqa: E402  threads are fixed before any numeric library loads
from app.config import pin_threads

pin_threads()

import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
from sqlalchemy import func, select

from app.confinement import LOG_NAME
from app.failpoints import Step
from app.store import jobs, tasks
from app.store.database import Database, commit
from app.store.ids import new_id
from app.store.tables import Job, Task
from benchmarks import job_services as services
from benchmarks.experiment_runs import Cells
from benchmarks.recording import ROOT
from tests.deployments import Deployment
from workers.training.sources import read_inventory

Samples = dict[str, list[float]]

_CLIENTS = 4
_READS = 10  # of each kind in a round
_LOOK_SECONDS = 0.002


def acceptance(way: str, n_queued: int, rounds: int, requests: int) -> dict[str, Samples]:
    """Jobs accepted per second, and seconds of requests, by a process with an empty queue and one with a long one.

    They take turns, so that a noisy minute hits both. What a round queued is ended after it.
    """
    samples: dict[str, Samples] = {"empty": {}, "full": {}}
    with ExitStack() as stack:
        doors = {name: stack.enter_context(services.door(way)) for name in samples}
        queues = {name: _queue(each, n_queued if name == "full" else 0) for name, each in doors.items()}
        for number in range(rounds + 1):  # the first is for warming up
            for name, each in doors.items():
                measured = _round_of_requests(each, queues[name], requests)
                for figure, values in measured.items() if number else ():
                    samples[name].setdefault(figure, []).extend(values)
    return samples


def _queue(deployment: Deployment, n_queued: int) -> str:
    """Upload a dataset and fill the queue; the dataset's id."""
    dataset_id = services.upload(deployment)
    if n_queued:
        services.fill(deployment.database(), dataset_id, ["local"], n_queued)
    return dataset_id


def _round_of_requests(deployment: Deployment, dataset_id: str, requests: int) -> Samples:
    database, before = deployment.database(), new_id("job")
    with httpx.Client(base_url=deployment.url, timeout=60) as http, ThreadPoolExecutor(_CLIENTS) as clients:

        def post(_: int) -> float:
            return _seconds(lambda: services.submit(http, dataset_id))

        began = time.perf_counter()
        posting = list(clients.map(post, range(requests)))
        samples = {"accepted_per_second": [requests / (time.perf_counter() - began)], "post_job": posting}
        job_id = services.submit(http, dataset_id)
        for figure, path in (("job", f"/jobs/{job_id}"), ("list", "/jobs"), ("ready", "/health/ready")):
            samples[figure] = [
                _seconds(lambda path=path: http.get(path).raise_for_status()) for _ in range(_READS)
            ]
    samples["look_for_lost_work"] = [_seconds(lambda: _look_for_lost_work(database)) for _ in range(3)]
    services.end_all(database, "queued", newer_than=before)
    database.engine.dispose()
    return samples


def _look_for_lost_work(database: Database) -> None:
    """What every supervisor asks every `RECONCILE_SECONDS`."""
    with database.write() as session:
        tasks.reap(session)
        commit(session, Step.RECONCILE)
    with database.read() as session:
        jobs.due(session)


def claims(
    way: str, queues: dict[str, tuple[int, int]], claimants: int, rounds: int, each: int
) -> dict[str, Samples]:
    """Claims per second by so many processes at once, from each queue: its name → jobs in it and their owners.

    Every round takes the same number from every queue, in turns; then what was taken is ended, and as much queued again.
    """
    samples: dict[str, Samples] = {name: {"per_second": [], "claim": []} for name in queues}
    with ExitStack() as stack:
        waiting = {}
        for name, (n_queued, n_owners) in queues.items():
            deployment = stack.enter_context(services.fresh(way))
            database, owners = deployment.database(), [f"owner {number}" for number in range(n_owners)]
            dataset_id = services.add_dataset(database)
            services.fill(database, dataset_id, owners, n_queued)
            started = [stack.enter_context(_claimant(deployment, each)) for _ in range(claimants)]
            waiting[name] = (database, dataset_id, owners, started)
        for number in range(rounds + 1):  # the first is for warming up
            for name, (database, dataset_id, owners, started) in waiting.items():
                began = time.perf_counter()
                seconds = _answers(started)
                took = time.perf_counter() - began
                services.end_all(database, "running")
                services.fill(database, dataset_id, owners, claimants * each)
                if number:
                    samples[name]["per_second"].append(claimants * each / took)
                    samples[name]["claim"] += seconds
    return samples


@contextmanager
def _claimant(deployment: Deployment, each: int) -> Iterator[subprocess.Popen[str]]:
    """A process that claims `each` tasks whenever it is told to."""
    command = [sys.executable, "-m", "benchmarks.claimant", str(each)]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=deployment.settings().as_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    process.stdout.readline()  # it has imported everything and has a connection
    try:
        yield process
    finally:
        process.stdin.close()
        process.wait(timeout=30)


def _answers(claimants: list[subprocess.Popen[str]]) -> list[float]:
    """Tell them all to claim; seconds of each claim."""
    for process in claimants:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    seconds: list[float] = []
    for process in claimants:
        assert process.stdout is not None
        seconds += json.loads(process.stdout.readline())
    return seconds


def dispatch(way: str, n_jobs: int) -> Samples:
    """Seconds until an idle, warm service of the default size begins with a job.

    From the 202 and from sending the request, to the claim by the database's clock (this machine's), and to the first file
    of the child that computes. A claim may come before the 202.
    """
    samples: Samples = {"from_answer": [], "from_request": [], "to_child": []}
    pauses = random.Random(0)  # noqa: S311  a jitter, not a secret
    with services.service(way, slots=2, workers=1) as deployment:
        dataset_id, database = services.upload(deployment), deployment.database()
        with httpx.Client(base_url=deployment.url, timeout=60) as http, _children(deployment) as begun:
            for _ in range(n_jobs):
                time.sleep(pauses.uniform(0.3, 0.8))  # so that every phase of polling is met
                sent = time.time()
                job_id = services.submit(http, dataset_id)
                answered = time.time()
                services.wait_for_end(database, [job_id], 60)
                with database.read() as session:
                    task_id, started_at = session.execute(
                        select(Task.id, Task.started_at).where(Task.job_id == job_id)
                    ).one()
                samples["from_answer"].append(started_at - answered)
                samples["from_request"].append(started_at - sent)
                samples["to_child"].append(begun[f"{task_id}-1"] - answered)
        database.engine.dispose()
    return samples


@contextmanager
def _children(deployment: Deployment) -> Iterator[dict[str, float]]:
    """When the child of each task's attempt was first seen to have opened its log, to 2 ms."""
    begun: dict[str, float] = {}
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(_LOOK_SECONDS):
            for log in deployment.folder.glob(f"*/scratch/task_*/{LOG_NAME}"):
                begun.setdefault(log.parent.name, time.time())

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    try:
        yield begun
    finally:
        ended.set()
        looking.join()


def served(way: str, workers: int, datasets: str, cells: Cells) -> dict[str, float]:
    """The service on these cells, a job per dataset: seconds from the first request to the end of the last job.

    Embedded, where one process works, the second worker is its second slot.
    """
    at_once = (
        {"slots": workers, "workers": 1} if way == services.EMBEDDED else {"slots": 1, "workers": workers}
    )
    sources = {source.name: source for source in read_inventory(Path(datasets))}
    with services.service(way, **at_once) as deployment:
        uploaded = {
            name: deployment.client.upload(
                Path(datasets) / f"{name}.parquet", target="target", task_type=sources[name].task_type
            )["id"]
            for name in dict(cells)
        }
        database = deployment.database()
        with httpx.Client(base_url=deployment.url, timeout=60) as http:
            began = time.time()
            job_ids = [
                services.submit(http, dataset_id, *(each for dataset, each in cells if dataset == name))
                for name, dataset_id in uploaded.items()
            ]
        services.wait_for_end(database, job_ids, 1800, every=0.5)
        with database.read() as session:
            ended = session.scalars(select(func.max(Job.finished_at)).where(Job.id.in_(job_ids))).one()
            n_failed = session.scalar(
                select(func.count()).where(Task.job_id.in_(job_ids), Task.status != "succeeded")
            )
        database.engine.dispose()
    return {"seconds": ended - began, "cells": len(cells), "failed": n_failed or 0}


def _seconds(call: Callable[[], object]) -> float:
    """Wall seconds of a call."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
