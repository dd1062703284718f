"""Pages of jobs on both databases: a range of one index, however many jobs there are."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event, insert
from sqlalchemy.orm import Session

from app.store import jobs
from app.store.database import Database
from app.store.tables import Job
from tests.store.test_claiming import begin_job

N_JOBS = 10_000
SLOW_STEPS = ("SORT", "TEMP B-TREE", "SEQ SCAN", "BITMAP")
# So many that walking through everybody's jobs is no way to find one's own.
OWNERS = [f"owner {number}" for number in range(100)]


@pytest.fixture
def crowded(database: Database) -> Database:
    """Thousands of jobs of many owners, so new that the database has counted nothing yet."""
    job_id = begin_job(database, 1)
    with database.write() as session:
        like = session.get_one(Job, job_id)
        columns = {column.key: getattr(like, column.key) for column in Job.__table__.columns}
        numbered = [
            {**columns, "id": f"job_{number:06}", "owner": OWNERS[number % len(OWNERS)]}
            for number in range(N_JOBS)
        ]
        session.execute(insert(Job), numbered)
        session.commit()
    return database


def plan_of(session: Session, ask: Callable[[], Any]) -> str:
    """How the database carries out the one statement that is sent."""
    plans: list[str] = []
    explain = "EXPLAIN QUERY PLAN" if session.connection().dialect.name == "sqlite" else "EXPLAIN"

    def note(_: Any, cursor: Any, statement: str, parameters: Any, *__: Any) -> None:
        cursor.execute(f"{explain} {statement}", parameters)
        plans.append("\n".join(str(row[-1]) for row in cursor.fetchall()))

    connection = session.connection()
    event.listen(connection, "before_cursor_execute", note)
    ask()
    event.remove(connection, "before_cursor_execute", note)
    [plan] = plans
    return plan


@pytest.mark.parametrize("before", [None, "job_005000"])
@pytest.mark.parametrize("counted", [True, False], ids=["counted", "not counted"])
def test_page_of_jobs_is_a_range_of_an_index_and_nothing_is_sorted(
    crowded: Database, before: str | None, counted: bool
) -> None:
    with crowded.write() as session:
        if counted:
            session.connection().exec_driver_sql("ANALYZE jobs")
        plan = plan_of(session, lambda: jobs.page(session, OWNERS[3], 20, before))
    assert "ix_jobs_owner_id" in plan, plan
    assert not [step for step in SLOW_STEPS if step in plan.upper()], plan


def test_pages_hold_the_owners_jobs_newest_first(crowded: Database) -> None:
    seen: list[str] = []
    with crowded.read() as session:
        while found := jobs.page(session, OWNERS[3], 30, seen[-1] if seen else None):
            seen += [job.id for job in found]
    assert seen == [f"job_{number:06}" for number in range(N_JOBS) if number % len(OWNERS) == 3][::-1]
