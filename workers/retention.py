"""Data whose time is over: datasets and idempotency keys expire, and a worker's copies go with their rows.

Every worker looks, at the pace of the reconciler; the database decides who erases, once.
"""

import shutil
import time
from pathlib import Path

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.config import Settings
from app.failpoints import Step
from app.store import blobs, datasets, deliveries, idempotency, predictions, tasks
from app.store.database import Database, commit
from workers import scratch
from workers.experiments.calibration import PROBE_FILE

log = structlog.get_logger(__name__)

_ABANDONED_SECONDS = 3600.0


def erase_expired(database: Database, retention_days: float) -> None:
    """Erase what has had its time: idempotency keys, old deliveries and predictions, and datasets that no job needs, each in a transaction of its own."""
    with database.write() as session:
        idempotency.forget_expired(session)
        commit(session, Step.FORGET_KEYS)
    with database.write() as session:
        deliveries.forget_old(session)
        commit(session, Step.FORGET_DELIVERIES)
    with database.write() as session:
        predictions.forget_old(session)
        commit(session, Step.FORGET_PREDICTIONS)
    with database.read() as session:
        due = datasets.due_to_expire(session, retention_days)
    for dataset_id in due:
        try:
            with database.write() as session:
                erased = datasets.expire(session, dataset_id, retention_days)
                commit(session, Step.EXPIRE_DATASET)
        except SQLAlchemyError:
            log.exception("dataset_not_erased", dataset=dataset_id)  # the others need not wait for it
        else:
            if erased:
                log.info("dataset_expired", dataset=dataset_id)


def remove_copies(database: Database, settings: Settings) -> None:
    """Remove from this worker's disk what the database no longer holds, and what a killed process left there."""
    _empty_cache(database, settings.cache_dir)
    _empty_scratch(database, settings.scratch_dir, _ABANDONED_SECONDS + settings.read_seconds)


def _empty_cache(database: Database, cache_dir: Path) -> None:
    # The files first: one that appears after the question was asked is left alone.
    cached = _entries(cache_dir)
    if not cached:
        return
    with database.read() as session:
        stored = blobs.stored(session, cached)
    for name in cached.keys() - stored:
        if not name.startswith(blobs.FETCHING) or _is_older(cached[name], _ABANDONED_SECONDS):
            cached[name].unlink(missing_ok=True)


def _empty_scratch(database: Database, scratch_dir: Path, seconds: float) -> None:
    abandoned = {
        name: path
        for name, path in _entries(scratch_dir).items()
        if name != PROBE_FILE and _is_older(path, seconds)
    }
    if not abandoned:
        return
    with database.read() as session:
        in_use = scratch.names(tasks.running(session))
    for name in abandoned.keys() - in_use:
        if abandoned[name].is_dir():
            shutil.rmtree(abandoned[name], ignore_errors=True)
        else:  # a probe that was never finished
            abandoned[name].unlink(missing_ok=True)


def _entries(folder: Path) -> dict[str, Path]:
    return {path.name: path for path in folder.iterdir()} if folder.is_dir() else {}


def _is_older(path: Path, seconds: float) -> bool:
    try:
        return time.time() - path.stat().st_mtime > seconds
    except FileNotFoundError:  # somebody else was faster
        return False
