"""Events on both databases: in order, without gaps, however many write; and one last event for every job that ended."""

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import select

from app.errors import JobNotFoundError
from app.isolation import Ending, Outcome
from app.store import events, jobs, tasks
from app.store.database import Database
from app.store.events import Event
from app.store.tables import Experiment, Job, Task
from tests.store import verified
from tests.store.test_claiming import begin_job, claim, write
from workers.tasks import experiment, stacking, verification

REFUSED = Outcome(Ending.ERROR, error={"code": "configuration_failed", "detail": "", "advice": ""})


def told(database: Database, job_id: str, position: int = 0) -> list[Event]:
    with database.read() as session:
        return events.after(session, job_id, position)


def kinds(database: Database, job_id: str) -> list[str]:
    return [event.kind for event in told(database, job_id)]


def finish(database: Database, held: tasks.Claim, folder: Path) -> bool:
    """As a supervisor does: the task ends, its result is written, and the job moves on in a transaction after it."""

    def change(session) -> bool:
        finished = tasks.finish(session, held)
        if finished and held.kind == "experiment":
            experiment.apply(session, held, REFUSED, folder)
        return finished

    finished = write(database, change)
    write(database, lambda session: verification.advance(session, held.job_id))
    return finished


def test_life_of_a_job_is_told_in_order(database: Database, tmp_path: Path) -> None:
    job_id = begin_job(database, 2)
    first, second = claim(database), claim(database)
    fold = {"phase": "cross-validation", "done": 1, "total": 5}
    for progress in (fold, fold, fold | {"done": 2}):
        write(database, lambda session, progress=progress: tasks.renew(session, first, 10.0, progress))
    finish(database, first, tmp_path)
    write(database, lambda session: tasks.release(session, second))
    finish(database, claim(database), tmp_path)
    story = told(database, job_id)
    assert [event.position for event in story] == list(range(1, len(story) + 1))
    assert [event.kind for event in story] == [
        "queued",
        "running",
        *("experiment_started", "experiment_started"),
        *("experiment_progress", "experiment_progress"),  # what says nothing new is not told
        *("experiment_ended", "experiment_retried", "experiment_started", "experiment_ended"),
        "ended",
    ]
    names = story[0].data["configurations"]
    assert story[2].data == {"configuration": names[0], "attempt": 1}
    assert story[5].data == {"configuration": names[0], **fold, "done": 2}
    assert story[6].data["outcome"] == "failed"
    assert story[6].data["error"] == "configuration_failed"
    assert story[7].data == {"configuration": names[1], "reason": "released"}
    assert story[-1].data == {"status": "failed", "error": "no_configuration_succeeded"}


def test_stacking_is_told(database: Database) -> None:
    job_id = begin_job(database, 1)
    held = claim(database)
    with database.write() as session:
        assert tasks.finish(session, held)
        session.scalars(select(Experiment)).one().outcome = "ok"
        session.commit()
    write(database, lambda session: verification.advance(session, job_id))
    stack = claim(database)
    write(database, lambda session: tasks.renew(session, stack, 10.0, {"phase": "refitting", "done": 1}))
    write(database, lambda session: tasks.fail_attempt(session, stack, {"code": "worker_crashed"}))
    write(database, lambda session: jobs.succeed(session, job_id, {"winner": "x"}))
    assert kinds(database, job_id)[-5:] == [
        *("phase", "stacking_started", "stacking_progress", "stacking_retried", "ended")
    ]
    assert told(database, job_id)[-4].data == {"attempt": 1}


def test_lost_task_is_told_and_one_given_up_too(database: Database) -> None:
    job_id = begin_job(database, 1)
    for _ in range(tasks.MOST_LOST):
        claim(database, lease=-1.0)
        for each in write(database, tasks.reap):
            if each.is_over:
                write(database, lambda session, each=each: experiment.give_up(session, each.task_id))
    *retried, last = [each for each in told(database, job_id) if each.kind != "experiment_started"][2:]
    assert [each.data["lost"] for each in retried] == list(range(1, tasks.MOST_LOST))
    assert {each.data["reason"] for each in retried} == {"lost"}
    assert last.kind == "experiment_ended"
    assert (last.data["outcome"], last.data["error"]) == ("crash", "worker_lost")


def test_change_that_is_rolled_back_leaves_no_gap(database: Database) -> None:
    job_id = begin_job(database, 1)
    with database.write() as session:
        assert events.record(session, job_id, "phase", {"phase": "imagined"})
        session.rollback()
    claim(database)
    assert [(event.position, event.kind) for event in told(database, job_id)] == [
        (1, "queued"),
        (2, "running"),
        (3, "experiment_started"),
    ]


@pytest.mark.requirement("R5")
def test_nothing_follows_the_last_event(database: Database) -> None:
    job_id = begin_job(database, 1)
    write(database, lambda session: jobs.request_cancel(session, "local", job_id))
    before = told(database, job_id)
    assert [event.kind for event in before] == ["queued", "cancel_requested", "experiment_ended", "ended"]
    assert before[-1].data == {"status": "cancelled", "error": None}
    assert not write(database, lambda session: events.record(session, job_id, "phase", {}))
    write(database, lambda session: jobs.request_cancel(session, "local", job_id))
    write(database, lambda session: verification.advance(session, job_id))
    assert told(database, job_id) == before
    with database.read() as session:
        assert events.state(session, "local", job_id) == events.State(4, ended=True, erased=False)


def test_state_is_told_to_the_owner_alone(database: Database) -> None:
    job_id = begin_job(database, 1)
    with database.read() as session, pytest.raises(JobNotFoundError):
        events.state(session, "somebody else", job_id)


@pytest.mark.requirement("A6")
def test_writers_at_once_leave_no_gap_and_readers_never_see_one(database: Database) -> None:
    job_id = begin_job(database, 1)
    n_writers, n_events = 6, 15
    stop = threading.Event()

    def record_many(writer: int) -> None:
        for number in range(n_events):
            with database.write() as session:
                assert events.record(session, job_id, "phase", {"writer": writer, "number": number})
                time.sleep(random.uniform(0, 0.004))
                if number % 3 == 2:
                    session.rollback()
                else:
                    session.commit()

    def read_until_stopped() -> int:
        seen: list[Event] = []
        while True:
            last_look = stop.is_set()
            seen += told(database, job_id, len(seen))
            assert [event.position for event in seen] == list(range(1, len(seen) + 1))
            if last_look:
                return len(seen)

    with ThreadPoolExecutor(n_writers + 2) as pool:
        readers = [pool.submit(read_until_stopped) for _ in range(2)]
        for writer in [pool.submit(record_many, writer) for writer in range(n_writers)]:
            writer.result(timeout=60)
        stop.set()
        expected = 1 + n_writers * n_events * 2 // 3
        assert [reader.result(timeout=10) for reader in readers] == [expected, expected]
    by_writer = [event.data["number"] for event in told(database, job_id) if event.data.get("writer") == 0]
    assert by_writer == sorted(by_writer)


class Bustle:
    """Workers, reapers, reconcilers and people who cancel, all at once, until every job has ended."""

    def __init__(self, database: Database, folder: Path, job_ids: list[str]) -> None:
        self.database, self.folder, self.job_ids = database, folder, job_ids
        self.deadline = time.monotonic() + 60

    def run(self) -> None:
        steps = [self.work] * 3 + [self.reap] * 2 + [self.move_on] * 2 + [self.cancel] * 2
        with ThreadPoolExecutor(len(steps)) as pool:
            busy = [pool.submit(self.repeat, step, seed) for seed, step in enumerate(steps)]
        for each in busy:
            each.result()

    def repeat(self, step: Callable[[random.Random], None], seed: int) -> None:
        chance = random.Random(seed)
        while self.active_jobs():
            assert time.monotonic() < self.deadline, "jobs never ended"
            step(chance)

    def active_jobs(self) -> list[str]:
        with self.database.read() as session:
            return list(session.scalars(select(Job.id).where(Job.status.in_(jobs.ACTIVE))))

    def work(self, chance: random.Random) -> None:
        held = claim(self.database, lease=chance.choice([-1.0, 10.0, 10.0]))
        if held is None:
            return
        write(self.database, lambda session: tasks.renew(session, held, 10.0, {"done": 1}))
        fate = chance.random()
        if fate < 0.1:
            error = {"code": "worker_crashed"}
            write(self.database, lambda session: tasks.fail_attempt(session, held, error))
        elif fate < 0.3:
            write(self.database, lambda session: tasks.cancel(session, held))
        elif fate < 0.9:
            finish(self.database, held, self.folder)
        # Otherwise the worker dies, and its task is lost once the lease has run out.

    def reap(self, _: random.Random) -> None:
        def change(session) -> None:
            for each in tasks.reap(session):
                if each.is_over:
                    {"experiment": experiment, "stacking": stacking}[each.kind].give_up(session, each.task_id)

        write(self.database, change)

    def move_on(self, _: random.Random) -> None:
        with self.database.read() as session:
            due = jobs.due(session)
        for job_id in due:
            write(self.database, lambda session, job_id=job_id: verification.advance(session, job_id))

    def cancel(self, chance: random.Random) -> None:
        time.sleep(chance.uniform(0, 0.2))
        job_id = chance.choice(self.job_ids)
        write(self.database, lambda session: jobs.request_cancel(session, "local", job_id))


@pytest.mark.requirement("R5")
@pytest.mark.requirement("R6")
def test_every_job_ends_with_one_last_event_whoever_works_cancels_and_dies_at_once(
    database: Database, tmp_path: Path
) -> None:
    """Nobody waits for anybody in a circle either: a deadlock would be an error here."""
    job_ids = [verified.begin_job(database, verified.upload(database, tmp_path)) for _ in range(12)]
    Bustle(database, tmp_path, job_ids).run()
    for job_id in job_ids:
        story = told(database, job_id)
        with database.read() as session:
            job = jobs.get(session, "local", job_id)
            still = select(Task.id).where(Task.job_id == job_id, Task.status.in_(jobs.UNFINISHED))
            assert session.scalars(still).all() == []
        assert [event.position for event in story] == list(range(1, job.version + 1))
        assert [event.kind for event in story if event.kind in ("queued", "running", "ended")] in (
            ["queued", "running", "ended"],
            ["queued", "ended"],
        )
        assert story[-1].kind == "ended"
        assert story[-1].data["status"] == job.status
