"""Whether the process lives, and whether it can serve."""

import shutil
from typing import Any

from fastapi import APIRouter, Response
from sqlalchemy.exc import SQLAlchemyError

from app.api.dependencies import Service, ServiceDep
from app.api.schemas import ResponseModel
from app.store import jobs, workers
from app.store.migrating import current_revision, head_revision
from app.store.tables import Worker

router = APIRouter(tags=["operations"])

_LEAST_FREE_BYTES = 512 << 20


class LiveResponse(ResponseModel):
    """The process answers."""

    status: str


class ReadyResponse(ResponseModel):
    """`ok`, `degraded` (recommends, but no worker is there to verify) or `unavailable`."""

    status: str
    checks: dict[str, Any]


@router.get("/health/live")
async def live() -> LiveResponse:
    """Touches nothing."""
    return LiveResponse(status="ok")


@router.get("/health/ready", responses={503: {"model": ReadyResponse, "description": "Not ready"}})
def ready(service: ServiceDep, response: Response) -> ReadyResponse:
    """Database, migrations, disk, and workers seen lately."""
    checks = {"database": _database(service), "disk": _disk(service)}
    serves = all(check["ok"] for check in checks.values())
    checks["workers"] = _workers(service) if checks["database"]["ok"] else {"ok": False}
    if not serves:
        response.status_code = 503
        return ReadyResponse(status="unavailable", checks=checks)
    return ReadyResponse(status="ok" if checks["workers"]["ok"] else "degraded", checks=checks)


def _database(service: Service) -> dict[str, Any]:
    try:
        revision = current_revision(service.database.engine)
    except SQLAlchemyError as error:
        return {"ok": False, "error": type(error).__name__}
    head = head_revision()
    return {"ok": revision == head, "revision": revision, "head": head}


def _disk(service: Service) -> dict[str, Any]:
    free = shutil.disk_usage(service.settings.data_dir).free
    return {"ok": free >= _LEAST_FREE_BYTES, "free_bytes": free}


def _slots_by_device(alive: list[Worker]) -> dict[str, dict[str, int]]:
    """Queue → what its workers compute on → how many children at a time."""
    slots: dict[str, dict[str, int]] = {}
    for each in alive:
        of_queue = slots.setdefault(each.queue, {})
        of_queue[each.device] = of_queue.get(each.device, 0) + each.slots
    return slots


def _workers(service: Service) -> dict[str, Any]:
    with service.database.read() as session:
        alive = workers.alive(session, workers.SILENCE_SECONDS)
        queued = jobs.count_queued_tasks(session)
    return {
        "ok": bool(alive),
        "seen": len(alive),
        "slots": sum(each.slots for each in alive),
        "devices": _slots_by_device(alive),
        "queued_tasks": queued,
    }
