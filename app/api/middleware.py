"""What every request passes: an id that answers and logs carry, and a watch on the body's bytes and pace."""

import asyncio
import secrets
from typing import Never

import structlog
from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import problem_response
from app.config import Settings
from app.errors import BodyTooLargeError, OverloadedError, RequestTimeoutError, ServiceError


class RequestId:
    """Gives every request an id, in the answer's `X-Request-Id` and in every log line."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        with structlog.contextvars.bound_contextvars(request=request_id):
            await self.app(scope, receive, send_with_id)


class BodyLimit:
    """Refuses a body that has too many bytes or takes too long, before anything is spooled or parsed.

    What counts is what arrives; declared lengths are believed only where they already say too much. The bytes of all
    bodies in progress are limited too, since each may wait on disk.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.settings = settings
        self.bytes_in_progress = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = _Body(self, dict(scope["headers"]), receive)

        async def send_unless_refused(message: Message) -> None:
            """Whatever the application made of a refusal, the client is told the reason itself."""
            if body.refusal is None or body.is_answered:
                body.is_answered = True
                await send(message)

        try:
            if body.refusal is None:
                await self.app(scope, body.receive, send_unless_refused)
        except Exception:
            if body.refusal is None or body.is_answered:
                raise
        finally:
            self.bytes_in_progress -= body.seen
        if body.refusal is not None and not body.is_answered:
            answer = problem_response(Request(scope), body.refusal)
            if isinstance(body.refusal, RequestTimeoutError):
                answer.headers["Connection"] = "close"  # nobody waits for the rest
            await answer(scope, receive, send)


class _Body:
    """One request's body on its way in; `refusal` says why no more of it is taken."""

    def __init__(self, limit: BodyLimit, headers: dict[bytes, bytes], receive: Receive) -> None:
        self._limit, self._settings, self._receive = limit, limit.settings, receive
        self._deadline = asyncio.get_running_loop().time() + self._settings.body_seconds
        self._is_complete = False
        self.is_answered = False
        self.seen = 0
        self.refusal: ServiceError | None = None
        is_upload = headers.get(b"content-type", b"").lower().startswith(b"multipart/form-data")
        self._most_bytes = self._settings.upload_bytes if is_upload else self._settings.json_bytes
        declared = headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > self._most_bytes:
            self.refusal = self._too_large()

    async def receive(self) -> Message:
        """The next piece.

        Raises: BodyTooLargeError, OverloadedError, RequestTimeoutError.
        """
        if self._is_complete or self.is_answered:
            return await self._receive()
        pause_ends = asyncio.get_running_loop().time() + self._settings.idle_seconds
        try:
            async with asyncio.timeout_at(min(pause_ends, self._deadline)):
                message = await self._receive()
        except TimeoutError:
            self._refuse(self._too_slow())
        self._is_complete = not message.get("more_body", False)
        size = len(message.get("body", b""))
        self.seen += size
        self._limit.bytes_in_progress += size
        if self.seen > self._most_bytes:
            self._refuse(self._too_large())
        if self._limit.bytes_in_progress > self._settings.spool_bytes:
            self._refuse(OverloadedError("Too many uploads arrive at once.", "Try again in a moment."))
        return message

    def _refuse(self, refusal: ServiceError) -> Never:
        self.refusal = refusal
        raise refusal

    def _too_large(self) -> ServiceError:
        return BodyTooLargeError(
            f"The body has more than {self._most_bytes:,} bytes.",
            "Send a sample of the rows, Parquet or gzip, or only the metafeatures.",
        )

    def _too_slow(self) -> ServiceError:
        settings = self._settings
        return RequestTimeoutError(
            f"The body paused for {settings.idle_seconds:g} s or took more than {settings.body_seconds:g} s.",
            "Send it again over a steadier connection, or send less.",
        )
