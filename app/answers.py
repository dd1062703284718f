"""What the service answers, as the client reads it: problems, pauses that are asked for, and streams of events."""

import json
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

_BUSY = (429, 503)
_RESUME_SECONDS = 1.0
_SILENCE_SECONDS = 45.0  # the service sends a heartbeat every 15 s


class ProblemError(Exception):
    """The service refused: `problem` is its problem+json, with `code`, `detail` and `advice`."""

    def __init__(self, problem: dict[str, Any]) -> None:
        super().__init__(f"{problem['code']}: {problem['detail']} {problem['advice']}".strip())
        self.problem = problem
        self.code: str = problem["code"]


def problem_of(response: httpx.Response) -> ProblemError:
    """The refusal that this answer is."""
    if response.headers.get("content-type", "").startswith("application/problem+json"):
        return ProblemError(response.json())
    detail = f"HTTP {response.status_code}: {response.text[:300]}"
    return ProblemError({"code": "http_error", "detail": detail, "advice": ""})


def asks_for_patience(response: httpx.Response) -> bool:
    """Whether the service is busy and says when to come back."""
    return response.status_code in _BUSY and "Retry-After" in response.headers


def pause_seconds(response: httpx.Response) -> float:
    """How long the answer's `Retry-After`, seconds or a date, asks to wait; 0 where it asks for nothing."""
    given = response.headers.get("Retry-After", "0").strip()
    if given.isdecimal():
        return float(given)
    return max(0.0, (parsedate_to_datetime(given) - datetime.now(UTC)).total_seconds())


def listen(http: httpx.Client, path: str, after: int, patience: float) -> Iterator[dict[str, Any]]:
    """A job's events behind the position `after` until its last one, resumed wherever the stream breaks off.

    Args:
        http: where to ask.
        path: the stream's address.
        after: position of the last event that is known already.
        patience: seconds without any answer after which the error is raised.

    Raises: ProblemError, httpx.TransportError.
    """
    timeout = httpx.Timeout(_SILENCE_SECONDS)
    position, heard = after, time.monotonic()
    while True:
        pause = _RESUME_SECONDS
        try:
            with http.stream(
                "GET", path, headers={"Last-Event-ID": str(position)}, timeout=timeout
            ) as response:
                heard = time.monotonic()
                if response.status_code == httpx.codes.NO_CONTENT:
                    return
                if asks_for_patience(response):
                    pause = pause_seconds(response)
                elif response.is_error:
                    response.read()
                    raise problem_of(response)
                else:
                    for event in _events(response.iter_lines()):
                        position = event["position"]
                        yield event
                        heard = time.monotonic()
                        if event["kind"] == "ended":
                            return
        except httpx.TransportError:
            if time.monotonic() - heard > patience:
                raise
        time.sleep(pause)


def _events(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Events of a stream (WHATWG HTML, server-sent events) as this service writes them: one line of data each."""
    fields: dict[str, str] = {}
    for line in lines:
        if not line and "data" in fields:
            yield {
                "position": int(fields["id"]),
                "kind": fields["event"],
                "data": json.loads(fields["data"]),
            }
        if not line:
            fields = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
