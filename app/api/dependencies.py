"""What routes are handed: the service's parts, sessions, and who is asking."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.orm import Session

from app.api.accounting import RequestMetrics
from app.api.collecting import System
from app.api.describing import Describer
from app.api.imported import ImportedCache
from app.api.lookout import Lookout
from app.config import Settings
from app.metalearning.knowledge import Knowledge
from app.metalearning.table import TaskType
from app.queue import Doorbell
from app.store.database import Database


@dataclass(frozen=True)
class Service:
    """Everything that lives as long as the process."""

    settings: Settings
    database: Database
    doorbell: Doorbell
    knowledge: dict[TaskType, Knowledge]
    describer: Describer
    lookout: Lookout
    system: System
    metrics: RequestMetrics
    imported: ImportedCache = field(default_factory=ImportedCache)


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


ServiceDep = Annotated[Service, Depends(_service)]


def _reading_session(service: ServiceDep) -> Iterator[Session]:
    with service.database.read() as session:
        yield session


def _writing_session(service: ServiceDep) -> Iterator[Session]:
    with service.database.write() as session:
        yield session


def _owner() -> str:
    """Everybody is one owner until there are keys; every row already says whose it is."""
    return "local"


ReadSession = Annotated[Session, Depends(_reading_session)]
WriteSession = Annotated[Session, Depends(_writing_session)]
Owner = Annotated[str, Depends(_owner)]
