"""A dataset after its verification, with its owner's words in every place where they can get to; and where they are."""

import secrets
from pathlib import Path
from typing import Any

from sqlalchemy import select, update

from app.metalearning.portfolio import configurations_of
from app.metalearning.table import TaskType
from app.store import beginning, blobs, datasets, events, jobs, recommendations
from app.store.database import Database
from app.store.ids import new_id
from app.store.tables import Base, Dataset, Evaluation, Experiment, Job, Model, Task

SECRET = "Kryptonit"  # what a dataset of these tests is about, and nothing else in a database
SCORE = 0.8125
METAFEATURE = 150.25
N_ROWS = 1_503_017  # so long that no id contains it by chance: tests look for its digits in every cell


def upload(database: Database, folder: Path, content: bytes | None = None, **options: Any) -> str:
    """A dataset that was uploaded, and no more."""
    path = folder / secrets.token_hex(4)
    path.write_bytes(content or f"rows about {SECRET} {path.name}".encode())
    facts = {
        "target": f"target {SECRET}",
        "task_type": "classification",
        "n_rows": N_ROWS,
        "classes": ["plain", f"class {SECRET}"],
        "target_sd": None,
        "columns": [{"name": f"column {SECRET}", "type": "numeric", "role": "feature"}],
        "reading": {"missing": [f"no {SECRET}"]},
        "findings": [_finding()],
        "metafeatures": {"nr_inst": METAFEATURE},
        "metafeature_version": 1,
        "metafeature_seconds": {"simple": 0.1},
        "absent_metafeatures": ["lm_tree"],
    }
    with database.write() as session:
        dataset = datasets.record(
            session,
            owner=options.pop("owner", "local"),
            name=f"{SECRET}.csv",
            content=path,
            facts=facts,
            contribute=options.pop("contribute", True),
        )
        session.commit()
    assert not options
    return dataset.id


def begin_job(database: Database, dataset_id: str, recommendation_id: str | None = None) -> str:
    """A job of two experiments that nobody has claimed yet."""
    with database.write() as session:
        job = beginning.verification(
            session,
            owner="local",
            dataset_id=dataset_id,
            recommendation_id=recommendation_id,
            configurations=list(configurations_of(TaskType.CLASSIFICATION)[:2]),
            metric="accuracy",
            time_budget_seconds=60.0,
        )
        session.commit()
    return job.id


def verified(database: Database, folder: Path, *, contribute: bool) -> str:
    """A dataset that was recommended for and verified: one experiment succeeded, one failed, a model was fitted."""
    dataset_id = upload(database, folder, contribute=contribute)
    with database.write() as session:
        recommendation_id = recommendations.record(
            session,
            owner="local",
            dataset_id=dataset_id,
            request={"metric": "accuracy", "target": f"target {SECRET}", "name": f"{SECRET}.csv"},
            body={"strategy": "portfolio", "candidates": [{"rank": 1}], "findings": [_finding()]},
        )
        session.commit()
    job_id = begin_job(database, dataset_id, recommendation_id)
    with database.write() as session:
        experiments = select(Experiment).where(Experiment.job_id == job_id).order_by(Experiment.task_id)
        good, bad = session.scalars(experiments).all()
        good.outcome, bad.outcome = "ok", "failed"
        splits = f"grouped by column {SECRET}"
        good.result = {"scores": {"accuracy": SCORE}, "splits": splits, "per_class": {f"class {SECRET}": 1.0}}
        bad.result = {"error": _error()}
        good.predictions_hash = blobs.put(session, _file(folder, "predictions"))
        for each in (good, bad):
            session.add(_evaluation(each, dataset_id))
        session.execute(
            update(Task)
            .where(Task.job_id == job_id)
            .values(status="succeeded", error=_error(), progress={"said": SECRET})
        )
        for each in (good, bad):
            said = {"scores": each.result.get("scores"), "said": SECRET}
            events.record_of_task(session, each.task_id, "ended", outcome=each.outcome, **said)
        job = session.scalars(select(Job).where(Job.id == job_id)).one()
        session.add(
            Model(
                id=new_id("model"),
                owner="local",
                job_id=job_id,
                dataset_id=dataset_id,
                card={"classes": [f"class {SECRET}"]},
                script=f"TARGET = 'target {SECRET}'",
                artifact_hash=blobs.put(session, _file(folder, "artifact")),
            )
        )
        job.status, job.phase, job.error = "succeeded", jobs.DONE, _error()
        job.request = {**job.request, "group": f"column {SECRET}"}
        job.result = {
            "splits": splits,
            "winner": good.configuration,
            "leaderboard": [{"name": good.configuration, "scores": {"accuracy": SCORE}}],
            "no_stack_because": f"could not convert {SECRET}",
        }
        session.commit()
    return dataset_id


def places(database: Database, text: str) -> set[str]:
    """The columns (table.column) of the whole database in which the text occurs, whatever their type."""
    found = set()
    with database.engine.connect() as connection:
        for table in Base.metadata.sorted_tables:
            rows = connection.exec_driver_sql(f"SELECT * FROM {table.name}").mappings()
            found |= {
                f"{table.name}.{name}" for row in rows for name, cell in row.items() if text in repr(cell)
            }
    return found


def age(database: Database, dataset_id: str, days: float) -> None:
    """Let the dataset's last use lie that far in the past."""
    with database.write() as session:
        session.execute(
            update(Dataset).where(Dataset.id == dataset_id).values(used_at=Dataset.used_at - days * 86_400)
        )
        session.commit()


def _evaluation(experiment: Experiment, dataset_id: str) -> Evaluation:
    return Evaluation(
        experiment_id=experiment.task_id,
        owner="local",
        dataset_id=dataset_id,
        configuration=experiment.configuration,
        fingerprint=experiment.fingerprint,
        protocol=1,
        status=experiment.outcome,
        result=experiment.result,
    )


def _file(folder: Path, name: str) -> Path:
    path = folder / f"{name}-{secrets.token_hex(4)}"
    path.write_bytes(f"{path.name} of {SECRET}".encode())
    return path


def _finding() -> dict[str, Any]:
    return {"code": "constant", "column": f"column {SECRET}", "evidence": {"value": SECRET}}


def _error() -> dict[str, Any]:
    return {
        "code": "configuration_failed",
        "detail": f"could not convert {SECRET}",
        "evidence": {"log": SECRET},
    }
