"""A worker whose database is silent, on both databases: what it computes ends before anybody else may begin the same."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from sqlalchemy import select, update

from app.config import Settings
from app.isolation import Child, Limits, Outcome
from app.store import tasks
from app.store.database import Database, now
from app.store.tables import Task
from tests.deployments import wait_until
from tests.store.test_claiming import begin_job, claim, write
from workers.attempt import KINDS, Attempt
from workers.counting import Tally
from workers.devices import CPU, Device

LEASE = 3.0


@pytest.mark.requirement("R3")
def test_child_is_gone_before_its_lease_ends_while_the_database_is_silent(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_: object) -> tuple[str, dict, Limits]:
        return "tests.endless:compute", {}, Limits(60.0, 4 << 30)

    seconds_left: list[float] = []
    kill = Child.kill

    def kill_and_look_at_the_lease(child: Child) -> Outcome:
        outcome = kill(child)
        with database.read() as session:
            seconds_left.append(session.scalars(select(Task.lease_expires_at - now())).one())
        return outcome

    def progress() -> dict:
        with database.read() as session:
            return session.scalars(select(Task.progress)).one()

    monkeypatch.setitem(KINDS, "experiment", SimpleNamespace(load=load))
    monkeypatch.setattr(Child, "kill", kill_and_look_at_the_lease)
    begin_job(database, 1)
    claimed_at = time.monotonic()
    held = claim(database, lease=LEASE)
    short = settings.model_copy(update={"lease_seconds": LEASE})
    attempt = Attempt(short, database, held, claimed_at, threading.Event(), Tally(), Device(CPU))
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(attempt.run)
        wait_until(progress, 30)
        with database.write() as session:  # a lock on the row, on SQLite on everything: heartbeats wait
            session.execute(update(Task).values(not_before=0.0))
            assert running.result(timeout=20) is False, "nothing was written"
            session.rollback()
    assert len(seconds_left) == 1
    assert seconds_left[0] > 0, "somebody else could have begun already"

    def is_taken_back() -> bool:
        write(database, tasks.reap)
        with database.read() as session:
            task = session.scalars(select(Task)).one()
        return (task.status, task.failures, task.lost) == ("queued", 0, 1)

    wait_until(is_taken_back, 15)
