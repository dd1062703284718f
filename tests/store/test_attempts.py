"""Attempts at a task on both databases: what passes is tried again, what the data causes is not."""

import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import select, update

from app import failpoints
from app.config import Settings
from app.failpoints import Step
from app.isolation import Limits
from app.store import tasks
from app.store.database import Database
from app.store.tables import Experiment, Task
from tests.store.test_claiming import begin_job, claim, write
from workers.attempt import KINDS, Attempt
from workers.counting import Tally


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
        Attempt(settings, database, claim(database), claimed_at, threading.Event(), Tally()).run()
        assert not list(settings.scratch_dir.iterdir()), "something was left behind"
        with database.read() as session:
            return session.scalars(select(Task)).one()

    return attempt


def outcome(database: Database) -> str | None:
    with database.read() as session:
        return session.scalars(select(Experiment.outcome)).one()


@pytest.mark.requirement("R4")
@pytest.mark.requirement("R12")
@pytest.mark.parametrize("function", ["fill_the_disk", "segfault", "kill_itself", "vanish"])
def test_what_may_pass_is_tried_three_times(attempt, database: Database, function: str) -> None:
    begin_job(database, 1)
    for failures in (1, 2):
        task = attempt(function)
        assert (task.status, task.failures, task.lost) == ("queued", failures, 0)
        assert task.not_before > 0
        assert outcome(database) is None
    task = attempt(function)
    assert (task.status, task.failures) == ("failed", tasks.MOST_FAILURES)
    assert outcome(database) == "crash"


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
