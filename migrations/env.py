"""Alembic's entry: runs the migrations on the database of the settings, or on the connection it is handed."""

from collections.abc import Iterator
from contextlib import contextmanager

from alembic import context
from sqlalchemy import Connection

from app.config import Settings
from app.store.database import create_database_engine
from app.store.tables import Base


def run(connection: Connection) -> None:
    """Run the migrations; SQLite changes a table by copying it (batch mode)."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
    )
    with _references_unchecked(connection), context.begin_transaction():
        context.run_migrations()


@contextmanager
def _references_unchecked(connection: Connection) -> Iterator[None]:
    """Let SQLite drop and replace a table that others refer to; in the end every reference must hold again."""
    raw = connection.connection.dbapi_connection
    if connection.dialect.name != "sqlite" or raw is None:
        yield
        return
    cursor = raw.cursor()
    cursor.execute("PRAGMA foreign_keys=OFF")  # which is heard outside a transaction alone
    try:
        yield
        broken = cursor.execute("PRAGMA foreign_key_check").fetchall()
        if broken:
            raise RuntimeError(f"The migrations left references to nothing: {broken[:3]}")
    finally:
        cursor.execute("PRAGMA foreign_keys=ON")


given: Connection | None = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    engine = create_database_engine(Settings())
    with engine.connect() as connection:
        run(connection)
        connection.commit()
    engine.dispose()
