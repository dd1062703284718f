"""Retraining: fit the meta-learners on all that may be learned from, and have them answer if held-out datasets say so."""

import json
import shutil
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.config import Settings
from app.errors import NothingToLearnError, RetrainingUnderWayError
from app.failpoints import Step
from app.isolation import Limits, Outcome
from app.metalearning.knowledge import shipped_report, shipped_version
from app.metalearning.learned import as_lines
from app.metalearning.promotion import judge
from app.metalearning.table import TaskType
from app.store import blobs, budgets, jobs, learning, promotions, retrainings
from app.store.database import Database, commit
from app.store.tables import Job, MetaLearner, Task
from app.store.tasks import Claim
from workers import scratch
from workers.training.contract import KNOWLEDGE_FILE, LEARNED_FILE

OWNER = "local"  # whose jobs these are: of who runs the service, who is everybody until there are keys
_LESSONS_FILE = "lessons.json"


def begin_due(database: Database, after: int) -> bool:
    """Begin a retraining of each task type for which one is due (`retrainings.is_due`); whether any was."""
    begun = False
    for task_type in TaskType:
        with database.read() as session:
            if not retrainings.is_due(session, task_type, after):
                continue
            lessons = learning.gather(session, task_type)
        with database.write() as session, suppress(RetrainingUnderWayError, NothingToLearnError):
            retrainings.begin(
                session,
                owner=OWNER,
                task_type=task_type,
                lessons=lessons,
                time_budget_seconds=retrainings.SECONDS,
            )
            commit(session, Step.ACCEPT_JOB)
            begun = True
    return begun


def load(
    session: Session, held: Claim, folder: Path, settings: Settings
) -> tuple[str, dict[str, Any], Limits]:
    """The child's function, what it learns from as files, and its limits."""
    request = _request(session, held)
    task_type = TaskType(request["task_type"])
    lessons = learning.gather(session, task_type)
    (folder / LEARNED_FILE).write_text(json.dumps(as_lines(lessons.datasets)))
    known = {
        "snapshot": lessons.snapshot,
        "n_datasets": len(lessons.datasets),
        "n_evaluations": lessons.n_evaluations,
        "reports": list(lessons.reports),
    }
    (folder / _LESSONS_FILE).write_text(json.dumps(known))
    seconds = budgets.seconds_for_stacking(session, held.job_id)
    kept = scratch.kept(folder.parent, held.task_id)
    payload = {
        "folder": str(folder),
        "task_type": str(task_type),
        "networks": str(kept) if request.get("networks") else None,  # jobs of before networks do not say
    }
    return "workers.training.retraining:retrain", payload, Limits(seconds, settings.memory_bytes)


def apply(session: Session, held: Claim, outcome: Outcome, folder: Path) -> None:
    """Keep the meta-learners, judge them against what answers now, and end the job with the verdict."""
    if outcome.value is None:
        jobs.fail(session, held.job_id, outcome.error or _ended_oddly(outcome))
        return
    promotions.take_turn(session)
    task_type = TaskType(_request(session, held)["task_type"])
    lessons = json.loads((folder / _LESSONS_FILE).read_text())
    if not set(lessons["reports"]) <= learning.trusted_reports(session, task_type):
        jobs.fail(session, held.job_id, _lessons_withdrawn())
        return
    present = promotions.current(session, task_type)
    verdict = judge(outcome.value["report"], present.proof if present else shipped_report(task_type))
    learner = promotions.record(
        session,
        task_type=str(task_type),
        job_id=held.job_id,
        shipped=shipped_version(),
        # What never answers need not be there.
        content_hash=blobs.put(session, folder / KNOWLEDGE_FILE) if verdict.promoted else None,
        proof=outcome.value["report"],
        verdict=asdict(verdict),
        **lessons,
    )
    if verdict.promoted:
        promotions.promote(session, learner, verdict.because)
    jobs.succeed(session, held.job_id, _result(learner, outcome.value["losses"]))
    shutil.rmtree(scratch.kept(folder.parent, held.task_id), ignore_errors=True)


def give_up(session: Session, task_id: str) -> None:
    """End the job: no worker survived it."""
    task = session.scalars(select(Task).where(Task.id == task_id)).one()
    jobs.fail(session, task.job_id, task.error or {})


def _request(session: Session, held: Claim) -> dict[str, Any]:
    request: dict[str, Any] = session.scalars(select(Job.request).where(Job.id == held.job_id)).one()
    return request


def _result(learner: MetaLearner, losses: dict[str, list[float]]) -> dict[str, Any]:
    return {
        "meta_learner_id": learner.id,
        "task_type": learner.task_type,
        "datasets": learner.n_datasets,
        "evaluations": learner.n_evaluations,
        **learner.verdict,
        "losses": losses,
    }


def _lessons_withdrawn() -> dict[str, Any]:
    return {
        "code": retrainings.LESSONS_WITHDRAWN,
        "detail": "Reports that this had learned from were removed, or their source is trusted no more.",
        "advice": "Start another retraining: it learns from what is left.",
    }


def _ended_oddly(outcome: Outcome) -> dict[str, Any]:
    return {
        "code": f"retraining_{outcome.ending}",
        "detail": f"Fitting the meta-learners ended by {outcome.ending}.",
        "advice": "Allow a larger time_budget_seconds, or more memory (MEMORY_BYTES).",
    }
