"""`Idempotency-Key`: a request that creates something is carried out once, however often it is sent.

Requests are the same if they have the same method, path and fields, and in a form the same file. Only success is recorded: a
request that was refused or failed created nothing, and gives its key back.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

import structlog
from fastapi import Depends, Header, Request, Response
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.api.dependencies import Owner, ServiceDep, WriteSession
from app.api.schemas import RequestModel, ResponseModel
from app.api.uploads import Upload
from app.config import Settings
from app.failpoints import Step
from app.store import idempotency
from app.store.database import commit
from app.store.idempotency import Answer, Held

log = structlog.get_logger(__name__)

# How long a claim holds if the process dies: a little more than the request may take.
_SECONDS = 30.0
_REPLAYED_HEADERS = ("Location", "Retry-After")


@dataclass(frozen=True)
class Attempt:
    """A request that is carried out now, or the answer that it had before."""

    session: Session
    held: Held | None = None
    replay: Response | None = None

    def record(self, answer: Response, about: str | None) -> Response:
        """Keep the answer, in the transaction that creates what it tells of; the caller commits.

        Args:
            answer: what the client is going to be sent.
            about: id of the dataset or meta-dataset that it quotes and is to be erased with.

        Raises: IdempotencyInFlightError.
        """
        if self.held is not None:
            headers = {name: answer.headers[name] for name in _REPLAYED_HEADERS if name in answer.headers}
            kept = Answer(answer.status_code, headers, bytes(answer.body))
            idempotency.record(self.session, self.held, kept, about)
        return answer


@dataclass(frozen=True)
class Once:
    """Lets a request happen once per key. Without a key it happens every time."""

    request: Request
    settings: Settings
    session: Session
    owner: str
    key: str | None

    @contextmanager
    def __call__(self, asked: RequestModel | Upload) -> Iterator[Attempt]:
        """Claim the key for what is asked; whatever fails inside gives it back.

        Raises: IdempotencyInFlightError, IdempotencyMismatchError, AnswerErasedError.
        """
        if self.key is None:
            yield Attempt(self.session)
            return
        seconds = _SECONDS + (self.settings.read_seconds if isinstance(asked, Upload) else 0.0)
        found = idempotency.claim(self.session, self.owner, self.key, self._fingerprint(asked), seconds)
        commit(self.session, Step.CLAIM_KEY)
        if isinstance(found, Answer):
            yield Attempt(self.session, replay=_replay(found))
            return
        try:
            yield Attempt(self.session, held=found)
        except BaseException:
            self._release(found)
            raise

    def _fingerprint(self, asked: RequestModel | Upload) -> str:
        fields = (asked.form if isinstance(asked, Upload) else asked).model_dump(mode="json")
        file = [asked.name, _digest(asked)] if isinstance(asked, Upload) else []
        same = [self.request.method, self.request.url.path, fields, file]
        return hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()

    def _release(self, held: Held) -> None:
        try:
            self.session.rollback()
            idempotency.release(self.session, held)
            commit(self.session, Step.RELEASE_KEY)
        except SQLAlchemyError:  # the database is away: the claim ends by itself
            log.warning("idempotency_key_not_released", exc_info=True)


def as_answer(body: ResponseModel, status: int) -> Response:
    """The answer as the bytes that are sent, and sent again."""
    return Response(body.model_dump_json(), status, media_type="application/json")


async def _once(
    request: Request,
    service: ServiceDep,
    session: WriteSession,
    owner: Owner,
    key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            pattern="^[ -~]{1,255}$",
            description="1 to 255 printable ASCII characters, new for every request and the same for its repeats: "
            "a repeat within 24 hours has the first one's answer, marked `Idempotency-Replayed: true`.",
        ),
    ] = None,
) -> Once:
    return Once(request, service.settings, session, owner, key)


OnceDep = Annotated[Once, Depends(_once)]


def _digest(upload: Upload) -> str:
    """The SHA-256 of the spooled file, read in pieces."""
    upload.file.seek(0)
    digest = hashlib.file_digest(upload.file, "sha256").hexdigest()  # type: ignore[arg-type]  # it is a BufferedIOBase
    upload.file.seek(0)
    return digest


def _replay(answer: Answer) -> Response:
    headers = {**answer.headers, "Idempotency-Replayed": "true"}
    return Response(answer.body, answer.status, headers, media_type="application/json")
