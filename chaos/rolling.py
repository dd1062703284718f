"""Workers are restarted politely, one after another under load: nobody loses anything by it but time."""

import signal
import time

from sqlalchemy import select

from app.store.tables import JobEvent
from chaos import oracle
from chaos.load import load
from chaos.report import Report
from chaos.service import Service, send
from tests.deployments import wait_until

_ENDED = "until the worker had ended"
_MOST_SECONDS = 30.0
_SEEN_SECONDS = 60.0


def restart_workers(service: Service, count: int, report: Report) -> None:
    """SIGTERM, wait, start again; the next one's turn comes when the new process is seen.

    Judged by what it costs beyond what the database held before: no failure, no lost lease, and as many more attempts as
    tasks were given back.
    """
    before = _costs(service)
    with load(service) as submitting:
        for number in range(count):
            worker = service.workers[number % len(service.workers)]
            began = time.monotonic()
            send(worker.process, signal.SIGTERM)
            service.restart_worker(worker)
            report.add("restarts")
            report.sample(_ENDED, time.monotonic() - began)
            wait_until(lambda worker=worker: worker.pid in service.seen(), _SEEN_SECONDS)
    after = _costs(service)
    spent = {name: after[name] - before[name] for name in before}
    report.add("tasks given back", spent["given back"])
    report.demand(spent["failures"] == 0, f"{spent['failures']} failures were counted")
    report.demand(spent["lost"] == 0, f"{spent['lost']} leases were lost")
    report.demand(
        spent["repeated attempts"] == spent["given back"],
        f"{spent['given back']} tasks were given back, {spent['repeated attempts']} attempts were repeated",
    )
    report.demand_quick(_ENDED, _MOST_SECONDS * service.patience, percent=100)
    oracle.check(service, report, submitting)


def _costs(service: Service) -> dict[str, int]:
    """What tasks have cost so far beyond one attempt each."""
    (costs,) = oracle.rows(
        service,
        """SELECT coalesce(sum(failures), 0), coalesce(sum(lost), 0),
        coalesce(sum(CASE WHEN attempt > 1 THEN attempt - 1 ELSE 0 END), 0) FROM tasks""",
    )
    with service.database.read() as session:
        retried = session.scalars(select(JobEvent.data).where(JobEvent.kind.like("%_retried"))).all()
    given_back = sum(data["reason"] == "released" for data in retried)
    return {
        **dict(zip(("failures", "lost", "repeated attempts"), map(int, costs), strict=True)),
        "given back": given_back,
    }
