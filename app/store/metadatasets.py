"""Imported meta-datasets: remembered by name, replaced by the next import of the same name, deleted with what quotes them."""

import re
from pathlib import Path
from typing import Any

from sqlalchemy import delete as delete_rows
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import MetaDatasetNotFoundError, NamesUnusableError
from app.store import blobs, erasing
from app.store.database import now
from app.store.ids import new_id
from app.store.tables import MetaDataset, Recommendation

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def check_name(name: str) -> None:
    """Whether a meta-dataset may be called so.

    Raises: NamesUnusableError.
    """
    if not _NAME.fullmatch(name):
        raise NamesUnusableError(
            f"{name[:100]!r} is no name for a meta-dataset.",
            "Use at most 100 letters, digits, dots, hyphens and underscores, a letter or digit first.",
        )


def get(session: Session, owner: str, name: str, *, lock: bool = False) -> MetaDataset:
    """The owner's meta-dataset; with `lock` no other transaction can delete it meanwhile.

    Raises: MetaDatasetNotFoundError.
    """
    query = select(MetaDataset).where(MetaDataset.owner == owner, MetaDataset.name == name)
    query = query.with_for_update(read=True, key_share=True) if lock else query
    found = session.scalars(query).one_or_none()
    if found is None:
        raise MetaDatasetNotFoundError(
            f"There is no meta-dataset {name[:100]!r}.",
            "GET /meta-datasets lists them; `metaselect metadataset import` adds one.",
        )
    return found


def page(session: Session, owner: str, limit: int, before: str | None) -> list[MetaDataset]:
    """The owner's meta-datasets, newest first, at most `limit`, older than the one with the id `before`."""
    query = select(MetaDataset).where(MetaDataset.owner == owner)
    query = query.where(MetaDataset.id < before) if before else query
    return list(session.scalars(query.order_by(MetaDataset.id.desc()).limit(limit)).all())


def content(session: Session, meta_dataset: MetaDataset) -> bytes:
    """What was learned, as it was stored."""
    return b"".join(blobs.chunks(session, meta_dataset.content_hash))


def record(session: Session, *, owner: str, name: str, path: Path, summary: dict[str, Any]) -> MetaDataset:
    """Remember a fitted meta-dataset; one of the same name is replaced, and keeps its id.

    Raises: NamesUnusableError.
    """
    check_name(name)
    query = select(MetaDataset).where(MetaDataset.owner == owner, MetaDataset.name == name)
    found = session.scalars(query.with_for_update()).one_or_none()
    content_hash = blobs.put(session, path)
    if found is None:
        found = MetaDataset(
            id=new_id("mds"), owner=owner, name=name, content_hash=content_hash, summary=summary
        )
        session.add(found)
        session.flush()
        return found
    replaced = found.content_hash
    found.content_hash, found.summary = content_hash, summary
    found.created_at = session.scalars(select(now())).one()
    session.flush()
    blobs.discard_unreferenced(session, [replaced])
    return found


def delete(session: Session, owner: str, name: str) -> None:
    """Delete the meta-dataset, and the recommendations that quote its datasets.

    Raises: MetaDatasetNotFoundError.
    """
    query = select(MetaDataset).where(MetaDataset.owner == owner, MetaDataset.name == name)
    session.execute(query.with_for_update())
    found = get(session, owner, name)
    session.execute(delete_rows(Recommendation).where(Recommendation.meta_dataset_id == found.id))
    erasing.erase_answers(session, found.id)
    session.delete(found)
    session.flush()
    blobs.discard_unreferenced(session, [found.content_hash])
