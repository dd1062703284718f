"""Blobs and migrations on both databases."""

from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import inspect, select
from sqlalchemy.exc import StatementError

from app.config import Settings
from app.store import blobs
from app.store.database import Database
from app.store.migrating import current_revision, head_revision
from app.store.tables import Base, Blob, Recommendation


def test_blob_of_several_chunks_comes_back_unchanged(database: Database, tmp_path: Path) -> None:
    content = bytes(range(256)) * 10_000
    path = tmp_path / "file"
    path.write_bytes(content)
    with database.write() as session:
        content_hash = blobs.put(session, path)
        assert blobs.put(session, path) == content_hash
        session.commit()
    with database.read() as session:
        assert b"".join(blobs.chunks(session, content_hash)) == content
        assert blobs.fetch(session, content_hash, tmp_path / "cache").read_bytes() == content
        assert session.scalars(select(Blob)).one().size == len(content)


def test_blob_that_nothing_refers_to_is_discarded(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x")
    with database.write() as session:
        content_hash = blobs.put(session, path)
        blobs.discard_unreferenced(session, [content_hash])
        session.commit()
        assert session.scalars(select(Blob)).all() == []


def test_json_that_is_no_json_is_refused(database: Database) -> None:
    with database.write() as session:
        session.add(Recommendation(id="r", owner="o", request={"x": float("nan")}, body={}))
        with pytest.raises((StatementError, ValueError), match="Out of range float"):
            session.flush()


def test_migrations_go_down_and_up_again(settings: Settings, database: Database) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parents[2] / "migrations"))
    assert current_revision(database.engine) == head_revision()
    for step, expected in ((command.downgrade, set()), (command.upgrade, set(Base.metadata.tables))):
        with database.engine.connect() as connection:
            config.attributes["connection"] = connection
            step(config, "base" if step is command.downgrade else "head")
            connection.commit()
        assert set(inspect(database.engine).get_table_names()) - {"alembic_version"} == expected
