"""Which meta-learners answer: every change is a row, so that each can be taken back, and said why.

What ships is where every line of promotions begins; it needs no row. What was fitted beside other shipped evidence than
today's never answers: it knows nothing of what ships now.
"""

from collections.abc import Collection
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import NothingToRollBackError
from app.metalearning.knowledge import shipped_version
from app.metalearning.table import TaskType
from app.store import blobs
from app.store.database import now, wait_for_turn
from app.store.ids import new_id
from app.store.tables import MetaLearner, Promotion


def current(session: Session, task_type: TaskType) -> MetaLearner | None:
    """The retrained meta-learners that answer; None where those that ship do."""
    newest = _newest(session, task_type)
    learner = None if newest is None else _learner(session, newest)
    return learner if learner is not None and _may_answer(learner) else None


def promote(session: Session, learner: MetaLearner, because: str) -> None:
    """Have these meta-learners answer from now on."""
    task_type = TaskType(learner.task_type)
    newest = _newest(session, task_type)
    _add(session, task_type, learner.id, newest.id if newest else None, because)


def roll_back(session: Session, task_type: TaskType) -> MetaLearner | None:
    """Have what answered before answer again; that, or None where it is what ships.

    Raises: NothingToRollBackError.
    """
    take_turn(session)
    newest = _newest(session, task_type)
    if newest is None or current(session, task_type) is None:
        raise NothingToRollBackError(
            f"What ships answers for {task_type}: nothing was promoted, or all of it was taken back.",
            "GET /meta-learners/versions lists what was fitted.",
        )
    return _step_back(session, newest, "It was rolled back.")


def withdraw(session: Session, reports: Collection[str]) -> None:
    """Take back everything that was learned from these reports, and remove it."""
    take_turn(session)
    fitted = session.scalars(select(MetaLearner).where(MetaLearner.content_hash.is_not(None)))
    learners = [each for each in fitted if not set(reports).isdisjoint(each.reports)]
    if not learners:
        return
    hashes = [each.content_hash for each in learners if each.content_hash is not None]
    withdrawn_at = session.scalars(select(now())).one()
    for each in learners:
        each.content_hash, each.withdrawn_at = None, withdrawn_at
    session.flush()
    blobs.discard_unreferenced(session, hashes)
    for task_type in {TaskType(each.task_type) for each in learners}:
        newest = _newest(session, task_type)
        answering = None if newest is None else _learner(session, newest)
        if newest is not None and answering is not None and answering.withdrawn_at is not None:
            _step_back(session, newest, "What it had learned from was removed.")


def take_turn(session: Session) -> None:
    """Have changes of what answers, and of what may be learned from, follow each other."""
    wait_for_turn(session, "promotions")


def page(session: Session, limit: int, before: str | None) -> list[MetaLearner]:
    """Everything that was ever fitted, newest first, at most `limit`, older than the one with the id `before`."""
    query = select(MetaLearner).order_by(MetaLearner.id.desc()).limit(limit)
    return list(session.scalars(query.where(MetaLearner.id < before) if before else query).all())


def fitted(session: Session, version: str) -> MetaLearner | None:
    """The meta-learners of this version, as recommendations quote it, if their content is there."""
    return session.scalars(
        select(MetaLearner).where(MetaLearner.content_hash.startswith(version, autoescape=True)).limit(1)
    ).one_or_none()


def newest_fitted(session: Session, task_type: TaskType) -> MetaLearner | None:
    """What was fitted last and is still there, whether it was promoted or not."""
    return session.scalars(
        select(MetaLearner)
        .where(MetaLearner.task_type == str(task_type), MetaLearner.withdrawn_at.is_(None))
        .order_by(MetaLearner.created_at.desc(), MetaLearner.id.desc())
        .limit(1)
    ).one_or_none()


def was_withdrawn_since(session: Session, task_type: TaskType, moment: float) -> bool:
    """Whether something that was fitted was taken back since, because of what it had learned from."""
    of_type = (MetaLearner.task_type == str(task_type), MetaLearner.withdrawn_at > moment)
    return session.scalars(select(MetaLearner.id).where(*of_type).limit(1)).one_or_none() is not None


def record(session: Session, **known: Any) -> MetaLearner:
    """Remember fitted meta-learners."""
    learner = MetaLearner(id=new_id("mtl"), **known)
    session.add(learner)
    session.flush()
    return learner


def _step_back(session: Session, newest: Promotion, because: str) -> MetaLearner | None:
    """Follow the line back to what is still there; a step back leads further back from where it came."""
    place: Promotion | None = newest
    learner: MetaLearner | None = None
    while place is not None:
        place = session.get(Promotion, place.replaced_id) if place.replaced_id else None
        learner = _learner(session, place) if place else None
        if learner is None or _may_answer(learner):
            break
    replaced_id = place.replaced_id if place else None
    _add(session, TaskType(newest.task_type), learner.id if learner else None, replaced_id, because)
    return learner


def _add(
    session: Session, task_type: TaskType, learner_id: str | None, replaced_id: str | None, because: str
) -> None:
    session.add(
        Promotion(
            id=new_id("pro"),
            task_type=str(task_type),
            meta_learner_id=learner_id,
            replaced_id=replaced_id,
            because=because[:255],
        )
    )
    session.flush()


def _newest(session: Session, task_type: TaskType) -> Promotion | None:
    """By the database's clock: ids follow those of the hosts."""
    query = select(Promotion).where(Promotion.task_type == str(task_type))
    newest_first = query.order_by(Promotion.created_at.desc(), Promotion.id.desc())
    return session.scalars(newest_first.limit(1)).one_or_none()


def _may_answer(learner: MetaLearner) -> bool:
    return learner.withdrawn_at is None and learner.shipped == shipped_version()


def _learner(session: Session, promotion: Promotion) -> MetaLearner | None:
    if promotion.meta_learner_id is None:
        return None
    return session.get(MetaLearner, promotion.meta_learner_id)
