"""Metrics for Prometheus: this process's requests, and the whole system's work."""

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from app.api.dependencies import ServiceDep

router = APIRouter(tags=["operations"])


@router.get("/metrics", response_class=Response, include_in_schema=False)
async def metrics(service: ServiceDep) -> Response:
    """In Prometheus's text format."""
    own = generate_latest(service.metrics.registry)
    whole = generate_latest(await service.system.registry())
    return Response(own + whole, headers={"Content-Type": CONTENT_TYPE_LATEST})
