"""Imported meta-datasets in the database: one per name and owner, replaced whole, deleted with what quotes them."""

from pathlib import Path

import pytest
from sqlalchemy import func, select

from app.errors import MetaDatasetNotFoundError, NamesUnusableError
from app.store import metadatasets, recommendations
from app.store.database import Database
from app.store.tables import Blob, MetaDataset, Recommendation


def put(database: Database, folder: Path, name: str, content: bytes, owner: str = "local") -> str:
    (folder / "content").write_bytes(content)
    with database.write() as session:
        row = metadatasets.record(
            session, owner=owner, name=name, path=folder / "content", summary={"datasets": len(content)}
        )
        session.commit()
        return row.id


def content(database: Database, name: str, owner: str = "local") -> bytes:
    with database.read() as session:
        return metadatasets.content(session, metadatasets.get(session, owner, name))


def delete(database: Database, name: str) -> None:
    with database.write() as session:
        metadatasets.delete(session, "local", name)
        session.commit()


def blobs_left(database: Database) -> int:
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(Blob)) or 0


def test_content_is_kept_under_a_name_of_its_owner(database: Database, tmp_path: Path) -> None:
    large = bytes(range(256)) * 9_000
    put(database, tmp_path, "solvers", large)
    put(database, tmp_path, "solvers", b"theirs", owner="somebody")
    assert content(database, "solvers") == large
    assert content(database, "solvers", owner="somebody") == b"theirs"
    with database.read() as session, pytest.raises(MetaDatasetNotFoundError, match="'other'"):
        metadatasets.get(session, "local", "other")


def test_second_import_replaces_the_first_and_its_bytes(database: Database, tmp_path: Path) -> None:
    first = put(database, tmp_path, "solvers", b"one")
    again = put(database, tmp_path, "solvers", b"two two")
    assert first == again
    assert content(database, "solvers") == b"two two"
    assert blobs_left(database) == 1
    with database.read() as session:
        row = session.scalars(select(MetaDataset)).one()
        assert row.summary == {"datasets": 7}
        assert row.content_hash.startswith(row.version)


def test_same_bytes_imported_again_stay(database: Database, tmp_path: Path) -> None:
    for _ in range(2):
        put(database, tmp_path, "solvers", b"one")
    assert content(database, "solvers") == b"one"


def test_deletion_takes_the_bytes_and_the_recommendations_along(database: Database, tmp_path: Path) -> None:
    gone, kept = (put(database, tmp_path, name, name.encode()) for name in ("gone", "kept"))
    with database.write() as session:
        for each in (gone, kept, None):
            recommendations.record(session, owner="local", meta_dataset_id=each, request={}, body={})
        session.commit()
    delete(database, "gone")
    with database.read() as session:
        assert set(session.scalars(select(Recommendation.meta_dataset_id))) == {kept, None}
    assert blobs_left(database) == 1
    assert content(database, "kept") == b"kept"
    with pytest.raises(MetaDatasetNotFoundError):
        delete(database, "gone")


def test_bytes_that_two_names_share_go_with_the_second(database: Database, tmp_path: Path) -> None:
    for name in ("one", "two"):
        put(database, tmp_path, name, b"shared")
    delete(database, "one")
    assert content(database, "two") == b"shared"
    delete(database, "two")
    assert blobs_left(database) == 0


def test_pages_are_of_one_owner_and_newest_first(database: Database, tmp_path: Path) -> None:
    ids = [put(database, tmp_path, f"m{number}", b"x") for number in range(3)]
    put(database, tmp_path, "theirs", b"x", owner="somebody")
    with database.read() as session:
        first = metadatasets.page(session, "local", 2, None)
        rest = metadatasets.page(session, "local", 2, first[-1].id)
    assert [each.id for each in (*first, *rest)] == sorted(ids, reverse=True)


@pytest.mark.parametrize("name", ["", "a/b", "-x", "a b", "é", "x" * 101, "..", "a\n"])
def test_names_that_no_address_carries_are_refused(name: str) -> None:
    with pytest.raises(NamesUnusableError):
        metadatasets.check_name(name)
    metadatasets.check_name("MAXSAT-PMS_2016.v2")
