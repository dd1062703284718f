"""Claims, leases and fan-in on both databases: races are decided by the database, exactly once."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select, update

from app.metalearning.portfolio import Configuration, configurations_of, find_configuration
from app.metalearning.table import TaskType
from app.store import beginning, jobs, tasks
from app.store.database import Database, now
from app.store.tables import Experiment, Job, Task
from app.store.tasks import Claim, Renewal
from tests.store.rows import dataset_row

ERROR = {"code": "worker_crashed", "detail": "It died."}


def begin_job(
    database: Database,
    n_experiments: int,
    budget: float = 300.0,
    configurations: list[Configuration] | None = None,
) -> str:
    with database.write() as session:
        dataset = dataset_row(f"ds_{n_experiments}_{threading.get_ident()}")
        session.add(dataset)
        session.flush()
        job = beginning.verification(
            session,
            owner="local",
            dataset_id=dataset.id,
            recommendation_id=None,
            configurations=configurations or list(configurations_of(TaskType.CLASSIFICATION)[:n_experiments]),
            metric="accuracy",
            time_budget_seconds=budget,
        )
        session.commit()
    return job.id


def claim(database: Database, lease: float = 10.0, queue: str = "cpu") -> Claim | None:
    with database.write() as session:
        held = tasks.claim(session, queue, "tester", lease)
        session.commit()
    return held


def write(database: Database, change: Callable) -> object:
    with database.write() as session:
        value = change(session)
        session.commit()
    return value


def finish_experiment(database: Database, held: Claim, outcome: str = "ok") -> bool:
    def change(session: object) -> bool:
        if not tasks.finish(session, held):
            return False
        session.execute(update(Experiment).where(Experiment.task_id == held.task_id).values(outcome=outcome))
        return True

    return write(database, change)


@pytest.mark.requirement("R2")
def test_each_task_is_claimed_by_one_worker_only(database: Database) -> None:
    begin_job(database, 12)
    with ThreadPoolExecutor(8) as pool:
        held = list(pool.map(lambda _: claim(database), range(40)))
    taken = [each.task_id for each in held if each is not None]
    assert len(taken) == len(set(taken)) == 12


@pytest.mark.requirement("R2")
def test_writes_after_the_lease_was_lost_are_refused(database: Database) -> None:
    begin_job(database, 1)
    first = claim(database, lease=-1.0)
    assert [each.is_over for each in write(database, tasks.reap)] == [False]
    second = claim(database)
    assert second.attempt == first.attempt + 1
    assert write(database, lambda session: tasks.renew(session, first, 10.0, {})) is Renewal.LOST
    assert not finish_experiment(database, first)
    assert finish_experiment(database, second)
    assert not finish_experiment(database, second), "finished twice"


@pytest.mark.requirement("R4")
def test_running_task_without_a_lease_is_reaped_too(database: Database) -> None:
    begin_job(database, 1)
    held = claim(database)
    write(database, lambda session: session.execute(update(Task).values(lease_expires_at=None)))
    write(database, tasks.reap)
    assert claim(database).attempt == held.attempt + 1


@pytest.mark.requirement("R2")
def test_live_lease_is_not_reaped(database: Database) -> None:
    begin_job(database, 1)
    held = claim(database)
    write(database, tasks.reap)
    assert write(database, lambda session: tasks.renew(session, held, 10.0, {"done": 1})) is Renewal.KEPT


@pytest.mark.requirement("R4")
def test_task_ends_after_three_failures(database: Database) -> None:
    begin_job(database, 1)
    for failure in (1, 2, 3):
        write(database, lambda session: session.execute(update(Task).values(not_before=0.0)))
        held = claim(database)
        ended = write(database, lambda session, held=held: tasks.fail_attempt(session, held, ERROR))
        assert ended == ("failed" if failure == tasks.MOST_FAILURES else "queued")
    assert claim(database) is None


@pytest.mark.requirement("R4")
def test_lost_workers_do_not_count_as_failures_of_the_task(database: Database) -> None:
    begin_job(database, 1)
    ended = []
    for _ in range(tasks.MOST_LOST):
        assert not any(ended)
        claim(database, lease=-1.0)
        ended = [each.is_over for each in write(database, tasks.reap)]
    assert ended == [True]
    with database.read() as session:
        task = session.scalars(select(Task)).one()
    assert (task.status, task.failures, task.lost) == ("failed", 0, tasks.MOST_LOST)


@pytest.mark.requirement("R10")
def test_released_task_spends_no_attempt(database: Database) -> None:
    begin_job(database, 1)
    held = claim(database)
    assert write(database, lambda session: tasks.release(session, held))
    with database.read() as session:
        task = session.scalars(select(Task)).one()
    assert (task.status, task.failures, task.lost) == ("queued", 0, 0)


@pytest.mark.parametrize("round_", range(5))
def test_stacking_begins_exactly_once_however_many_finish_together(database: Database, round_: int) -> None:
    job_id = begin_job(database, 6)
    held = [claim(database) for _ in range(6)]
    together = threading.Barrier(6)

    def finish(each: Claim) -> bool:
        together.wait()
        finish_experiment(database, each)
        return write(database, lambda session: jobs.begin_stacking(session, job_id))

    with ThreadPoolExecutor(6) as pool:
        begun = list(pool.map(finish, held))
    assert sorted(begun, key=str) == [None] * 5 + ["cpu"]
    assert not write(database, lambda session: jobs.begin_stacking(session, job_id))
    with database.read() as session:
        assert len(session.scalars(select(Task).where(Task.kind == "stacking")).all()) == 1


def test_what_needs_a_gpu_waits_for_a_worker_that_has_one_and_takes_the_stack_along(
    database: Database,
) -> None:
    names = ("clf-gaussian_nb-default", "clf-realmlp-default")
    job_id = begin_job(database, 2, configurations=[find_configuration(name) for name in names])
    finish_experiment(database, claim(database))
    assert claim(database) is None
    finish_experiment(database, claim(database, queue="gpu"))
    assert write(database, lambda session: jobs.begin_stacking(session, job_id)) == "gpu"
    assert claim(database) is None
    assert claim(database, queue="gpu").kind == "stacking"


@pytest.mark.requirement("R5")
def test_terminal_states_never_change(database: Database) -> None:
    job_id = begin_job(database, 1)
    finish_experiment(database, claim(database))
    assert write(database, lambda session: jobs.succeed(session, job_id, {"winner": "x"}))
    for change in (
        lambda session: jobs.fail(session, job_id, {"code": "late"}),
        lambda session: jobs.succeed(session, job_id, {"winner": "y"}),
        lambda session: jobs.begin_stacking(session, job_id),
        lambda session: jobs.end_cancelled(session, job_id),
    ):
        assert not write(database, change)
    write(database, lambda session: jobs.request_cancel(session, "local", job_id))
    with database.read() as session:
        job = session.scalars(select(Job)).one()
    assert (job.status, job.result) == ("succeeded", {"winner": "x"})


def test_job_of_which_every_experiment_failed_ends_with_the_reason(database: Database) -> None:
    job_id = begin_job(database, 2)
    for _ in range(2):
        finish_experiment(database, claim(database), outcome="timeout")
    assert not write(database, lambda session: jobs.begin_stacking(session, job_id))
    assert write(database, lambda session: jobs.fail_without_result(session, job_id))
    with database.read() as session:
        assert session.scalars(select(Job)).one().error["code"] == "no_configuration_succeeded"


@pytest.mark.requirement("R6")
def test_cancelled_job_waits_for_what_runs_and_drops_the_rest(database: Database) -> None:
    job_id = begin_job(database, 3)
    held = claim(database)
    write(database, lambda session: jobs.request_cancel(session, "local", job_id))
    assert claim(database) is None
    assert write(database, lambda session: tasks.renew(session, held, 10.0, {})) is Renewal.CANCELLED
    with database.read() as session:
        assert session.scalars(select(Job)).one().status == "running"
    write(database, lambda session: tasks.cancel(session, held))
    assert write(database, lambda session: jobs.end_cancelled(session, job_id))


def test_experiments_not_begun_by_the_deadline_are_dropped(database: Database) -> None:
    job_id = begin_job(database, 3)
    held = claim(database)
    write(database, lambda session: session.execute(update(Job).values(deadline=now() - 1)))
    assert write(database, lambda session: jobs.drop_late(session, job_id))
    finish_experiment(database, held)
    assert write(database, lambda session: jobs.begin_stacking(session, job_id))


def test_job_is_due_when_it_waits_for_its_next_step_and_not_for_a_worker(database: Database) -> None:
    def due() -> list[str]:
        with database.read() as session:
            return jobs.due(session)

    job_id = begin_job(database, 2)
    assert due() == []
    held = [claim(database), claim(database)]
    assert due() == []
    write(database, lambda session: session.execute(update(Job).values(cancel_requested_at=now())))
    assert due() == [job_id]
    write(database, lambda session: session.execute(update(Job).values(cancel_requested_at=None)))
    assert due() == []
    finish_experiment(database, held[0])
    assert due() == []
    finish_experiment(database, held[1])
    assert due() == [job_id]


@pytest.mark.requirement("R6")
def test_job_whose_cancellation_was_left_undone_is_due_before_anybody_began_it(database: Database) -> None:
    job_id = begin_job(database, 1)
    write(database, lambda session: session.execute(update(Job).values(cancel_requested_at=now())))
    with database.read() as session:
        assert jobs.due(session) == [job_id]
