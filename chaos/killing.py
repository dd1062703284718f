"""Workers are killed with SIGKILL, most of them in the middle of a job; how soon their child is gone, and who notices."""

import os
import random
import signal
import time

from chaos import oracle, processes
from chaos.load import LONG, LONG_COLUMNS, LONG_ROWS, load, measure, upload
from chaos.report import Report
from chaos.service import Service, Worker, send
from tests.deployments import wait_until

MID_JOB_SHARE = 0.6  # at least
_ROUND = (
    5  # kills: the first of anybody, the second in a long computation, the others aimed at who holds a task
)
# Some wait for the end of a dead worker's lease, and there must be others to do; more would keep the processors from what
# starts again.
_OUTSTANDING = 6
_HELD_SECONDS = 60.0
_GONE = "from the kill until the process that computed was gone"
_GONE_SECONDS = 5.0
_MOST_SECONDS = 60.0
_LONGEST_PAUSE_SECONDS = 0.3
_NOTICED_SECONDS = 5.0  # beyond the lease

Deaths = dict[str, list[float]]  # of the workers that held a task, by the clock that the database has too


def kill_workers(service: Service, count: int, report: Report) -> None:
    """Kill one worker after another under load, and start it again."""
    chance = random.Random(count)  # noqa: S311  no secret
    first = oracle.last_entry(service)
    deaths: Deaths = {}
    long_id = upload(service, LONG_ROWS, LONG_COLUMNS)
    with load(service, _OUTSTANDING) as submitting:
        for number in range(count):
            if number % _ROUND == 1:
                _kill_in_long_computation(service, long_id, deaths, report)
            else:
                victim = _choose(service, chance, in_mid_job=bool(number % _ROUND))
                _kill_one(service, victim, deaths, report)
    report.demand(report.counts.get("killed in a long computation"), "nobody died in a long computation")
    report.demand_quick(_GONE, _GONE_SECONDS * service.patience, percent=100)
    _note_losses(service, deaths, first, report)
    report.demand(
        report.counts["killed in mid-job"] >= int(MID_JOB_SHARE * count),
        f"less than {MID_JOB_SHARE:.0%} were killed in mid-job",
    )
    oracle.check(service, report, submitting)


def _kill_in_long_computation(service: Service, dataset_id: str, deaths: Deaths, report: Report) -> None:
    """Kill the worker of a process that does not end by itself; then nobody need do it any more.

    The process is stopped at once, as if it were in native code for ever. Otherwise it would end of its own accord with its
    next message, which nobody takes; and meanwhile keep the processors from the workers that start.
    """
    job_id = measure(service, dataset_id, LONG)
    ((task_id,),) = oracle.rows(service, "SELECT id FROM tasks WHERE job_id = :id", id=job_id)

    def computing() -> Worker | None:
        child = next(
            (pid for pid, computed in processes.computing(service.mark).items() if computed == task_id), None
        )
        if child is None:
            return None
        os.kill(child, signal.SIGSTOP)
        held = service.holders()
        return next((each for each in _expendable(service) if task_id in held.get(each.pid, [])), None)

    victim: Worker = wait_until(computing, _HELD_SECONDS * service.patience, every=0.1)
    _kill_one(service, victim, deaths, report)
    report.add("killed in a long computation", task_id in deaths)
    service.http.post(f"/jobs/{job_id}/cancel").raise_for_status()


def _kill_one(service: Service, victim: Worker, deaths: Deaths, report: Report) -> None:
    send(victim.process, signal.SIGKILL)
    at = time.time()
    held = service.holders().get(victim.pid, [])  # a dead worker's rows stand still
    children = {pid for pid, task_id in processes.computing(service.mark).items() if task_id in held}
    for task_id in held:
        deaths.setdefault(task_id, []).append(at)
    report.add("kills")
    report.add("killed in mid-job", bool(held))
    try:
        wait_until(lambda: all(map(processes.is_over, children)), _MOST_SECONDS)
    except AssertionError:
        report.demand_none(held, f"tasks that were computed {_MOST_SECONDS:g} s after their worker's death")
    if children:
        report.sample(_GONE, time.time() - at)
    if victim in service.workers:
        service.restart_worker(victim)


def _choose(service: Service, chance: random.Random, *, in_mid_job: bool) -> Worker:
    """A worker that holds a task for some time now; or any, be it idle or only starting."""

    def candidates() -> list[Worker]:
        holding = service.holders()
        return [each for each in _expendable(service) if each.pid in holding or not in_mid_job]

    def chosen() -> Worker | None:
        worker = chance.choice(wait_until(candidates, _HELD_SECONDS * service.patience, every=0.1))
        time.sleep(chance.uniform(0, _LONGEST_PAUSE_SECONDS))
        return worker if worker.pid in service.holders() or not in_mid_job else None

    chosen_worker: Worker = wait_until(chosen, _HELD_SECONDS * service.patience, every=0.0)
    return chosen_worker


def _expendable(service: Service) -> list[Worker]:
    """Workers without which somebody else is up who can notice, as wherever more than one worker runs."""
    there = [worker for worker in service.all_workers() if not processes.is_over(worker.pid)]
    up = service.seen() & {worker.pid for worker in there}
    return [worker for worker in there if up - {worker.pid}]


def _note_losses(service: Service, deaths: Deaths, first: int, report: Report) -> None:
    """Every loss follows a kill, soon; a task whose worker was killed counts as lost, never as failed."""
    losses: dict[str, list[float]] = {}
    for entry in oracle.effects(service, "lost", after=first):
        losses.setdefault(entry.subject, []).append(entry.at)
    report.add("tasks lost", sum(map(len, losses.values())))
    for task_id in deaths.keys() | losses.keys():
        kills, noticed = deaths.get(task_id, []), losses.get(task_id, [])
        report.demand(
            len(kills) == len(noticed),
            f"{task_id}: {len(kills)} workers died with it, {len(noticed)} losses were noticed",
        )
        for kill, notice in zip(kills, noticed, strict=False):
            report.sample("from the kill until it was noticed", notice - kill)
    limit = service.lease_seconds + _NOTICED_SECONDS * service.patience
    report.demand_quick("from the kill until it was noticed", limit)
    failed = oracle.effects(service, "failure", after=first)
    report.demand_none(
        (entry.subject for entry in failed), "tasks that were called failed though they were killed"
    )
