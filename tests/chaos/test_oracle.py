"""The oracle of `make chaos` sees what it is there for, on both databases."""

from types import SimpleNamespace

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.store.database import Database
from chaos import oracle
from chaos.report import Report
from tests.store.test_claiming import begin_job


@pytest.fixture
def objections(database: Database):
    """Keeps the log from now on, carries statements out one by one, and tells what the oracle objects to."""
    begin_job(database, 1)
    service = SimpleNamespace(database=database)
    oracle.keep_log(service)

    def objections(*statements: str) -> str:
        for statement in statements:
            with database.engine.begin() as connection:
                connection.execute(text(statement))
        report = Report("test", "test", 1)
        oracle.check_database(service, report)
        return "\n".join(report.objections)

    return objections


def test_unfinished_work_is_seen(objections) -> None:
    assert "jobs that have not ended: job_" in objections()
    assert "tasks that have not ended: task_" in objections()


def test_job_that_ends_twice_is_seen_although_its_row_looks_right(objections) -> None:
    end = "UPDATE jobs SET status = 'succeeded'"
    assert "job_ended more than once" not in objections(end)
    assert "job_ended more than once: job_" in objections("UPDATE jobs SET status = 'running'", end)


def test_result_without_its_evaluation_is_seen(objections) -> None:
    done = ("UPDATE tasks SET status = 'succeeded'", "UPDATE experiments SET outcome = 'ok'")
    assert "measured experiments without exactly one evaluation: task_" in objections(*done)


def test_failed_job_and_gap_in_events_are_seen(objections) -> None:
    found = objections("UPDATE jobs SET status = 'failed', version = version + 1")
    assert "jobs that failed: job_" in found
    assert "jobs whose events have a gap: job_" in found


@pytest.mark.parametrize("change", ["DELETE FROM effect_log", "UPDATE effect_log SET value = 'cancelled'"])
def test_log_is_only_appended_to(objections, change: str) -> None:
    objections("UPDATE jobs SET status = 'succeeded'")
    with pytest.raises(DBAPIError, match="only appended to"):
        objections(change)
