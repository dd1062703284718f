"""Workers are killed with SIGKILL, most of them in the middle of a job; how soon that is noticed."""

import random
import signal
import time

import psutil

from chaos import oracle, processes
from chaos.load import load
from chaos.report import Report
from chaos.service import Service, Worker, send
from tests.deployments import wait_until

MID_JOB_SHARE = 0.6  # at least
_AIMED_SHARE = 0.85
_HELD_SECONDS = 60.0
_GONE_SECONDS = 5.0
_LONGEST_PAUSE_SECONDS = 0.3
_NOTICED_SECONDS = 5.0  # beyond the lease


def kill_workers(service: Service, count: int, report: Report) -> None:
    """Kill one worker after another under load, and start it again."""
    chance = random.Random(count)  # noqa: S311  no secret
    first = oracle.last_entry(service)
    killed_at: dict[str, list[float]] = {}
    with load(service) as submitting:
        for _ in range(count):
            _kill_one(service, chance, report, killed_at)
    _note_losses(service, report, killed_at, first)
    report.demand(
        report.counts.get("killed in mid-job", 0) >= MID_JOB_SHARE * count,
        f"less than {MID_JOB_SHARE:.0%} were killed in mid-job",
    )
    oracle.check(service, report, submitting)


def _kill_one(
    service: Service, chance: random.Random, report: Report, killed_at: dict[str, list[float]]
) -> None:
    victim = _choose(service, chance)
    time.sleep(chance.uniform(0, _LONGEST_PAUSE_SECONDS))
    started = _started_by(victim.process)
    send(victim.process, signal.SIGKILL)
    at = time.time()
    held = service.holders().get(victim.pid, [])  # a dead worker's rows stand still
    for task_id in held:
        killed_at.setdefault(task_id, []).append(at)
    report.add("kills")
    report.add("killed in mid-job", bool(held))
    try:
        wait_until(lambda: all(map(processes.is_over, started)), _GONE_SECONDS)
    except AssertionError:
        report.demand_none(started, "processes that outlived their worker")
    if victim in service.workers:
        service.restart_worker(victim)


def _choose(service: Service, chance: random.Random) -> Worker:
    """Mostly a worker that holds a task; sometimes any, be it idle or only starting."""

    def there() -> list[Worker]:
        own = service.own_worker()
        return [*service.workers, *([Worker("api", own)] if own else [])]

    if chance.random() > _AIMED_SHARE:
        return chance.choice(there())

    def busy() -> list[Worker]:
        holding = service.holders()
        return [worker for worker in there() if worker.pid in holding and not processes.is_over(worker.pid)]

    return chance.choice(wait_until(busy, _HELD_SECONDS, every=0.02))


def _started_by(process: psutil.Process) -> set[int]:
    try:
        return {child.pid for child in process.children(recursive=True)}
    except psutil.NoSuchProcess:
        return set()


def _note_losses(service: Service, report: Report, killed_at: dict[str, list[float]], first: int) -> None:
    """Every loss follows a kill, soon; a task whose worker was killed counts as lost, never as failed."""
    losses: dict[str, list[float]] = {}
    for entry in oracle.effects(service, "lost", after=first):
        losses.setdefault(entry.subject, []).append(entry.at)
    report.add("tasks lost", sum(map(len, losses.values())))
    for task_id in killed_at.keys() | losses.keys():
        kills, noticed = killed_at.get(task_id, []), losses.get(task_id, [])
        report.demand(
            len(kills) == len(noticed),
            f"{task_id}: {len(kills)} workers died with it, {len(noticed)} losses were noticed",
        )
        for kill, notice in zip(kills, noticed, strict=False):
            report.sample("from the kill until it was noticed", notice - kill)
    report.demand_quick("from the kill until it was noticed", service.lease_seconds + _NOTICED_SECONDS)
    failed = oracle.effects(service, "failure", after=first)
    report.demand_none(
        (entry.subject for entry in failed), "tasks that were called failed though they were killed"
    )
