"""Workers are stopped for longer than their lease and then go on: what they still want to write is refused."""

import signal
import time
from collections import Counter

from chaos import oracle, processes
from chaos.load import load
from chaos.report import Report
from chaos.service import Service, Worker, send
from tests.deployments import wait_until

_HELD_SECONDS = 60.0
_NOTICED_SECONDS = 20.0  # beyond the lease: so long Postgres keeps locks of a client that fell silent
# What a worker logs that finds itself overtaken: when it writes a result, or when it renews its lease.
_OVERTAKEN = {"writes refused": "task_was_lost", "leases found lost": "lease_lost"}


def freeze_workers(service: Service, count: int, report: Report) -> None:
    """SIGSTOP workers that hold tasks until those were taken back, SIGCONT, and see that nothing of theirs is written.

    Their children go on meanwhile, so that a result waits that is no longer wanted.
    """
    first = oracle.last_entry(service)
    frozen_tasks: set[str] = set()
    with load(service) as submitting:
        while report.counts.get("workers frozen", 0) < count:
            frozen_tasks |= _freeze_some(service, report)
    failed = {entry.subject for entry in oracle.effects(service, "failure", after=first)}
    report.demand_none(frozen_tasks & failed, "tasks that were called failed though their worker was frozen")
    oracle.check(service, report, submitting)


def _freeze_some(service: Service, report: Report) -> set[str]:
    *victims, _ = service.workers  # one goes on, and notices
    before = {victim.place: _overtaken(service, victim) for victim in victims}
    held = {victim.place: _stop_in_mid_job(service, victim) for victim in victims}
    frozen_at = time.monotonic()
    tasks = {task_id for ids in held.values() for task_id in ids}
    most_seconds = service.lease_seconds + _NOTICED_SECONDS * service.patience
    try:
        wait_until(lambda: not _still_held(service, victims), most_seconds, every=0.2)
        report.sample("from the freeze until its tasks were taken back", time.monotonic() - frozen_at)
    except AssertionError:
        report.demand_none(tasks, "tasks that a frozen worker kept")
    finally:
        for victim in victims:
            send(victim.process, signal.SIGCONT)
    for victim in victims:
        report.add("workers frozen")
        try:
            noticed = wait_until(
                lambda victim=victim: _overtaken(service, victim) - before[victim.place], _HELD_SECONDS, 0.2
            )
        except AssertionError:
            report.demand(False, f"{victim.place} was overtaken while it was frozen, and did not notice")
            continue
        for name in _OVERTAKEN:
            report.add(name, noticed[name])
    return tasks


def _stop_in_mid_job(service: Service, victim: Worker) -> list[str]:
    """Stop the worker while it holds tasks; which."""

    def stopped() -> list[str]:
        if victim.pid not in service.holders():
            return []
        send(victim.process, signal.SIGSTOP)
        # It may have finished before the signal came; or be in the middle of a transaction, which on SQLite stops
        # everybody, and is no other worker's to notice.
        held = service.holders().get(victim.pid, []) if service.can_write() else []
        if not held:
            send(victim.process, signal.SIGCONT)
        return held

    assert not processes.is_over(victim.pid), f"{victim.place} has died"
    return wait_until(stopped, _HELD_SECONDS, every=0.05)


def _still_held(service: Service, victims: list[Worker]) -> set[int]:
    return {victim.pid for victim in victims} & service.holders().keys()


def _overtaken(service: Service, victim: Worker) -> Counter[str]:
    log = service.log(victim.place)
    return Counter({name: log.count(event) for name, event in _OVERTAKEN.items()})
