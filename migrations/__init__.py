"""Alembic migrations, one file per revision; they run on SQLite and Postgres."""
