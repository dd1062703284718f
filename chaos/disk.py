"""The disk is full while an artifact is written: the task is returned for the machine's sake, and the next attempt succeeds.

A link in the attempt's folder leads the artifact to /dev/full, where the kernel refuses every byte as a full disk does. So
it needs no privileges, and nobody else's disk.
"""

import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from app import failpoints
from app.failpoints import AFTER, Step
from chaos import oracle, processes
from chaos.load import BUDGET_SECONDS, QUICK, upload
from chaos.report import Report
from chaos.service import Service, Worker, send
from tests.deployments import wait_until
from workers.experiments.contract import ARTIFACT_FILE, PREDICTIONS_FILE

_END_SECONDS = 120.0
_SECONDS = 60.0


def fill_the_disk(service: Service, count: int, report: Report) -> None:
    """Have experiments leave predictions, and one stacking a model, where there is no room."""
    first = oracle.last_entry(service)
    dataset_id = upload(service)
    models = {_submit_without_room_for_model(service, dataset_id) for _ in range(max(1, count // 5))}
    predictions = {_submit_without_room_for_predictions(service, dataset_id) for _ in range(count)}
    report.add("models without room", len(models))
    report.add("predictions without room", len(predictions))
    trapped = models | predictions
    try:
        wait_until(lambda: not _unfinished(service, "jobs"), _END_SECONDS, every=0.2)
    except AssertionError:
        report.demand_none(_unfinished(service, "jobs"), "jobs that a full disk kept from ending")
    for folder in _folders(service, trapped):  # of workers that did not take the task
        shutil.rmtree(folder, ignore_errors=True)
    returned = {entry.subject for entry in oracle.effects(service, "lost", after=first)}
    report.demand_none(trapped - returned, "tasks that had no room, and did not notice")
    report.demand_none(returned - trapped, "tasks that had room, and were returned")
    failed = {entry.subject for entry in oracle.effects(service, "failure", after=first)}
    report.demand_none(failed, "tasks that were blamed for their machine")
    oracle.check(service, report)


def _submit_without_room_for_predictions(service: Service, dataset_id: str) -> str:
    """A measurement whose first attempt has no room; the task of its experiment."""
    with _nobody_claims(service, service.all_workers()):
        _submit(service, dataset_id, "measurement")
        return _trap(service, PREDICTIONS_FILE)


def _submit_without_room_for_model(service: Service, dataset_id: str) -> str:
    """A verification whose stacking has no room at first; the task of its stacking.

    Its only experiment is done by a worker that dies as soon as stacking is begun, so that nobody takes that up at once.
    """
    last, *others = service.workers
    own = [worker for worker in service.all_workers() if worker not in service.workers]
    with _nobody_claims(service, [*others, *own]):
        armed = failpoints.arm(service.failpoints, Step.ADVANCE_JOB, AFTER, "kill")
        _submit(service, dataset_id, "verification")
        last.process.wait(timeout=_SECONDS)
        assert not armed.exists()
        task_id = _trap(service, ARTIFACT_FILE)
    service.restart_worker(last)
    return task_id


@contextmanager
def _nobody_claims(service: Service, workers: list[Worker]) -> Iterator[None]:
    """Stop these workers, which have nothing to do, as long as the context lasts."""

    def stopped() -> bool:
        for worker in workers:
            send(worker.process, signal.SIGSTOP)
        # A signal arrives a little later than it is sent: until then a worker may still take SQLite's only lock with it.
        wait_until(lambda: all(_stands_still(worker) for worker in workers), _SECONDS)
        if service.can_write():
            return True
        for worker in workers:
            send(worker.process, signal.SIGCONT)
        return False

    wait_until(lambda: not _unfinished(service, "jobs") and stopped(), _SECONDS)
    try:
        yield
    finally:
        for worker in workers:
            send(worker.process, signal.SIGCONT)


def _stands_still(worker: Worker) -> bool:
    return processes.is_over(worker.pid) or psutil.Process(worker.pid).status() == psutil.STATUS_STOPPED


def _submit(service: Service, dataset_id: str, kind: str) -> None:
    body = {
        "kind": kind,
        "dataset_id": dataset_id,
        "configurations": [QUICK[0]],
        "time_budget_seconds": BUDGET_SECONDS,
    }
    service.http.post("/jobs", json=body).raise_for_status()


def _trap(service: Service, artifact: str) -> str:
    """Leave no room for what the only unfinished task writes on its first attempt; its id."""
    (task_id,) = _unfinished(service, "tasks")
    for folder in _folders(service, {task_id}):
        folder.mkdir(parents=True)
        (folder / artifact).symlink_to("/dev/full")
    return task_id


def _folders(service: Service, task_ids: set[str]) -> Iterator[Path]:
    """Where the first attempts at these tasks work, on whichever machine."""
    for data_dir in service.data_dirs:
        yield from (data_dir / "scratch" / f"{task_id}-1" for task_id in sorted(task_ids))


def _unfinished(service: Service, table: str) -> list[str]:
    unfinished = f"SELECT id FROM {table} WHERE status IN ('queued', 'running')"  # noqa: S608  a name from above
    return [row[0] for row in oracle.rows(service, unfinished)]
