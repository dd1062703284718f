"""The HTTP service: `uvicorn --factory app.main:create_app`."""

# ruff: noqa: E402  threads are fixed before any numeric library loads
from app.config import Settings, pin_threads

pin_threads()

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.responses import RedirectResponse
from fastapi_offline import FastAPIOffline
from starlette.concurrency import run_in_threadpool

from app import failpoints, tracing
from app.api import (
    algorithms,
    configurations,
    datasets,
    evaluations,
    health,
    jobs,
    metadataset,
    metadatasets,
    metalearners,
    metrics,
    models,
    pages,
    predictions,
    recommendations,
    suggestions,
    watching,
    webhooks,
)
from app.api.accounting import Accounting, RequestMetrics
from app.api.collecting import System
from app.api.dependencies import Service
from app.api.describing import Describer
from app.api.lookout import Lookout
from app.api.middleware import BodyLimit, RequestId
from app.api.predictions import PredictRequest
from app.api.problems import install_problems
from app.api.recommendations import RecommendRequest
from app.following import Following
from app.logging import configure_logging
from app.queue import Doorbell
from app.store.database import Database
from app.store.recommendations import Recorder


def create_app(settings: Settings | None = None) -> FastAPI:
    """Wire the service's parts together."""
    settings = settings or Settings()
    configure_logging(settings.log_format)
    failpoints.use(settings.failpoints_dir)
    tracing.use(settings, "metaselect-api")
    database = Database(settings)
    service = Service(
        settings=settings,
        database=database,
        doorbell=Doorbell(settings),
        knowledge=Following(database),
        describer=Describer(settings),
        lookout=Lookout(database, settings.watchers),
        system=System(database),
        metrics=RequestMetrics(),
        recorder=Recorder(database),
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        settings.scratch_dir.mkdir(parents=True, exist_ok=True)
        threading.Thread(target=service.describer.warm_up, daemon=True).start()
        await run_in_threadpool(service.knowledge.start)
        with service.lookout.stopped_by_signals():
            yield
        service.knowledge.stop()
        service.database.engine.dispose()
        await run_in_threadpool(tracing.flush)

    app = FastAPIOffline(
        title="metaselect",
        summary="Which learning algorithm for this dataset, what to expect of it, and why.",
        version="0.1.0",
        lifespan=lifespan,
        redoc_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # ours has no query strings
    )
    app.state.service = service
    install_problems(app)
    app.add_middleware(BodyLimit, settings=settings)
    app.add_middleware(Accounting, metrics=service.metrics)
    app.add_middleware(RequestId)
    for each in (
        recommendations,
        suggestions,
        datasets,
        jobs,
        watching,
        pages,
        models,
        predictions,
        evaluations,
        algorithms,
        configurations,
        metadataset,
        metadatasets,
        metalearners,
        webhooks,
        health,
        metrics,
    ):
        app.include_router(each.router)
    _document_requests(app)

    @app.get("/", include_in_schema=False)
    async def home() -> RedirectResponse:
        return RedirectResponse("/docs")

    return app


def _document_requests(app: FastAPI) -> None:
    """Add the models that `POST /recommend` and `/models/{id}/predict` parse themselves, since they take two kinds of body."""
    generate = app.openapi

    def openapi() -> dict[str, object]:
        document = generate()
        for each in (RecommendRequest, PredictRequest):
            schema = each.model_json_schema(ref_template="#/components/schemas/{model}")
            schema.pop("$defs", None)
            document["components"]["schemas"].setdefault(each.__name__, schema)
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # the documented way to extend the document
