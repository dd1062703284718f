"""The whole system's metrics, read from the database whenever somebody asks: every API process shows the same."""

import asyncio
import contextvars
from collections.abc import Iterator, Mapping
from itertools import product
from typing import TypeVar

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from app.isolation import Ending
from app.store import figures, jobs, tables
from app.store.counters import AttemptEnding, Counted
from app.store.database import Database, cause_of
from app.store.figures import Figures

log = structlog.get_logger(__name__)

_SECONDS = 3.0  # how long a database may take; whoever scrapes waits 10 s, and wants to hear that it is away
_KINDS = ("experiment", "proposing", "stacking", "retraining", "predicting", "adapting")
_QUEUES = ("cpu", "gpu")
_JOBS = tables.KINDS
_STATUSES = (*jobs.ACTIVE, "succeeded", "failed", "cancelled")
_RESULTS = (Ending.OK, Ending.ERROR, Ending.TIMEOUT, Ending.MEMORY, Ending.FILE_SIZE)

Labels = Mapping[str, tuple[str, ...]]  # the values that there are of each
Found = Mapping[tuple[str, ...], float]
_Family = TypeVar("_Family", CounterMetricFamily, GaugeMetricFamily)

_COUNTED: dict[Counted, tuple[str, Labels]] = {
    Counted.ATTEMPTS: (
        "Attempts at tasks that ended.",
        {"kind": _KINDS, "ending": (*_RESULTS, *AttemptEnding)},
    ),
    Counted.GIVEN_UP: (
        "Tasks that were given up after too many attempts.",
        {"kind": _KINDS, "reason": ("failures", "lost")},
    ),
    Counted.CHILD_EXITS: ("Processes of tasks that ended.", {"kind": _KINDS, "ending": tuple(Ending)}),
    Counted.LEASE_LOSSES: (
        "Leases that a living worker lost.",
        {"reason": ("taken_back", "not_renewed")},
    ),
}


class System:
    """Reads the figures, one reader at a time: whoever asks meanwhile is told the same."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._reading: asyncio.Task[Figures | None] | None = None

    async def registry(self) -> CollectorRegistry:
        """The metrics of this moment; while the database is away or slow, only that it is."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Moment(await self._figures()))
        return registry

    async def _figures(self) -> Figures | None:
        if self._reading is None or self._reading.done():
            # In a context of its own, since it belongs to no single request.
            self._reading = asyncio.create_task(self._read(), context=contextvars.Context())
        try:
            return await asyncio.wait_for(asyncio.shield(self._reading), _SECONDS)
        except TimeoutError:
            return None

    async def _read(self) -> Figures | None:
        try:
            return await run_in_threadpool(self._read_now)
        except SQLAlchemyError as error:
            log.warning("no_figures", error=cause_of(error))
            return None

    def _read_now(self) -> Figures:
        with self._database.read() as session:
            return figures.read(session)


class _Moment(Collector):
    """The figures as metrics; what there is none of shows as zero, so that its first increase is seen."""

    def __init__(self, figures: Figures | None) -> None:
        self._figures = figures

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        """All of them."""
        now = self._figures
        yield GaugeMetricFamily(
            "metaselect_database_up", "Whether the database told the figures below.", value=now is not None
        )
        if now is None:
            return
        of_queue: Labels = {"queue": _QUEUES}
        waiting: Labels = {"queue": _QUEUES, "status": jobs.UNFINISHED}
        oldest = "Age of the oldest task that waits."
        yield _gauge("jobs", "Jobs.", {"kind": _JOBS, "status": _STATUSES}, now.jobs)
        yield _gauge("tasks", "Tasks that wait or run.", waiting, now.tasks)
        yield _gauge("oldest_queued_seconds", oldest, of_queue, now.oldest_queued_seconds)
        yield _gauge("workers", "Workers seen lately.", of_queue, now.workers)
        yield _gauge("slots", "Children that these workers run at most.", of_queue, now.slots)
        for what, (words, labels) in _COUNTED.items():
            counted = {tuple(values): n for (name, *values), n in now.counts.items() if name == what}
            yield _filled(
                CounterMetricFamily(f"metaselect_{what}", words, labels=list(labels)), labels, counted
            )


def _gauge(name: str, words: str, labels: Labels, found: Found) -> GaugeMetricFamily:
    return _filled(GaugeMetricFamily(f"metaselect_{name}", words, labels=list(labels)), labels, found)


def _filled(family: _Family, labels: Labels, found: Found) -> _Family:
    for values in sorted({*product(*labels.values()), *found}):
        family.add_metric(values, found.get(values, 0.0))
    return family
