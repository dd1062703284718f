"""An experiment shows why it has no scores, and nothing else, on both databases."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update

from app.config import Settings
from app.main import create_app
from app.store import tasks
from app.store.database import Database
from app.store.tables import Experiment, Task
from app.store.tasks import Claim
from tests.service import data
from workers.tasks import experiment

TROUBLE = {"code": "worker_crashed", "detail": "It died.", "advice": "", "evidence": {}}
REFUSAL = {"code": "not_measurable", "detail": "It could not learn.", "advice": "", "evidence": {}}


@pytest.fixture
def api(settings: Settings) -> Iterator[TestClient]:
    distributed = settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})  # no worker of its own
    with TestClient(create_app(distributed)) as client:
        yield client


@pytest.fixture
def crashed(api: TestClient, database: Database) -> str:
    """A job whose experiment waits for its next attempt."""
    files = {"file": ("iris.csv", data.iris())}
    dataset_id = api.post("/datasets", files=files, data={"target": "species"}).json()["id"]
    asked = {"kind": "measurement", "dataset_id": dataset_id, "configurations": ["clf-knn-5"]}
    job_id: str = api.post("/jobs", json=asked).json()["id"]
    with database.write() as session:
        assert tasks.fail_attempt(session, _claim(session), TROUBLE) == "queued"
        session.execute(update(Task).values(not_before=0.0))
        session.commit()
    return job_id


def _claim(session: Any) -> Claim:
    held = tasks.claim(session, "cpu", "tester", 10.0)
    assert held is not None
    return held


def _end(database: Database, outcome: str, result: dict[str, Any]) -> None:
    with database.write() as session:
        held = _claim(session)
        assert tasks.finish(session, held)
        ended = update(Experiment).where(Experiment.task_id == held.task_id)
        session.execute(ended.values(outcome=outcome, result=result))
        session.commit()


def _experiment(api: TestClient, job_id: str) -> dict[str, Any]:
    (experiment,) = api.get(f"/jobs/{job_id}").json()["experiments"]
    return dict(experiment)


def _evaluation(api: TestClient, job_id: str) -> dict[str, Any]:
    (evaluation,) = api.get(f"/jobs/{job_id}/evaluations").json()["items"]
    return dict(evaluation)


def test_one_that_waits_for_its_next_attempt_shows_the_last_error(api: TestClient, crashed: str) -> None:
    assert _experiment(api, crashed)["error"] == TROUBLE


def test_one_that_succeeded_after_a_crash_shows_no_error(
    api: TestClient, database: Database, crashed: str
) -> None:
    _end(database, "ok", {"scores": {"accuracy": 0.9}})
    assert (_experiment(api, crashed)["outcome"], _experiment(api, crashed)["error"]) == ("ok", None)
    assert (_evaluation(api, crashed)["status"], _evaluation(api, crashed)["error"]) == ("ok", None)


def test_one_that_failed_after_a_crash_shows_its_own_error(
    api: TestClient, database: Database, crashed: str
) -> None:
    _end(database, "failed", {"error": REFUSAL})
    assert _experiment(api, crashed)["error"] == REFUSAL
    assert _evaluation(api, crashed)["error"] == REFUSAL["detail"]


def test_one_that_was_given_up_shows_what_its_task_died_of(
    api: TestClient, database: Database, crashed: str
) -> None:
    for _ in range(tasks.MOST_FAILURES - 1):
        with database.write() as session:
            session.execute(update(Task).values(not_before=0.0))
            held = _claim(session)
            if tasks.fail_attempt(session, held, TROUBLE) == "failed":
                experiment.give_up(session, held.task_id)
            session.commit()
    shown = _experiment(api, crashed)
    assert (shown["outcome"], shown["error"]["code"]) == ("crash", "worker_crashed")
    assert shown["error"]["detail"] == "It died. It was tried 3 times."
    assert _evaluation(api, crashed)["error"] == shown["error"]["detail"]
