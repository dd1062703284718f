"""`make soak`: an hour of full load on every core, in which no living job may be taken for dead.

python -m chaos.soak --minutes 5 --setup sqlite    shorter, elsewhere
python -m chaos.soak --record    and write the figures to benchmarks/results/soak.json
"""

# ruff: noqa: E402  threads are fixed before any numeric library loads
from app.config import pin_threads

pin_threads()

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import func, select

from app.store.database import now
from app.store.tables import Task
from benchmarks import recording, versions
from chaos import oracle, processes
from chaos.load import load
from chaos.performing import figures
from chaos.report import Report
from chaos.service import REDIS, SETUPS, Service, service

# Real fits of some seconds each, by libraries that are busy in native code most of the time.
LONG = (
    "clf-lightgbm-default",
    "clf-random_forest-200",
    "clf-hist_gradient_boosting-default",
    "clf-xgboost-slow",
)
_ROWS = 3000
_OUTSTANDING = 6  # twice as many jobs as slots
_LOOK_SECONDS = 0.5


def soak(service: Service, seconds: float, report: Report, rows: int = _ROWS) -> None:
    """Keep every slot and every core busy for so long, and look how near leases came to their end."""
    first = oracle.last_entry(service)
    began = {worker.place: worker.pid for worker in service.workers}
    with load(service, _OUTSTANDING, rows=rows, configurations=LONG) as submitting, _busy_cores():
        ends_at = time.monotonic() + seconds
        while time.monotonic() < ends_at:
            unrenewed = _longest_without_renewal(service)
            if unrenewed is not None:
                report.sample("since the oldest renewal", unrenewed)
            time.sleep(_LOOK_SECONDS)
    report.add("claims", oracle.rows(service, "SELECT sum(attempt) FROM tasks")[0][0])
    report.add("evaluations", len(oracle.effects(service, "evaluation", after=first)))
    report.add("tasks lost", len(oracle.effects(service, "lost", after=first)))
    report.add("failures", len(oracle.effects(service, "failure", after=first)))
    report.add("leases lost", sum(service.log(place).count("lease_lost") for place in began))
    for spent in ("tasks lost", "failures", "leases lost"):
        report.demand(report.counts[spent] == 0, f"{report.counts[spent]:g} {spent}, and nobody had died")
    report.demand(report.counts["evaluations"], "nothing was measured")
    report.demand_none((place for place, pid in began.items() if processes.is_over(pid)), "workers that died")
    oracle.check(service, report, submitting)


@contextmanager
def _busy_cores() -> Iterator[None]:
    """A process per core that does nothing but compute, as long as the context lasts."""
    command = [sys.executable, "-c", "while True: pass"]
    burning = [
        subprocess.Popen(command, preexec_fn=processes.die_with_parent)  # noqa: PLW1509  it calls one C function
        for _ in range(os.cpu_count() or 1)
    ]
    try:
        yield
    finally:
        for process in burning:
            process.kill()
            process.wait()


def _longest_without_renewal(service: Service) -> float | None:
    """Seconds since the renewal of the lease that was not renewed for longest; None where nobody holds one."""
    with service.database.read() as session:
        left = session.scalar(select(func.min(Task.lease_expires_at) - now()).where(Task.status == "running"))
    return None if left is None else service.lease_seconds - float(left)


def main() -> int:
    """Soak as asked; how many objections there are."""
    parser = argparse.ArgumentParser(prog="python -m chaos.soak", description="Full load on every core.")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--setup", default=REDIS, choices=SETUPS)
    parser.add_argument(
        "--record", action="store_true", help="write the figures beside the benchmarks' results"
    )
    asked = parser.parse_args()
    report = Report("soak", asked.setup, round(asked.minutes), versions.code())
    with service(asked.setup) as started:
        oracle.keep_log(started)
        soak(started, 60 * asked.minutes, report)
    report.end()
    print(*report.lines(), sep="\n")
    if asked.record:
        recording.record("soak", figures([report]))
    return len(report.objections)


if __name__ == "__main__":
    sys.exit(main())
