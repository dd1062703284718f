"""Whose task is claimed next, on both databases: owners by turns, interactive before long, long work never left out."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count, pairwise

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as options
from hypothesis import strategies as st
from sqlalchemy import delete, event, insert, select, update

from app.metalearning.portfolio import configurations_of
from app.metalearning.table import TaskType
from app.store import beginning, fairness, jobs, tasks
from app.store.database import Database
from app.store.tables import Dataset, Experiment, Job, JobEvent, Task
from app.store.tasks import Claim
from tests.store.test_claiming import claim, write

CONFIGURATION = configurations_of(TaskType.CLASSIFICATION)[0]
NUMBERS = count()


@pytest.fixture(autouse=True)
def _dataset(database: Database) -> None:
    with database.write() as session:
        empty = {"columns": [], "reading": {}, "findings": [], "metafeatures": {}, "metafeature_seconds": {}}
        session.add(
            Dataset(
                id="ds",
                owner="local",
                name="d",
                target="y",
                task_type="classification",
                n_rows=100,
                classes=["a", "b"],
                metafeature_version=1,
                absent_metafeatures=[],
                **empty,
            )
        )
        session.commit()


def begin(database: Database, owner: str, experiments: int = 1, *, budget: float = 300.0) -> str:
    """A verification with so many experiments."""
    with database.write() as session:
        job = beginning.verification(
            session,
            owner=owner,
            dataset_id="ds",
            recommendation_id=None,
            configurations=list(configurations_of(TaskType.CLASSIFICATION)[:experiments]),
            metric="accuracy",
            time_budget_seconds=budget,
        )
        session.commit()
    return job.id


def measure(database: Database, owner: str) -> str:
    with database.write() as session:
        job = beginning.measurement(
            session,
            owner=owner,
            dataset_id="ds",
            configurations=[CONFIGURATION],
            time_budget_seconds=60.0,
        )
        session.commit()
    return job.id


def flood(database: Database, owner: str, n_jobs: int, priority: int = 0) -> None:
    """So many jobs of one task each, written faster than one by one."""
    ids = [f"{next(NUMBERS):09d}" for _ in range(n_jobs)]
    job = {"kind": "verification", "status": "queued", "phase": "experimenting", "dataset_id": "ds"}
    task = {"kind": "experiment", "queue": "cpu", "status": "queued", "progress": {}}
    with database.write() as session:
        session.execute(
            insert(Job),
            [
                {**job, "id": f"job_{each}", "owner": owner, "request": {}, "time_budget_seconds": 60.0}
                for each in ids
            ],
        )
        session.execute(
            insert(Task),
            [
                {**task, "id": f"task_{each}", "job_id": f"job_{each}", "owner": owner, "priority": priority}
                for each in ids
            ],
        )
        session.commit()


def owner_of(database: Database, held: Claim | None) -> str:
    assert held is not None
    with database.read() as session:
        return session.scalars(select(Job.owner).where(Job.id == held.job_id)).one()


def finish(database: Database, held: Claim) -> None:
    assert write(database, lambda session: tasks.finish(session, held))


def serve(database: Database, slots: int) -> Iterator[Claim]:
    """Claims as they come while so many slots are always busy; the oldest of them finishes first."""
    running: list[Claim] = []
    while (held := claim(database)) is not None:
        yield held
        running.append(held)
        if len(running) == slots:
            finish(database, running.pop(0))


def test_owner_who_floods_the_queue_delays_another_by_two_claims_at_most(database: Database) -> None:
    flood(database, "flooding", 1000)
    served = serve(database, slots=2)
    for _ in range(5):
        assert owner_of(database, next(served)) == "flooding"
    begin(database, "other")
    assert "other" in [owner_of(database, next(served)) for _ in range(2)]


def test_owners_with_much_work_have_turns(database: Database) -> None:
    for owner in ("a", "b", "c"):
        flood(database, owner, 20)
    served = serve(database, slots=2)
    owners = [owner_of(database, next(served)) for _ in range(18)]
    assert {owners.count(owner) for owner in "abc"} == {6}
    # Whoever holds the other slot has to wait: nobody is served twice in a row.
    assert all(one != other for one, other in pairwise(owners))


def test_owner_with_fewer_running_tasks_catches_up(database: Database) -> None:
    flood(database, "a", 20)
    for _ in range(6):
        claim(database)
    flood(database, "b", 20)
    assert [owner_of(database, claim(database)) for _ in range(6)] == ["b"] * 6


def test_an_owners_own_tasks_keep_their_order(database: Database) -> None:
    first = begin(database, "a", 3)
    second = begin(database, "a", 2)
    assert [claim(database).job_id for _ in range(5)] == [first] * 3 + [second] * 2


def test_interactive_work_does_not_wait_behind_long_work(database: Database) -> None:
    measure(database, "a")
    begin(database, "a", budget=3600.0)
    waited_for = begin(database, "a")
    assert claim(database).job_id == waited_for


def test_task_takes_the_class_and_the_owner_of_its_job(database: Database) -> None:
    expected = {
        begin(database, "a", budget=600.0): ("a", 0),
        begin(database, "b", budget=601.0): ("b", 1),
        measure(database, "c"): ("c", 1),
    }
    with database.read() as session:
        found = session.execute(select(Task.job_id, Task.owner, Task.priority)).all()
    assert {job_id: (owner, priority) for job_id, owner, priority in found} == expected


def test_stack_belongs_to_the_owner_of_its_job_and_is_waited_for(database: Database) -> None:
    """Long work gives way; its last step, for which a quarter of the budget is kept, does not."""
    job_id = begin(database, "a", budget=3600.0)
    held = claim(database)
    write(database, lambda session: session.execute(update(Experiment).values(outcome="ok")))
    finish(database, held)
    assert write(database, lambda session: jobs.begin_stacking(session, job_id)) == "cpu"
    with database.read() as session:
        stack = session.scalars(select(Task).where(Task.kind == "stacking")).one()
    assert (stack.owner, stack.priority) == ("a", 0)


def test_long_work_has_one_claim_in_five_while_interactive_work_never_ends(database: Database) -> None:
    flood(database, "interactive", 60)
    flood(database, "long", 20, priority=1)
    served = serve(database, slots=1)
    owners = [owner_of(database, next(served)) for _ in range(50)]
    assert 8 <= owners.count("long") <= 10
    assert "long" not in owners[:4]


def test_long_tasks_leave_slots_to_interactive_ones_however_long_they_run(database: Database) -> None:
    flood(database, "interactive", 60)
    flood(database, "long", 20, priority=1)
    owners = []
    for _ in range(50):  # of two slots; what is long never ends
        held = claim(database)
        owners.append(owner_of(database, held))
        if owners[-1] == "interactive":
            finish(database, held)
    assert owners.count("long") == 1


def test_long_work_has_every_slot_while_nobody_else_wants_them(database: Database) -> None:
    flood(database, "long", 8, priority=1)
    assert all(claim(database) is not None for _ in range(8))


def test_owner_whose_tasks_may_not_begin_yet_keeps_nobody_waiting(database: Database) -> None:
    flood(database, "a", 3)
    write(database, lambda session: session.execute(update(Task).values(not_before=4e9)))
    flood(database, "b", 1)
    flood(database, "c", 1, priority=1)
    assert [owner_of(database, claim(database)) for _ in range(2)] == ["b", "c"]
    assert claim(database) is None


def test_many_workers_at_once_take_every_task_of_every_owner_once(database: Database) -> None:
    for owner in "abcd":
        flood(database, owner, 10)
        flood(database, owner, 5, priority=1)
    with ThreadPoolExecutor(8) as pool:
        taken = [each.task_id for each in pool.map(lambda _: claim(database), range(60)) if each is not None]
    rest = iter(lambda: claim(database), None)
    taken += [each.task_id for each in rest]
    assert len(taken) == len(set(taken)) == 60


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_no_claim_walks_through_all_tasks(database: Database) -> None:
    """As long as every step is a search in an index, ten thousand queued tasks cost no more than a hundred."""
    flood(database, "a", 100)
    steps: list[str] = []
    with database.write() as session:
        cursor = session.connection().connection.cursor()
        seen: list[str] = []
        cursor.connection.set_trace_callback(seen.append)
        assert tasks.claim(session, "cpu", "tester", 10.0)
        cursor.connection.set_trace_callback(None)
        for statement in seen:
            if statement.startswith(("SELECT", "WITH", "UPDATE")):
                steps += [row[3] for row in cursor.execute(f"EXPLAIN QUERY PLAN {statement}")]
    of_tasks = [step for step in steps if "tasks" in step]
    assert any("ix_tasks_queued" in step for step in of_tasks)
    assert not [step for step in of_tasks if step.startswith("SCAN")], of_tasks


@pytest.mark.parametrize("settings", ["postgres"], indirect=True)
def test_turns_are_told_without_a_walk_also_before_postgres_knows_how_much_waits(database: Database) -> None:
    flood(database, "a", 2000)
    plans: list[str] = []

    def explain(_, cursor, statement, parameters, *__) -> None:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters)
        plans.append(cursor.fetchone()[0])

    with database.read() as session:
        event.listen(session.connection(), "before_cursor_execute", explain)
        assert fairness.in_turn(session, "cpu") == [(0, "a")]
    nodes = plans[0]
    rows = []
    while nodes:
        node = nodes.pop()
        nodes += [node["Plan"]] if "Plan" in node else node.get("Plans", [])
        rows.append(node.get("Actual Rows", 0))
    assert len(rows) > 10
    assert max(rows) < 20


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_looking_for_next_steps_does_not_look_at_the_tasks_of_jobs_that_wait(database: Database) -> None:
    """Every supervisor looks every two seconds, however long the queue is."""
    flood(database, "a", 500)
    tens_of_steps = 0

    def count_steps() -> None:
        nonlocal tens_of_steps
        tens_of_steps += 1

    with database.read() as session:
        session.connection().connection.driver_connection.set_progress_handler(count_steps, 10)
        assert jobs.due(session) == []
    assert 10 * tens_of_steps / 500 < 12


ARRIVALS = st.lists(
    st.one_of(
        st.tuples(st.just("come"), st.sampled_from("abc"), st.sampled_from([0, 1])),
        st.just(("claim", "", 0)),
        st.just(("finish", "", 0)),
    ),
    max_size=25,
)


@given(ARRIVALS)
@options(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_comes_the_one_served_has_the_fewest_running_of_those_who_wait(
    database: Database, arrivals: list[tuple[str, str, int]]
) -> None:
    _empty(database)
    running: list[tuple[Claim, str]] = []
    waiting: list[tuple[str, int]] = []
    for what, owner, priority in arrivals:
        if what == "come":
            flood(database, owner, 1, priority)
            waiting.append((owner, priority))
        elif what == "finish" and running:
            finish(database, running.pop(0)[0])
        elif what == "claim":
            held = claim(database)
            assert (held is None) == (not waiting), "a slot is idle only while nobody waits"
            if held is not None:
                served = _class_and_owner(database, held)
                waiting.remove(served)
                rivals = {name for name, level in waiting if level == served[1]}
                loads = {name: sum(each == name for _, each in running) for name in rivals | {served[0]}}
                assert loads[served[0]] == min(loads.values())
                running.append((held, served[0]))


def _class_and_owner(database: Database, held: Claim) -> tuple[str, int]:
    with database.read() as session:
        task = session.scalars(select(Task).where(Task.id == held.task_id)).one()
    return task.owner, task.priority


def _empty(database: Database) -> None:
    with database.write() as session:
        for table in (Task, JobEvent, Job):
            session.execute(delete(table))
        session.commit()
