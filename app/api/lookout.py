"""Looking out for changes of jobs on behalf of everybody who waits for one."""

import asyncio
import contextvars
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

import structlog
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from app.store import events
from app.store.database import Database, cause_of

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 0.25


@dataclass(frozen=True)
class _Watcher:
    version: int
    has_changed: asyncio.Future[bool]


class Lookout:
    """One short query every quarter second, however many wait; nobody holds a thread or a connection meanwhile.

    The number of those who wait is limited. All of them are let go as soon as the process is told to stop, since the server
    waits for their answers before it ends.
    """

    def __init__(self, database: Database, most_watchers: int) -> None:
        self.is_stopping = False
        self.taken = 0
        self._most = most_watchers
        self._database = database
        self._watchers: dict[str, list[_Watcher]] = {}
        self._looking: asyncio.Task[None] | None = None

    @contextmanager
    def place(self) -> Iterator[bool]:
        """A place among those who wait; false where all are taken."""
        is_free = self.taken < self._most
        self.taken += is_free
        try:
            yield is_free
        finally:
            self.taken -= is_free

    async def left(self, job_id: str, version: int, seconds: float) -> bool:
        """Wait until the job has left this version; false once the time is over or the process is to stop."""
        if self.is_stopping:
            return False
        watcher = _Watcher(version, asyncio.get_running_loop().create_future())
        self._watchers.setdefault(job_id, []).append(watcher)
        if self._looking is None or self._looking.done():
            # In a context of its own: it looks for all, and its log lines belong to no single request.
            self._looking = asyncio.create_task(self._look(), context=contextvars.Context())
        try:
            async with asyncio.timeout(seconds):
                return await watcher.has_changed
        except TimeoutError:
            return False
        finally:
            self._watchers[job_id].remove(watcher)
            if not self._watchers[job_id]:
                del self._watchers[job_id]

    @contextmanager
    def stopped_by_signals(self) -> Iterator[None]:
        """Let everybody go when the process is told to stop, then do what the server does about the signal.

        The server itself tells the application only after the last answer has ended.
        """
        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread hears signals
            return
        loop = asyncio.get_running_loop()
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

        def stop(number: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(self.stop)
            then = before[signal.Signals(number)]
            if callable(then):
                then(number, frame)

        replaced = [number for number, then in before.items() if callable(then)]
        for number in replaced:
            signal.signal(number, stop)
        try:
            yield
        finally:
            for number in replaced:
                signal.signal(number, before[number])

    def stop(self) -> None:
        """Let everybody go, and nobody wait any more."""
        self.is_stopping = True
        for watcher in [each for watchers in self._watchers.values() for each in watchers]:
            if not watcher.has_changed.done():
                watcher.has_changed.set_result(False)

    async def _look(self) -> None:
        while self._watchers:
            try:
                versions = await run_in_threadpool(self._versions, list(self._watchers))
            except SQLAlchemyError as error:
                log.warning("could_not_look_out", error=cause_of(error))
                versions = {}
            for job_id, version in versions.items():
                for watcher in self._watchers.get(job_id, ()):
                    if version != watcher.version and not watcher.has_changed.done():
                        watcher.has_changed.set_result(True)
            await asyncio.sleep(_LOOK_SECONDS)

    def _versions(self, job_ids: list[str]) -> dict[str, int]:
        with self._database.read() as session:
            return events.versions(session, job_ids)
