"""Leases on both databases: kept by heartbeats, and at an end by the worker's own clock when the database is silent."""

import time

import pytest
from sqlalchemy import select, update

from app.store import jobs, tasks
from app.store.database import Database
from app.store.tables import Task
from app.store.tasks import Renewal
from tests.deployments import wait_until
from tests.store.test_claiming import begin_job, claim, write
from workers.lease import Lease


@pytest.mark.requirement("R2")
def test_lease_is_kept_for_as_long_as_somebody_holds_it(database: Database) -> None:
    begin_job(database, 1)
    claimed_at = time.monotonic()
    held = claim(database, lease=3.0)
    with Lease(database, held, 3.0, claimed_at) as lease:
        lease.note({"done": 1})
        until = time.monotonic() + 4.0
        while time.monotonic() < until:
            write(database, tasks.reap)
            time.sleep(0.2)
        assert lease.found is Renewal.KEPT
    with database.read() as session:
        task = session.scalars(select(Task)).one()
    assert (task.status, task.lost, task.progress) == ("running", 0, {"done": 1})


@pytest.mark.requirement("R3")
def test_lease_runs_out_by_the_clock_here_while_a_heartbeat_hangs_in_the_database(database: Database) -> None:
    begin_job(database, 1)
    held = claim(database, lease=3.0)
    with database.write() as session:  # a lock on the row, on SQLite on everything: heartbeats wait
        session.execute(update(Task).values(not_before=0.0))
        with Lease(database, held, 3.0, time.monotonic()) as lease:
            assert not lease.is_running_out
            wait_until(lambda: lease.is_running_out, 10)
            assert lease.found is Renewal.KEPT, "the heartbeat came through"
        session.rollback()


@pytest.mark.requirement("R6")
def test_heartbeat_tells_of_a_cancellation_and_of_a_lost_task(database: Database) -> None:
    job_id = begin_job(database, 2)
    first, second = claim(database), claim(database, lease=-1.0)
    with (
        Lease(database, first, 10.0, time.monotonic()) as lease,
        Lease(database, second, -1.0, time.monotonic()) as lost,
    ):

        def is_taken_back() -> bool:
            write(database, tasks.reap)  # more than once: a heartbeat may renew what was about to be reaped
            return lost.found is Renewal.LOST

        wait_until(is_taken_back, 10)
        write(database, lambda session: jobs.request_cancel(session, "local", job_id))
        wait_until(lambda: lease.found is Renewal.CANCELLED, 10)
