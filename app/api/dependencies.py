"""What routes are handed: the service's parts, sessions, and who is asking."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated

from anyio import CancelScope, CapacityLimiter, to_thread
from fastapi import Depends, Header, Request
from sqlalchemy.orm import Session

from app.api.accounting import RequestMetrics
from app.api.collecting import System
from app.api.describing import Describer
from app.api.imported import ImportedCache
from app.api.lookout import Lookout
from app.config import Settings
from app.errors import OperatorOnlyError
from app.following import Following
from app.queue import Doorbell
from app.store.database import Database
from app.store.recommendations import Recorder


@dataclass(frozen=True)
class Service:
    """Everything that lives as long as the process."""

    settings: Settings
    database: Database
    doorbell: Doorbell
    knowledge: Following
    describer: Describer
    lookout: Lookout
    system: System
    metrics: RequestMetrics
    recorder: Recorder
    imported: ImportedCache = field(default_factory=ImportedCache)


# What waits for nothing is a coroutine: for any other function the framework borrows a thread, which costs more than it.


async def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


ServiceDep = Annotated[Service, Depends(_service)]


@asynccontextmanager
async def _closing(session: Session) -> AsyncIterator[Session]:
    """Lend a session, and close it whatever happens.

    Opening it asked nothing of the database, and no more does closing it where everything is committed. Else that is left
    to a thread, one beyond those which may all be waiting for a connection.
    """
    try:
        yield session
    finally:
        if session.in_transaction():
            with CancelScope(shield=True):
                await to_thread.run_sync(session.close, limiter=CapacityLimiter(1))
        else:
            session.close()


async def _reading_session(service: ServiceDep) -> AsyncIterator[Session]:
    async with _closing(service.database.read()) as session:
        yield session


async def _writing_session(service: ServiceDep) -> AsyncIterator[Session]:
    async with _closing(service.database.write()) as session:
        yield session


async def _owner() -> str:
    """Everybody is one owner until there are keys; every row already says whose it is."""
    return "local"


async def _operator(
    service: ServiceDep,
    authorization: Annotated[
        str, Header(description="`Bearer` and the key that the service was started with (OPERATOR_KEY).")
    ] = "",
) -> None:
    """Let through who runs the service.

    Raises: OperatorOnlyError.
    """
    key = service.settings.operator_key
    if key is None:
        raise OperatorOnlyError(
            "The service was started without a key for operators.", "Start it with OPERATOR_KEY set."
        )
    scheme, _, given = authorization.partition(" ")
    # Headers are bytes that were read as Latin-1, whatever the key's letters are.
    is_key = secrets.compare_digest(given.encode("latin-1"), key.get_secret_value().encode())
    if scheme.lower() != "bearer" or not is_key:
        raise OperatorOnlyError(
            "Only who runs the service may do this.", "Send `Authorization: Bearer` with OPERATOR_KEY."
        )


OperatorOnly = Depends(_operator)
ReadSession = Annotated[Session, Depends(_reading_session)]
WriteSession = Annotated[Session, Depends(_writing_session)]
Owner = Annotated[str, Depends(_owner)]
