"""A job's time budget holds everything, and what was measured within it is a usable result."""

from pathlib import Path

import pytest
from sqlalchemy import select, update

from app.isolation import Ending, Outcome
from app.metalearning.portfolio import configurations_of
from app.metalearning.table import TaskType
from app.store import budgets, jobs
from app.store.database import Database, now
from app.store.tables import MEASUREMENT, Evaluation, Experiment, Job, Task
from app.store.tasks import Claim
from tests.store.test_claiming import begin_job, claim, finish_experiment, write
from workers.experiments.leaderboard import COSTS
from workers.tasks import experiment, stacking, verification

BUDGET = 100.0


def spend(database: Database, job_id: str, seconds: float) -> None:
    """Let the job's first claim lie that far in the past."""
    write(
        database,
        lambda session: session.execute(
            update(Job).where(Job.id == job_id).values(deadline=now() + BUDGET - seconds)
        ),
    )


def read(database: Database, query: object) -> list:
    with database.read() as session:
        return list(session.scalars(query).all())


def measured(database: Database, accuracies: list[float]) -> str:
    """A job whose experiments all succeeded, about to be stacked."""
    job_id = begin_job(database, len(accuracies), BUDGET)
    for accuracy in accuracies:
        held = claim(database)
        scores = {"accuracy": accuracy}
        result = {
            "scores": scores,
            "fold_scores": [scores] * 5,
            "splits": "5 folds",
            **dict.fromkeys(COSTS, 0.5),
        }
        assert finish_experiment(database, held)
        write(
            database,
            lambda session, held=held, result=result: session.execute(
                update(Experiment).where(Experiment.task_id == held.task_id).values(result=result)
            ),
        )
    assert write(database, lambda session: verification.advance(session, job_id)) == "cpu"
    return job_id


def apply(database: Database, kind: object, held: Claim, outcome: Outcome, folder: Path) -> None:
    write(database, lambda session: kind.apply(session, held, outcome, folder))


@pytest.mark.parametrize(("spent", "is_claimed"), [(74.0, True), (76.0, False)])
def test_verification_begins_no_experiment_in_the_quarter_that_stacking_has(database, spent, is_claimed):
    job_id = begin_job(database, 2, BUDGET)
    assert finish_experiment(database, claim(database))
    spend(database, job_id, spent)
    assert (claim(database) is not None) is is_claimed
    with database.read() as session:
        assert jobs.due(session) == ([] if is_claimed else [job_id])
    queue = write(database, lambda session: verification.advance(session, job_id))
    second = read(database, select(Task).where(Task.kind == "experiment").order_by(Task.id))[1]
    if is_claimed:
        assert (queue, second.status) == (None, "running")
    else:
        assert (queue, second.status, second.error["code"]) == ("cpu", "cancelled", "time_budget_spent")


def test_measurement_has_the_whole_budget(database):
    job_id = begin_job(database, 1, BUDGET)
    claim(database)
    write(database, lambda session: session.execute(update(Job).values(kind=MEASUREMENT)))
    spend(database, job_id, 90.0)
    with database.read() as session:
        assert 9.0 < budgets.seconds_for_experiments(session, job_id) <= 10.0
        job = session.scalars(select(Job)).one()
        assert budgets.experiments_end(job) == job.deadline


@pytest.mark.parametrize(
    ("spent", "experiments", "stacked"), [(10, 65.0, 90.0), (80, 0.5, 20.0), (99, 0.5, 3.0), (130, 0.5, 3.0)]
)
def test_steps_have_what_is_left_or_a_few_seconds(database, spent, experiments, stacked):
    job_id = begin_job(database, 1, BUDGET)
    claim(database)
    spend(database, job_id, spent)
    with database.read() as session:
        assert budgets.seconds_for_experiments(session, job_id) == pytest.approx(experiments, abs=0.5)
        assert budgets.seconds_for_stacking(session, job_id) == pytest.approx(stacked, abs=0.5)
        job = session.scalars(select(Job)).one()
        in_sql = session.scalars(select(budgets.EXPERIMENTS_END)).one()
        assert budgets.experiments_end(job) == pytest.approx(in_sql)


@pytest.mark.parametrize(
    ("limit", "code", "is_evidence"),
    [
        ("wall_seconds", "time_budget_spent", False),
        ("fit_cpu_seconds", "experiment_timeout", True),
        ("fit_wall_seconds", "experiment_timeout", True),
    ],
)
def test_what_the_budget_cut_off_is_no_evidence(database, tmp_path, limit, code, is_evidence):
    begin_job(database, 1, BUDGET)
    held = claim(database)
    apply(database, experiment, held, Outcome(Ending.TIMEOUT, limit=limit), tmp_path)
    row = read(database, select(Experiment))[0]
    assert (row.outcome, row.result["error"]["code"]) == ("timeout", code)
    evidence = read(database, select(Evaluation))
    assert [each.status for each in evidence] == (["timeout"] if is_evidence else [])


@pytest.mark.parametrize(
    ("ending", "word"), [(Ending.TIMEOUT, "time budget"), (Ending.MEMORY, "more memory")]
)
def test_where_stacking_breaks_its_limit_the_leaderboard_is_the_result(database, tmp_path, ending, word):
    job_id = measured(database, [0.7, 0.9, 0.8])
    apply(database, stacking, claim(database), Outcome(ending), tmp_path)
    job = read(database, select(Job))[0]
    names = [each.id for each in configurations_of(TaskType.CLASSIFICATION)[:3]]
    assert (job.id, job.status, job.error) == (job_id, "succeeded", None)
    assert job.result["model_id"] is None
    assert word in job.result["no_model_because"]
    assert job.result["winner"] == names[1]
    assert [(row["rank"], row["name"]) for row in job.result["leaderboard"]] == [
        (1, names[1]),
        (2, names[2]),
        (3, names[0]),
    ]
    assert job.result["leaderboard"][0]["scores"] == {"accuracy": 0.9}


def test_where_stacking_fails_the_job_does(database, tmp_path):
    measured(database, [0.7, 0.9])
    error = {"code": "configuration_failed", "detail": "No.", "advice": ""}
    apply(database, stacking, claim(database), Outcome(Ending.ERROR, error=error), tmp_path)
    job = read(database, select(Job))[0]
    assert (job.status, job.error, job.result) == ("failed", error, None)


def test_stacking_comes_before_what_other_jobs_begin_with(database):
    first = measured(database, [0.7, 0.9])
    others = [begin_job(database, each, BUDGET) for each in (3, 4)]
    held = claim(database)
    assert (held.job_id, held.kind) == (first, "stacking")
    assert claim(database).job_id == others[0]


@pytest.mark.parametrize("queue", ["cpu", "gpu"])
def test_job_whose_stacking_nobody_begins_ends_with_the_leaderboard_soon_after_its_deadline(database, queue):
    """All workers may be busy, or the only one with a GPU gone: the budget holds that too."""
    job_id = measured(database, [0.7, 0.9])
    write(
        database,
        lambda session: session.execute(update(Task).where(Task.kind == "stacking").values(queue=queue)),
    )
    assert write(database, lambda session: verification.advance(session, job_id)) is None
    spend(database, job_id, BUDGET + 0.5)
    with database.read() as session:
        assert jobs.due(session) == [], "it may still begin"
    spend(database, job_id, BUDGET + 1.5)
    assert claim(database, queue=queue) is None
    with database.read() as session:
        assert jobs.due(session) == [job_id]
    write(database, lambda session: verification.advance(session, job_id))
    job = read(database, select(Job))[0]
    assert (job.status, job.result["model_id"], len(job.result["leaderboard"])) == ("succeeded", None, 2)
    assert "time budget" in job.result["no_model_because"]
    stack = read(database, select(Task).where(Task.kind == "stacking"))[0]
    assert (stack.status, stack.error["code"]) == ("cancelled", "time_budget_spent")
