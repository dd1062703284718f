"""Tasks that take their process down, in real supervisors: they end, and nothing else does.

On SQLite, and on Postgres with Redis and Celery. Each kind of poison has a job of its own; innocent jobs run beside them.
"""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

import psutil
import pytest
from sqlalchemy import select

from app.store import tasks
from app.store.database import Database
from app.store.tables import Evaluation, Experiment, Job, Task
from tests import servers
from tests.children import DAEMON_SECONDS
from tests.deployments import wait_until
from tests.poisoned.deployment import PoisonedDeployment
from tests.service import data

# The process dies, which may be the machine's fault: three tries, and what the log says in the end.
CRASHES = {
    "segfault": "exit code -11",
    "overflow_the_stack": "exit code -11",
    "kill_itself": "exit code -9",
    "abort": "exit code -6",
    "fill_the_log": "last words",
    "vanish": "last words",
    "leave": "exit code 0",
    "break_off": "exit code 0",
    "exit_politely": "a library wants out",
    "interrupt": "KeyboardInterrupt",
    "close_pipe": "exit code -9",
    "babble": "exit code -9",
    "flood": "exit code -9",
    "leave_a_daemon": "exit code 3",
}
# Limits that were broken and errors that were raised are facts about data or code: another try would find the same.
FACTS = {
    "hoard": "memory",
    "loop": "timeout",
    "stop_itself": "timeout",
    "recurse": "failed",
    "stumble": "failed",
    "mumble": "failed",
}
INNOCENT = 3


@dataclass
class Ended:
    """What a job of one experiment left."""

    job: Job
    task: Task
    experiment: Experiment
    evaluations: int


@dataclass
class Story:
    """Jobs that ended, by their poison, and the innocent ones."""

    poisoned: dict[str, Ended]
    innocent: list[Ended]
    stacking: Ended
    deployment: PoisonedDeployment


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def story(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    environment = {"RECONCILE_SECONDS": "0.3", "WORKER_SLOTS": "4", "LANDMARKING_SECONDS": "1"}
    if request.param == "postgres":
        server = request.getfixturevalue("postgres_url")
        environment["DATABASE_URL"] = servers.create_database(server, secrets.token_hex(8))
        environment["REDIS_URL"] = request.getfixturevalue("redis_url")
    folder = tmp_path_factory.mktemp(f"poison-{request.param}")
    deployment = PoisonedDeployment(folder, environment, embedded=False).start()
    database = deployment.database()
    try:
        yield told(deployment, database)
    finally:
        deployment.stop()
        database.engine.dispose()


def told(deployment: PoisonedDeployment, database: Database) -> Story:
    """Begin all jobs at once, and wait for their ends."""
    path = deployment.folder / "iris.csv"
    path.write_bytes(data.iris())
    dataset_id = deployment.client.upload(path, target="species")["id"]
    begun = {name: deployment.begin_job(dataset_id, experiment=name) for name in (*CRASHES, *FACTS)}
    stacking = deployment.begin_job(dataset_id, stacking="segfault")
    innocent = [deployment.begin_job(dataset_id) for _ in range(INNOCENT)]

    def all_ended() -> bool:
        assert deployment.workers[0].poll() is None, deployment.log()[-3000:]
        with database.read() as session:
            return not session.scalars(select(Job.id).where(Job.finished_at.is_(None)).limit(1)).all()

    wait_until(all_ended, 180, every=0.5)
    return Story(
        {name: ended(database, job_id) for name, job_id in begun.items()},
        [ended(database, job_id) for job_id in innocent],
        ended(database, stacking, "stacking"),
        deployment,
    )


def ended(database: Database, job_id: str, kind: str = "experiment") -> Ended:
    with database.read() as session:
        experiment = session.scalars(select(Experiment).where(Experiment.job_id == job_id)).one()
        of_experiment = select(Evaluation).where(Evaluation.experiment_id == experiment.task_id)
        return Ended(
            session.get_one(Job, job_id),
            session.scalars(select(Task).where(Task.job_id == job_id, Task.kind == kind)).one(),
            experiment,
            len(session.scalars(of_experiment).all()),
        )


@pytest.mark.requirement("R4")
@pytest.mark.parametrize("name", CRASHES)
def test_task_that_kills_its_process_ends_after_three_failures_with_its_log(story: Story, name: str) -> None:
    found = story.poisoned[name]
    assert (found.task.status, found.task.failures, found.task.lost, found.task.attempt) == (
        "failed",
        tasks.MOST_FAILURES,
        0,
        tasks.MOST_FAILURES,
    )
    assert found.task.error["code"] == "worker_crashed"
    log = found.task.error["evidence"]["log"]
    assert CRASHES[name] in log
    assert len(log) < 10_000
    assert (found.experiment.outcome, found.evaluations) == ("crash", 0)
    assert (found.job.status, found.job.error["code"]) == ("failed", "no_configuration_succeeded")


@pytest.mark.requirement("R4")
@pytest.mark.requirement("R9")
@pytest.mark.requirement("R12")
@pytest.mark.requirement("R13")
@pytest.mark.parametrize("name", FACTS)
def test_task_that_breaks_a_limit_or_raises_is_tried_once_and_told_as_it_is(story: Story, name: str) -> None:
    found = story.poisoned[name]
    assert (found.task.status, found.task.failures, found.task.attempt) == ("succeeded", 0, 1)
    assert found.experiment.outcome == FACTS[name]
    # What the job's own budget cut off says nothing of the configuration.
    assert found.evaluations == (0 if found.experiment.outcome == "timeout" else 1)
    assert found.experiment.result["error"]["code"]
    assert found.job.status == "failed"


@pytest.mark.requirement("R4")
def test_poison_in_the_last_step_fails_the_job_with_the_reason(story: Story) -> None:
    found = story.stacking
    assert (found.task.status, found.task.failures) == ("failed", tasks.MOST_FAILURES)
    assert found.experiment.outcome == "ok"
    assert (found.job.status, found.job.error["code"]) == ("failed", "worker_crashed")
    assert "exit code -11" in found.job.error["evidence"]["log"]


@pytest.mark.requirement("R4")
def test_innocent_jobs_beside_the_poison_succeed_at_the_first_try(story: Story) -> None:
    for found in story.innocent:
        assert found.job.status == "succeeded", (found.job.error, story.deployment.log()[-3000:])
        assert (found.task.attempt, found.task.failures, found.task.lost) == (1, 0, 0)
        assert found.evaluations == 1


@pytest.mark.requirement("R7")
def test_nothing_that_the_poison_started_is_left_and_the_worker_lives(story: Story) -> None:
    assert [worker.poll() for worker in story.deployment.workers] == [None]
    left = [each.info["cmdline"] for each in psutil.process_iter(["cmdline", "status"])]
    assert not [command for command in left if command and DAEMON_SECONDS in command]
    assert not list(story.deployment.folder.glob("*/scratch/task_*"))
