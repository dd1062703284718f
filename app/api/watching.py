"""Watching a job: its state with an ETag, waiting for the next change, and its events as a stream.

Neither route has a session of its own: FastAPI would close it only after the answer, and a connection would be held by
everybody who waits. The stream is written out here instead of taken from sse-starlette: what that adds to Starlette's
response, heartbeats and ends on shutdown, is what has to agree with the lookout anyway.
"""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Coroutine
from datetime import UTC, datetime
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from app.api.dependencies import Owner, Service, ServiceDep
from app.api.jobs import POLL_SECONDS, JobResponse, as_response
from app.api.problems import problem_responses
from app.errors import InvalidRequestError, OverloadedError
from app.store import events, jobs
from app.store.database import cause_of
from app.store.events import Event, State

log = structlog.get_logger(__name__)

router = APIRouter(tags=["jobs"])

LONGEST_WAIT_SECONDS = 30
_HEARTBEAT_SECONDS = 15.0
_RESUME_MILLISECONDS = 1000
_STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # proxies pass events on at once

Wait = Annotated[
    float,
    Query(
        ge=0,
        le=LONGEST_WAIT_SECONDS,
        description="Seconds to wait for a change: from the state in `If-None-Match`, or else from the present one.",
    ),
]
After = Annotated[int | None, Query(ge=0, le=2**31 - 1, description="The position of the last event seen.")]


@router.get(
    "/jobs/{job_id}",
    response_model=JobResponse,
    responses={304: {"description": "Nothing has changed."}, **problem_responses(404, 422)},
)
async def read_job(
    job_id: str,
    request: Request,
    service: ServiceDep,
    owner: Owner,
    wait: Wait = 0,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """One job: status, progress, experiments, and once it has ended its result.

    The `ETag` names its state; with it in `If-None-Match` the answer is 304 until something has changed.
    """
    waited = False
    if wait > 0:
        state = await run_in_threadpool(_state, service, owner, job_id)
        if not state.ended and (if_none_match is None or _matches(state, if_none_match)):
            with service.lookout.place() as waited:  # without a place the answer is the present state
                if waited:
                    change = service.lookout.left(job_id, state.version, wait)
                    await _while_somebody_listens(request, change)
    return await run_in_threadpool(_answer, service, owner, job_id, if_none_match, waited)


async def _stream_place(service: ServiceDep) -> AsyncIterator[None]:
    """A place among those who wait, given back when the stream has ended, however it ends."""
    with service.lookout.place() as is_free:
        if not is_free:
            raise OverloadedError("Too many clients watch jobs.", "Try again in a moment, or poll the job.")
        yield


@router.get(
    "/jobs/{job_id}/events",
    dependencies=[Depends(_stream_place)],
    response_class=StreamingResponse,
    responses={
        200: {"description": "Server-sent events.", "content": {"text/event-stream": {}}},
        204: {"description": "The job has ended, and all its events were seen."},
        **problem_responses(404, 422, 503),
    },
)
async def stream_events(
    job_id: str,
    service: ServiceDep,
    owner: Owner,
    after: After = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """The job's events from its beginning, or behind `Last-Event-ID`; the stream ends with the event `ended`."""
    state = await run_in_threadpool(_state, service, owner, job_id)
    position = _resume_behind(last_event_id, after, state)
    if state.ended and position == state.version:
        return Response(status_code=204)  # tells browsers not to ask again
    return StreamingResponse(
        _stream(service, job_id, position), media_type="text/event-stream", headers=_STREAM_HEADERS
    )


async def until_ended(request: Request, service: Service, owner: str, job_id: str, seconds: float) -> None:
    """Wait for the job's end, at most so long, while somebody listens; not at all where every place to wait is taken."""
    with service.lookout.place() as is_free:
        if is_free:
            await _while_somebody_listens(request, _ended(service, owner, job_id, seconds))


async def _ended(service: Service, owner: str, job_id: str, seconds: float) -> bool:
    """Whether the job ended before the time was over or the process is to stop."""
    deadline = time.monotonic() + seconds
    while True:
        state = await run_in_threadpool(_state, service, owner, job_id)
        left = deadline - time.monotonic()
        if state.ended or left <= 0:
            return state.ended
        if not await service.lookout.left(job_id, state.version, left):
            return False


def _state(service: Service, owner: str, job_id: str) -> State:
    with service.database.read() as session:
        return events.state(session, owner, job_id)


def _answer(service: Service, owner: str, job_id: str, if_none_match: str | None, waited: bool) -> Response:
    """The job, or that it is as the client knows it."""
    with service.database.read() as session:
        # First the state: should a change come in between, the client asks once too often and misses nothing.
        state = events.state(session, owner, job_id)
        headers = {"ETag": _tag(state)}
        if not state.ended:
            headers["Retry-After"] = "0" if waited else str(POLL_SECONDS)
        if if_none_match is not None and _matches(state, if_none_match):
            return Response(status_code=304, headers=headers)
        body = as_response(jobs.detail(session, owner, job_id)).model_dump_json()
    return Response(body, media_type="application/json", headers=headers)


def _tag(state: State) -> str:
    """Weak, since elapsed times differ between answers; a job changes once more when its dataset is erased."""
    return f'W/"{state.version}{"-erased" if state.erased else ""}"'


def _matches(state: State, if_none_match: str) -> bool:
    known = {each.strip().removeprefix("W/") for each in if_none_match.split(",")}
    return "*" in known or _tag(state).removeprefix("W/") in known


async def _while_somebody_listens(request: Request, waiting: Coroutine[Any, Any, bool]) -> None:
    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    first = [asyncio.create_task(waiting), asyncio.create_task(gone())]
    try:
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in first:
            each.cancel()
        await asyncio.gather(*first, return_exceptions=True)


def _resume_behind(last_event_id: str | None, after: int | None, state: State) -> int:
    """The position that the client has seen; a browser that resumes repeats the address, and the header is newer."""
    if last_event_id and not re.fullmatch("[0-9]{1,9}", last_event_id):
        raise InvalidRequestError(
            "Last-Event-ID is not one that this service gave.", "Leave it out to begin with the first event."
        )
    position = int(last_event_id) if last_event_id else after or 0
    if position > state.version:
        raise InvalidRequestError(
            f"The job has {state.version} events, none of them at {position}.",
            "Leave Last-Event-ID and after out to begin with the first event.",
        )
    return position


async def _stream(service: Service, job_id: str, position: int) -> AsyncIterator[str]:
    yield f"retry: {_RESUME_MILLISECONDS}\n\n"
    while True:
        try:
            found = await run_in_threadpool(_events, service, job_id, position)
        except SQLAlchemyError as error:
            log.warning("stream_broken_off", job=job_id, error=cause_of(error))
            return  # the client resumes where it was
        if found:
            yield "".join(map(_as_text, found))
            position = found[-1].position
            if found[-1].kind == events.ENDED:
                return
        if not await service.lookout.left(job_id, position, _HEARTBEAT_SECONDS):
            if service.lookout.is_stopping:
                return
            yield ": heartbeat\n\n"


def _events(service: Service, job_id: str, position: int) -> list[Event]:
    with service.database.read() as session:
        return events.after(session, job_id, position)


def _as_text(event: Event) -> str:
    at = datetime.fromtimestamp(event.created_at, UTC).isoformat().replace("+00:00", "Z")
    data = json.dumps({**event.data, "created_at": at})
    return f"id: {event.position}\nevent: {event.kind}\ndata: {data}\n\n"
