"""Idempotency keys: whoever claims one carries its request out, and what was answered is kept beside what was created.

The claim is a transaction of its own, so that others see it. The answer is recorded in the transaction that creates: after
any crash either both are there, or neither, and then the claim ends by itself.
"""

import hashlib
import secrets
from dataclasses import dataclass

from sqlalchemy import ColumnElement, CursorResult, delete, null, or_, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from app.errors import AnswerErasedError, IdempotencyInFlightError, IdempotencyMismatchError
from app.store.database import now
from app.store.tables import IdempotencyKey

KEPT_SECONDS = 86_400.0
_ABANDONED_SECONDS = 3600.0  # a request that outlived its claim may still finish, unless somebody repeated it


@dataclass(frozen=True)
class Held:
    """A claimed key; the attempt fences off a request that took longer than it may."""

    key_id: str
    attempt: str


@dataclass(frozen=True)
class Answer:
    """What was answered, byte by byte."""

    status: int
    headers: dict[str, str]
    body: bytes


def claim(session: Session, owner: str, key: str, fingerprint: str, seconds: float) -> Held | Answer:
    """Take the owner's key for that long, or the answer that was recorded under it.

    Raises: IdempotencyInFlightError, IdempotencyMismatchError, AnswerErasedError.
    """
    held = Held(hashlib.sha256(f"{owner}\n{key}".encode()).hexdigest(), secrets.token_hex(16))
    if _take(session, owner, held, fingerprint, seconds):
        return held
    found = session.scalars(select(IdempotencyKey).where(IdempotencyKey.id == held.key_id)).one_or_none()
    if found is not None and found.status is not None and found.body is None:
        raise AnswerErasedError(
            "The request with this Idempotency-Key was carried out, and what it created was erased since.",
            "Use a new key to do it again.",
        )
    if found is not None and found.fingerprint != fingerprint:
        raise IdempotencyMismatchError(
            "This Idempotency-Key came with another request before.",
            "Use a new key for every request; a repeat has the same address, fields and file.",
        )
    if found is None or found.status is None or found.body is None:
        raise IdempotencyInFlightError(
            "A request with this Idempotency-Key is being carried out.",
            "Repeat it after `Retry-After` seconds.",
        )
    return Answer(found.status, found.headers or {}, found.body)


def record(session: Session, held: Held, answer: Answer, subject_id: str | None) -> None:
    """Keep the answer for a day; it is erased earlier with the dataset or meta-dataset `subject_id` that it quotes.

    Raises: IdempotencyInFlightError where somebody else claimed the key meanwhile: then nothing may be committed.
    """
    recorded = session.execute(
        update(IdempotencyKey)
        .where(*_held(held))
        .values(
            status=answer.status,
            headers=answer.headers,
            body=answer.body,
            subject_id=subject_id,
            expires_at=now() + KEPT_SECONDS,
        )
        .execution_options(synchronize_session=False)
    )
    assert isinstance(recorded, CursorResult)
    if recorded.rowcount != 1:
        raise IdempotencyInFlightError(
            "The request took so long that a repeat took its place.", "Repeat it after `Retry-After` seconds."
        )


def release(session: Session, held: Held) -> None:
    """Give the key back unused; one under which an answer was recorded stays."""
    session.execute(delete(IdempotencyKey).where(*_held(held)))


def forget_expired(session: Session) -> None:
    """Remove answers that were kept for their time, and claims that nobody will come back for."""
    over = or_(IdempotencyKey.status.is_not(None), IdempotencyKey.expires_at < now() - _ABANDONED_SECONDS)
    session.execute(delete(IdempotencyKey).where(IdempotencyKey.expires_at < now(), over))


def _take(session: Session, owner: str, held: Held, fingerprint: str, seconds: float) -> bool:
    """Write the claim, over an expired one too; of many at once one succeeds."""
    insert = sqlite_insert if session.get_bind().dialect.name == "sqlite" else postgresql_insert
    claimed = {"fingerprint": fingerprint, "attempt": held.attempt, "expires_at": now() + seconds}
    emptied = {"status": None, "headers": null(), "body": None, "subject_id": None}
    written = (
        insert(IdempotencyKey)
        .values(id=held.key_id, owner=owner, **claimed)
        .on_conflict_do_update(
            index_elements=[IdempotencyKey.id],
            set_={**claimed, **emptied},
            where=IdempotencyKey.expires_at < now(),
        )
        .returning(IdempotencyKey.id)
    )
    return session.scalar(written) is not None


def _held(held: Held) -> tuple[ColumnElement[bool], ...]:
    return (
        IdempotencyKey.id == held.key_id,
        IdempotencyKey.attempt == held.attempt,
        IdempotencyKey.status.is_(None),
    )
