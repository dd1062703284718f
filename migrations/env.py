"""Alembic's entry: runs the migrations on the database of the settings, or on the connection it is handed."""

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
    with context.begin_transaction():
        context.run_migrations()


given: Connection | None = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    engine = create_database_engine(Settings())
    with engine.connect() as connection:
        run(connection)
        connection.commit()
    engine.dispose()
