"""Content-addressed bytes in the database, so that API and workers share no disk."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from sqlalchemy import delete, exists, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from app import failpoints
from app.failpoints import Step, disk_full
from app.store.ids import new_id
from app.store.tables import (
    Blob,
    BlobChunk,
    Dataset,
    Experiment,
    MetaDataset,
    MetaLearner,
    Model,
    Prediction,
)

CHUNK_BYTES = 1 << 20
FETCHING = "fetching"  # how names of files begin that are not complete yet
_MOST_AT_ONCE = 500


def put(session: Session, path: Path) -> str:
    """Store a file's bytes unless they are there already; return their SHA-256."""
    with path.open("rb") as file:
        return put_open(session, file)


def put_open(session: Session, file: BinaryIO) -> str:
    """The same with a file that is open and can be read twice."""
    digest, size = hashlib.sha256(), 0
    file.seek(0)
    while chunk := file.read(CHUNK_BYTES):
        digest.update(chunk)
        size += len(chunk)
    content_hash = digest.hexdigest()
    if _is_new(session, content_hash, size):
        file.seek(0)
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
        temporary = cache_dir / new_id(FETCHING)
        with temporary.open("wb") as file:
            for chunk in chunks(session, content_hash):
                file.write(chunk)
        with failpoints.around(Step.CACHE_BLOB, disk_full):
            temporary.replace(path)
    return path


def discard_unreferenced(session: Session, hashes: Iterable[str]) -> None:
    """Delete those of the blobs that no row needs any more."""
    references = (
        Dataset.content_hash,
        Experiment.predictions_hash,
        Model.artifact_hash,
        Model.onnx_hash,
        Prediction.input_hash,
        Prediction.output_hash,
        MetaDataset.content_hash,
        MetaLearner.content_hash,
    )
    for content_hash in sorted(set(hashes)):
        # Waits for whoever is about to refer to the same bytes, and then sees the reference.
        session.execute(select(Blob.hash).where(Blob.hash == content_hash).with_for_update())
        in_use = [exists().where(column == content_hash) for column in references]
        if not any(session.scalar(select(condition)) for condition in in_use):
            session.execute(delete(BlobChunk).where(BlobChunk.hash == content_hash))
            session.execute(delete(Blob).where(Blob.hash == content_hash))


def stored(session: Session, hashes: Iterable[str]) -> set[str]:
    """Those of the hashes whose bytes are there."""
    wanted = sorted(set(hashes))
    parts = (wanted[start : start + _MOST_AT_ONCE] for start in range(0, len(wanted), _MOST_AT_ONCE))
    return {
        found for part in parts for found in session.scalars(select(Blob.hash).where(Blob.hash.in_(part)))
    }


def _is_new(session: Session, content_hash: str, size: int) -> bool:
    """Write the blob's row; false where it was there, and then nobody can discard it before this transaction ends."""
    insert = sqlite_insert if session.get_bind().dialect.name == "sqlite" else postgresql_insert
    written = insert(Blob).values(hash=content_hash, size=size).on_conflict_do_nothing().returning(Blob.hash)
    there = select(Blob.hash).where(Blob.hash == content_hash).with_for_update(read=True, key_share=True)
    while session.scalar(written) is None:
        if session.scalar(there) is not None:
            return False
    return True
