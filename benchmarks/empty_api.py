"""The API with one route more, which reads the same body as POST /recommend and does nothing: what the framework costs."""

# ruff: noqa: E402  threads are fixed before any numeric library loads
from app.config import pin_threads

pin_threads()

from fastapi import FastAPI

from app.api.recommendations import RecommendRequest
from app.main import create_app as create_service


def create_app() -> FastAPI:
    """The service and the empty route."""
    app = create_service()

    @app.post("/empty")
    def do_nothing(asked: RecommendRequest) -> dict[str, int]:
        return {"metafeatures": len(asked.metafeatures or {})}

    return app
