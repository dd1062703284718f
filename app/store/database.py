"""Engines and sessions for SQLite and Postgres, and the one clock that all rows share."""

import json
from collections.abc import Callable
from typing import Any

from sqlalchemy import Double, Engine, create_engine, event, func, select
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, InterfaceError, InternalError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.functions import FunctionElement

from app import failpoints
from app.config import Settings
from app.failpoints import Step

# What a database that is away or busy fails with, and what is worth another try; anything else would fail again.
PASSING_ERRORS = (OperationalError, InterfaceError, InternalError, PoolTimeoutError)

_BUSY_SECONDS = 30
_POOL_SIZE = 20  # uvicorn lends 40 threads to endpoints; with the overflow each of them finds a connection


# A client that is frozen in the middle of a transaction loses it, with its locks; a server that is frozen or gone is
# noticed although it closed nothing. Nobody waits for a lock longer than a request may take. The last option: what is
# asked for lies in memory or on a solid-state disk. With the default of 4, made for turning disks, a Postgres that has
# no statistics yet sorts all jobs of an owner for one page instead of following the index (10,000 jobs: 7.5 ms, .06).
_POSTGRES_CONNECTION = {
    "connect_timeout": 5,
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "options": "-c idle_in_transaction_session_timeout=15s -c lock_timeout=15s -c random_page_cost=1.1",
}
_POOL_SECONDS = 10


class now(FunctionElement[float]):  # noqa: N801  reads as the SQL function that it is
    """The database's clock in seconds since 1970: leases of workers on many hosts are measured by it alone."""

    type = Double()
    inherit_cache = True


@compiles(now, "sqlite")
def _now_sqlite(*_: Any, **__: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(now, "postgresql")
def _now_postgresql(*_: Any, **__: Any) -> str:
    return "extract(epoch from clock_timestamp())::double precision"


class Database:
    """Opens sessions. Writers say so: on SQLite they take the write lock at once instead of failing later."""

    def __init__(self, settings: Settings) -> None:
        self.engine = create_database_engine(settings)
        self._writer = self.engine.execution_options(sqlite_begin="BEGIN IMMEDIATE")

    def read(self) -> Session:
        """A session for reading."""
        return Session(self.engine, expire_on_commit=False)

    def write(self) -> Session:
        """A session that will write."""
        return Session(self._writer, expire_on_commit=False)


def create_database_engine(settings: Settings) -> Engine:
    """An engine for the settings' database, strict about JSON."""
    url = settings.sqlalchemy_url
    options: dict[str, Any] = {
        "json_serializer": _strict_json,
        "pool_size": _POOL_SIZE,
        "max_overflow": 30,
        "hide_parameters": True,  # errors are logged, and what somebody sent does not belong there
    }
    if not url.startswith("sqlite"):
        return create_engine(
            url, pool_pre_ping=True, connect_args=_POSTGRES_CONNECTION, pool_timeout=_POOL_SECONDS, **options
        )
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, connect_args={"timeout": _BUSY_SECONDS}, **options)
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def commit(session: Session, step: Step) -> None:
    """Commit. Every commit of the service is a step by name, so that tests can break each of them."""
    with failpoints.around(step, _lost_connection):
        session.commit()


def cause_of(error: SQLAlchemyError) -> str:
    """What a log tells of the error: its kind and code. A message of the database quotes values that somebody sent.

    Without a code it comes from this side of the connection, which knows addresses alone, and says what is the matter.
    """
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    code = getattr(cause, "sqlstate", None) or getattr(cause, "sqlite_errorname", None)
    if code is None and isinstance(error, OperationalError | PoolTimeoutError):
        code = str(cause).partition("\n")[0]
    return type(cause).__name__ + (f": {code}" if code else "")


def wait_for_turn(session: Session, name: str) -> None:
    """Have transactions that come here under the same name follow each other; on SQLite all that write do anyway."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))


def _lost_connection() -> Exception:
    return OperationalError("COMMIT", None, ConnectionResetError("the connection was lost"))


def _configure_sqlite(connection: DBAPIConnection, _: object) -> None:
    connection.isolation_level = None  # sqlite3 then leaves BEGIN to the listener below
    cursor = connection.cursor()
    # What is erased is overwritten with zeros instead of lying in free pages.
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "secure_delete=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Any) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("sqlite_begin", "BEGIN"))


_strict_json: Callable[[Any], str] = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
