"""Every error leaves as problem+json (RFC 9457) with a stable code, what to do, and the request's id."""

from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from sqlalchemy.exc import DataError, DBAPIError, SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from app.api.schemas import Problem
from app.errors import (
    DatabaseUnavailableError,
    IdempotencyInFlightError,
    InvalidJsonError,
    InvalidRequestError,
    OverloadedError,
    ServiceError,
)
from app.store.database import PASSING_ERRORS, cause_of

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
_CODES = {404: "not_found", 405: "method_not_allowed", 400: "bad_request", 413: "body_too_large"}
_RETRY_SECONDS = 2
_PASSING = (
    OverloadedError,
    IdempotencyInFlightError,
    DatabaseUnavailableError,
)  # who asks again later gets another answer


def install_problems(app: FastAPI) -> None:
    """Register the handlers."""
    app.add_exception_handler(ServiceError, _service_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(DataError, _data_error)
    for away in PASSING_ERRORS:
        app.add_exception_handler(away, _database_away)
    app.add_exception_handler(DBAPIError, _database_error)
    app.add_exception_handler(ClientDisconnect, _nobody_listens)


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The documentation of an operation's errors."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": "Problem", "model": Problem, "content": content} for status in statuses}


def problem_response(request: Request, error: ServiceError) -> Response:
    """The answer to an error."""
    problem = Problem(
        type=f"urn:metaselect:problem:{error.code}",
        title=error.title,
        status=error.status,
        code=error.code,
        detail=error.detail,
        advice=error.advice,
        request_id=getattr(request.state, "request_id", ""),
        evidence=error.evidence,
    )
    headers = {"Retry-After": str(_RETRY_SECONDS)} if isinstance(error, _PASSING) else None
    return JSONResponse(problem.model_dump(), error.status, headers, media_type=MEDIA_TYPE)


def unexpected_error() -> ServiceError:
    """What a client is told of an error that nobody foresaw."""
    return ServiceError(
        "Something went wrong on our side.", "Try again; quote the request id if it happens again."
    )


def unexpected_problem(request: Request) -> Response:
    """The answer to an error that nobody foresaw."""
    return problem_response(request, unexpected_error())


def as_invalid_request(errors: Any) -> ServiceError:
    """The first few of pydantic's findings as one error; the refused input itself is not repeated."""
    shown = [
        {"field": ".".join(str(part) for part in each["loc"]), "problem": each["msg"], "kind": each["type"]}
        for each in errors[:10]
    ]
    kind = InvalidJsonError if any(each["kind"] in _JSON_KINDS for each in shown) else InvalidRequestError
    first = shown[0]
    return kind(
        f"{first['field'] or 'body'}: {first['problem']}.",
        "Correct the request; /docs describes it.",
        errors=shown,
    )


_JSON_KINDS = {"json_invalid", "finite_number"}


def _service_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)
    return problem_response(request, error)


def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return problem_response(request, as_invalid_request(error.errors()))


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    problem = ServiceError(str(error.detail), "See /docs for what the service answers to.")
    return JSONResponse(
        Problem(
            type=f"urn:metaselect:problem:{_CODES.get(error.status_code, 'http_error')}",
            title=str(error.detail),
            status=error.status_code,
            code=_CODES.get(error.status_code, "http_error"),
            detail=problem.detail,
            advice=problem.advice,
            request_id=getattr(request.state, "request_id", ""),
        ).model_dump(),
        error.status_code,
        dict(error.headers or {}),
        media_type=MEDIA_TYPE,
    )


def _nobody_listens(_: Request, __: Exception) -> Response:
    """A client that went away in the middle of its upload gets no answer, and fills no log."""
    return Response(status_code=400)


def _data_error(request: Request, _: Exception) -> Response:
    return problem_response(
        request,
        InvalidRequestError(
            "A value cannot be stored, most likely the character NUL.", "Remove that character."
        ),
    )


def _database_error(request: Request, error: Exception) -> Response:
    """Whatever the driver calls it, a connection that was ended is a database that is away; the rest are defects."""
    assert isinstance(error, DBAPIError)
    if not error.connection_invalidated:
        raise error
    return _database_away(request, error)


def _database_away(request: Request, error: Exception) -> Response:
    assert isinstance(error, SQLAlchemyError)
    log.warning("database_unavailable", error=cause_of(error))
    return problem_response(
        request,
        DatabaseUnavailableError(
            "The database does not answer, so nothing is known of what was asked for.",
            "Repeat the request after `Retry-After` seconds, with the same Idempotency-Key where it had one.",
        ),
    )
