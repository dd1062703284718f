"""Workers seen alive."""

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from app.store.database import now
from app.store.tables import Worker

_FORGOTTEN_SECONDS = 3600.0


def register(session: Session, worker_id: str, host: str, queues: list[str], slots: int) -> None:
    """Note a new worker, and forget those that have been silent for an hour."""
    session.execute(delete(Worker).where(Worker.seen_at < now() - _FORGOTTEN_SECONDS))
    session.add(Worker(id=worker_id, host=host, queues=queues, slots=slots))
    session.flush()


def see(session: Session, worker_id: str) -> None:
    """Note that the worker is alive."""
    session.execute(update(Worker).where(Worker.id == worker_id).values(seen_at=now()))


def leave(session: Session, worker_id: str) -> None:
    """Note that the worker ended in good order."""
    session.execute(delete(Worker).where(Worker.id == worker_id))


def alive(session: Session, within_seconds: float) -> list[Worker]:
    """Workers seen within that time."""
    return list(session.scalars(select(Worker).where(Worker.seen_at >= now() - within_seconds)).all())
