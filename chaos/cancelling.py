"""Jobs are cancelled queued and running: how soon what computes is gone, and that it works without any worker."""

import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Self

from chaos import oracle, processes
from chaos.load import LONG, LONG_COLUMNS, LONG_ROWS, measure, upload
from chaos.report import Report
from chaos.service import Service, send
from tests.deployments import wait_until

_AT_ONCE = 6  # twice the workers: some jobs are still queued
_WITHOUT_WORKERS_SHARE = 0.1
_LONGEST_PAUSE_SECONDS = 2.0
_COMPUTED_SHARE = 0.3  # at least, of what is cancelled while there are workers
_TOO_LATE_SHARE = 0.1  # at most: what is computed takes much longer than anybody waits here
_GONE = "from the answer until the process was gone"
_GONE_SECONDS = 5.0  # at p99
_MOST_SECONDS = 60.0


def cancel_jobs(service: Service, count: int, report: Report) -> None:
    """Cancel so many jobs, a tenth of them with every worker dead."""
    dataset_id = upload(service, LONG_ROWS, LONG_COLUMNS)
    without = max(2, round(_WITHOUT_WORKERS_SHARE * count))
    moments = _Moments(service)
    with moments, ThreadPoolExecutor(_AT_ONCE) as clients:
        chance = random.Random(count)  # noqa: S311  no secret
        pauses = [chance.uniform(0, _LONGEST_PAUSE_SECONDS) for _ in range(count - without)]
        for cancelling in [
            clients.submit(_cancel_one, service, dataset_id, pause, report, moments, aimed=bool(number % 2))
            for number, pause in enumerate(pauses)
        ]:
            cancelling.result()
    _cancel_without_workers(service, dataset_id, without, report)
    report.demand(
        report.counts["cancelled while a process computed"] >= int(_COMPUTED_SHARE * len(pauses)),
        f"less than {_COMPUTED_SHARE:.0%} were cancelled while a process computed",
    )
    report.demand(
        report.counts.get("ended as succeeded", 0) <= _TOO_LATE_SHARE * count,
        f"more than {_TOO_LATE_SHARE:.0%} succeeded before they were cancelled",
    )
    report.demand_quick(_GONE, _GONE_SECONDS * service.patience)
    oracle.check(service, report)


class _Moments:
    """Looks all the time which tasks are computed, for all that want to know when theirs no longer is."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.tasks: set[str] = set()
        self.looks = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def is_gone(self, task_ids: set[str]) -> bool:
        """Whether none of the tasks is computed, by a look that began after this was asked."""
        looks = self.looks
        wait_until(lambda: self.looks > looks + 1, _MOST_SECONDS, every=0.01)
        return not task_ids & self.tasks

    def _look(self) -> None:
        while not self._over.is_set():
            self.tasks = set(processes.computing(self._service.mark).values())
            self.looks += 1
            self._over.wait(0.05)


def _cancel_one(
    service: Service, dataset_id: str, pause: float, report: Report, moments: _Moments, *, aimed: bool
) -> None:
    """Cancel a job after a pause, which if it is aimed begins when a process computes."""
    job_id = measure(service, dataset_id, LONG)
    task_ids = {row[0] for row in oracle.rows(service, "SELECT id FROM tasks WHERE job_id = :id", id=job_id)}
    if aimed:
        wait_until(lambda: task_ids & moments.tasks, _MOST_SECONDS * service.patience)
    time.sleep(pause)
    computed = bool(task_ids & moments.tasks)
    service.http.post(f"/jobs/{job_id}/cancel").raise_for_status()
    answered_at = time.monotonic()
    report.add("cancels")
    wait_until(lambda: moments.is_gone(task_ids), _MOST_SECONDS)
    if computed:
        report.add("cancelled while a process computed")
        report.sample(_GONE, time.monotonic() - answered_at)
    _demand_cancelled(service, job_id, report)


def _cancel_without_workers(service: Service, dataset_id: str, count: int, report: Report) -> None:
    """Kill all workers in the middle of jobs, and cancel those and queued ones; then start the workers again.

    Queued jobs end at once. Those that a dead worker holds end when a worker finds their leases over. (The worker that
    the embedded API starts again by itself needs longer to be warm than this takes.)
    """
    job_ids = [measure(service, dataset_id, LONG) for _ in range(count)]
    wait_until(service.holders, _MOST_SECONDS * service.patience)
    for worker in service.all_workers():
        send(worker.process, signal.SIGKILL)
    running = {
        row.job_id for row in oracle.rows(service, "SELECT job_id FROM tasks WHERE status = 'running'")
    }
    for job_id in job_ids:
        answer = service.http.post(f"/jobs/{job_id}/cancel").raise_for_status().json()
        report.add("cancels")
        report.add("cancels with every worker dead")
        report.demand(
            job_id in running or answer["status"] in ("cancelled", "succeeded"),
            f"{job_id} was queued without a worker, and is {answer['status']} after its cancellation",
        )
    for worker in service.workers:
        service.restart_worker(worker)
    for job_id in job_ids:
        _demand_cancelled(service, job_id, report)


def _demand_cancelled(service: Service, job_id: str, report: Report) -> None:
    """Wait until the job has ended; it ended as cancelled, unless it had succeeded first."""

    def status() -> str | None:
        found = service.http.get(f"/jobs/{job_id}").raise_for_status().json()["status"]
        return None if found in ("queued", "running") else found

    try:
        ended_as = wait_until(status, _MOST_SECONDS * service.patience, every=0.2)
    except AssertionError:
        ended_as = "unfinished"
    report.demand(ended_as in ("cancelled", "succeeded"), f"{job_id} was cancelled, and is {ended_as}")
    report.add(f"ended as {ended_as}")
