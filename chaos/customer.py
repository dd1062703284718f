"""A customer: asks again under the same key until there is an answer, as the Python client does."""

import time
import uuid
from typing import Any

import httpx

from chaos.service import OPERATOR_KEY, Service

_PAUSE_SECONDS = 0.2
_AGAIN = "database_unavailable", "idempotency_in_flight"


def ask(
    service: Service, method: str, path: str, patience_seconds: float = 240.0, **request: Any
) -> tuple[httpx.Response, int]:
    """The answer, and how often it took asking.

    Args:
        service: whom to ask.
        method: of the request.
        path: of the request, with its query.
        patience_seconds: after so long nobody asks again.
        request: what else httpx takes.

    Raises: TimeoutError where nobody answers.
    """
    headers = {"Authorization": f"Bearer {OPERATOR_KEY}"}
    headers |= {"Idempotency-Key": str(uuid.uuid4())} if method == "POST" else {}
    deadline, times = time.monotonic() + patience_seconds, 0
    while time.monotonic() < deadline:
        times += 1
        try:
            response = service.http.request(method, path, headers=headers, **request)
        except httpx.TransportError:  # it may have been done nevertheless
            time.sleep(_PAUSE_SECONDS)
            continue
        if response.is_success or _code(response) not in _AGAIN:
            return response, times
        time.sleep(_PAUSE_SECONDS)
    raise TimeoutError(f"Nobody answered {method} {path} for {patience_seconds:g} s.")


def _code(response: httpx.Response) -> str | None:
    """What the API calls the problem; None where it was not the API that answered, or it could not even say so."""
    try:
        problem = response.json()
    except ValueError:
        return None
    return problem.get("code") if isinstance(problem, dict) else None
