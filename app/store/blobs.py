"""Content-addressed bytes in the database, so that API and workers share no disk."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from sqlalchemy import delete, exists, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from app.store.database import new_id
from app.store.tables import Blob, BlobChunk, Dataset, Experiment, Model

CHUNK_BYTES = 1 << 20


def put(session: Session, path: Path) -> str:
    """Store a file's bytes unless they are there already; return their SHA-256."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    content_hash = digest.hexdigest()
    insert = sqlite_insert if session.get_bind().dialect.name == "sqlite" else postgresql_insert
    statement = insert(Blob).values(hash=content_hash, size=path.stat().st_size).on_conflict_do_nothing()
    if session.execute(statement.returning(Blob.hash)).scalar() is not None:
        with path.open("rb") as file:
            for position, chunk in enumerate(iter(lambda: file.read(CHUNK_BYTES), b"")):
                session.add(BlobChunk(hash=content_hash, position=position, content=chunk))
                session.flush()
    return content_hash


def chunks(session: Session, content_hash: str) -> Iterator[bytes]:
    """The blob's bytes in order, one chunk in memory at a time."""
    positions = select(BlobChunk.position).where(BlobChunk.hash == content_hash).order_by(BlobChunk.position)
    for position in session.scalars(positions).all():
        yield session.scalars(
            select(BlobChunk.content).where(BlobChunk.hash == content_hash, BlobChunk.position == position)
        ).one()


def fetch(session: Session, content_hash: str, cache_dir: Path) -> Path:
    """The blob as a file of the cache, written there on first use."""
    path = cache_dir / content_hash
    if not path.exists():
        cache_dir.mkdir(parents=True, exist_ok=True)
        temporary = cache_dir / new_id("fetching")
        with temporary.open("wb") as file:
            for chunk in chunks(session, content_hash):
                file.write(chunk)
        temporary.replace(path)
    return path


def discard_unreferenced(session: Session, hashes: Iterable[str]) -> None:
    """Delete those of the blobs that no row needs any more."""
    references = (Dataset.content_hash, Experiment.predictions_hash, Model.artifact_hash)
    for content_hash in set(hashes):
        in_use = [exists().where(column == content_hash) for column in references]
        if not any(session.scalar(select(condition)) for condition in in_use):
            session.execute(delete(BlobChunk).where(BlobChunk.hash == content_hash))
            session.execute(delete(Blob).where(Blob.hash == content_hash))
