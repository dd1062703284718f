"""Workers seen alive."""

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from app.store.database import now
from app.store.tables import Worker

SILENCE_SECONDS = 15.0  # a worker that was not seen for longer counts as gone
_FORGOTTEN_SECONDS = 3600.0


def see(session: Session, worker_id: str, host: str, queue: str, slots: int, device: str) -> None:
    """Note that the worker is alive; a new one is registered, and those silent for an hour are forgotten."""
    known = session.scalar(
        update(Worker).where(Worker.id == worker_id).values(seen_at=now()).returning(Worker.id)
    )
    if known is None:
        session.execute(delete(Worker).where(Worker.seen_at < now() - _FORGOTTEN_SECONDS))
        session.add(Worker(id=worker_id, host=host, queue=queue, slots=slots, device=device))
        session.flush()


def leave(session: Session, worker_id: str) -> None:
    """Note that the worker ended in good order."""
    session.execute(delete(Worker).where(Worker.id == worker_id))


def has_gpu(session: Session) -> bool:
    """Whether a worker of the queue gpu is alive."""
    return any(each.queue == "gpu" for each in alive(session, SILENCE_SECONDS))


def alive(session: Session, within_seconds: float) -> list[Worker]:
    """Workers seen within that time."""
    return list(session.scalars(select(Worker).where(Worker.seen_at >= now() - within_seconds)).all())
