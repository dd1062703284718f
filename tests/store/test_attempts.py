"""Attempts at a task on both databases: what passes is tried again, what the data causes is not."""

import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from app import failpoints
from app.config import Settings
from app.failpoints import Step
from app.isolation import Limits
from app.store import tasks
from app.store.database import Database, now
from app.store.tables import Experiment, Task
from tests.store.test_claiming import begin_job, claim, write
from workers.attempt import KINDS, Attempt
from workers.counting import Tally
from workers.devices import CPU, Device


@pytest.fixture
def attempt(settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch):
    """Claims the only task and runs this function of tests.children as its work; what it returns is written down."""

    def attempt(function: str) -> Task:
        def apply(session, held, outcome, folder: Path) -> None:
            of_task = update(Experiment).where(Experiment.task_id == held.task_id)
            session.execute(of_task.values(outcome=str(outcome.ending)))

        def give_up(session, task_id: str) -> None:
            session.execute(update(Experiment).where(Experiment.task_id == task_id).values(outcome="crash"))

        def load(*_: object) -> tuple[str, dict, Limits]:
            return f"tests.children:{function}", {}, Limits(30.0, 4 << 30)

        monkeypatch.setitem(KINDS, "experiment", SimpleNamespace(load=load, apply=apply, give_up=give_up))
        write(database, lambda session: session.execute(update(Task).values(not_before=0.0)))
        claimed_at = time.monotonic()
        Attempt(
            settings, database, claim(database), claimed_at, threading.Event(), Tally(), Device(CPU)
        ).run()
        assert not list(settings.scratch_dir.iterdir()), "something was left behind"
        with database.read() as session:
            return session.scalars(select(Task)).one()

    return attempt


def outcome(database: Database) -> str | None:
    with database.read() as session:
        return session.scalars(select(Experiment.outcome)).one()


@pytest.mark.requirement("R4")
@pytest.mark.requirement("R12")
@pytest.mark.parametrize("function", ["segfault", "kill_itself", "vanish"])
def test_what_may_pass_is_tried_three_times(attempt, database: Database, function: str) -> None:
    begin_job(database, 1)
    for failures in (1, 2):
        task = attempt(function)
        assert (task.status, task.failures, task.lost) == ("queued", failures, 0)
        assert task.not_before > 0
        assert outcome(database) is None
    task = attempt(function)
    assert (task.status, task.failures) == ("failed", tasks.MOST_FAILURES)
    assert "It was tried 3 times." in task.error["detail"]
    assert outcome(database) == "crash"


@pytest.mark.requirement("R12")
def test_machine_without_room_says_nothing_about_the_task(attempt, database: Database) -> None:
    """Tried as often as after lost leases, after longer and longer pauses; what succeeds in the end shows no error."""
    begin_job(database, 1)
    pauses = []
    for lost in range(1, 9):
        task = attempt("fill_the_disk")
        assert (task.status, task.failures, task.lost) == ("queued", 0, lost)
        assert task.error["code"] == "machine_exhausted"
        with database.read() as session:
            pauses.append(session.scalars(select(Task.not_before - now())).one())
    assert pauses[0] < 2
    assert pauses[-1] > 10
    assert max(pauses) < 100
    task = attempt("echo")
    assert (task.status, task.error) == ("succeeded", None)
    write(
        database,
        lambda session: session.execute(update(Task).values(status="queued", lost=tasks.MOST_LOST - 1)),
    )
    task = attempt("fill_the_disk")
    assert (task.status, task.lost) == ("failed", tasks.MOST_LOST)


@pytest.mark.requirement("R12")
def test_what_the_database_refuses_is_not_insisted_on(
    attempt, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be refused for ever, and the attempt hold its slot; what it quotes is data, and not shown."""
    begin_job(database, 1)

    def refused(*_: object) -> None:
        raise IntegrityError("INSERT", None, ValueError("Jane Doe"))

    monkeypatch.setattr(tasks, "finish", refused)
    began = time.monotonic()
    task = attempt("echo")
    assert time.monotonic() - began < 20
    assert (task.status, task.failures, task.error["code"]) == ("queued", 1, "internal_error")
    assert "IntegrityError" in task.error["detail"]
    assert "Jane" not in task.error["detail"]


@pytest.mark.requirement("R12")
@pytest.mark.parametrize("function", ["refuse", "stumble", "mumble"])
def test_what_the_data_or_the_code_causes_is_not_tried_again(
    attempt, database: Database, function: str
) -> None:
    begin_job(database, 1)
    task = attempt(function)
    assert (task.status, task.failures, task.attempt) == ("succeeded", 0, 1)
    assert outcome(database) == "error"


@pytest.mark.requirement("R2")
@pytest.mark.parametrize("moment", failpoints.MOMENTS)
def test_result_is_written_once_although_its_commit_failed(
    attempt, database: Database, tmp_path: Path, moment: str
) -> None:
    """After the commit nobody knows whether it came through: writing again must change nothing."""
    begin_job(database, 1)
    failpoints.use(tmp_path / "failpoints")
    try:
        armed = failpoints.arm(tmp_path / "failpoints", Step.APPLY_OUTCOME, moment, "error")
        task = attempt("echo")
    finally:
        failpoints.use(None)
    assert not armed.exists()
    assert (task.status, task.failures, task.attempt) == ("succeeded", 0, 1)
    assert outcome(database) == "ok"
