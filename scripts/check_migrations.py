"""Check that the migrations make exactly the tables that the code declares, on a fresh SQLite database."""

import sys
import tempfile
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from app.config import Settings
from app.store.database import create_database_engine
from app.store.migrating import migrate
from app.store.tables import Base

with tempfile.TemporaryDirectory() as folder:
    engine = create_database_engine(Settings(data_dir=Path(folder), database_url=None))
    migrate(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = compare_metadata(context, Base.metadata)
    engine.dispose()
for difference in differences:
    print(difference)
if differences:
    sys.exit("The migrations differ from the tables: alembic revision --autogenerate writes what is missing.")
print("The migrations make the tables that the code declares.")
