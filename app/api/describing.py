"""Uploads: read and described in one-shot limited children of a forkserver that stands beside the API."""

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import structlog

from app import isolation
from app.api.problems import unexpected_error
from app.config import Settings
from app.confinement import KernelLimits
from app.errors import OverloadedError, ServiceError, TooLargeDatasetError, UnreadableFileError, from_dict
from app.isolation import Child, Limits
from app.metalearning.columns.declared import Declaration
from app.store.ids import new_id

log = structlog.get_logger(__name__)

_FUNCTION = "app.metalearning.description:describe_upload"
_WAIT_SECONDS = 5.0
_MOST_WAITING = 8  # every one of them holds a thread that answers others meanwhile
_DESCRIPTORS = 64
_ABANDONED_SECONDS = 3600.0
_WORDS_FOR_LIMIT = {
    "wall_seconds": "{:g} seconds of time",
    "cpu_seconds": "{:g} seconds of CPU time",
    "memory_bytes": "{:,} bytes of memory",
    "file_bytes": "{:,} bytes on disk",
}


@dataclass(frozen=True)
class Description:
    """A described upload: the typed table as a Parquet file, and all that is known about it as JSON."""

    file: Path
    facts: dict[str, Any]


# What a child imports on its way, so that it finds it there; pyarrow imports pandas where that is installed.
_LIBRARIES = (
    "pandas",
    "scipy.stats",
    "sklearn.discriminant_analysis",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "sklearn.metrics",
    "sklearn.naive_bayes",
    "sklearn.neighbors",
    "sklearn.tree",
)


class Describer:
    """Runs at most one child per core; who has to wait too long is told to come back."""

    def __init__(self, settings: Settings) -> None:
        isolation.preload("app.metalearning.description", *_LIBRARIES)
        self._settings = settings
        cores = os.cpu_count() or 1
        self._slots = threading.BoundedSemaphore(cores)
        self._places = threading.BoundedSemaphore(cores + _MOST_WAITING)

    def warm_up(self) -> None:
        """Have the forkserver load its libraries before the first upload waits for them."""
        try:
            isolation.warm_up()
        except (OSError, EOFError):  # then it is the first upload that waits
            log.exception("could_not_start_children")

    @contextmanager
    def describe(self, upload: BinaryIO, declared: Declaration) -> Iterator[Description]:
        """Read and describe an upload; its files live as long as the context.

        Raises: subclasses of UnusableDatasetError, OverloadedError.
        """
        folder = self._settings.scratch_dir / new_id("upload")
        with self._slot():
            self._clear_abandoned()
            try:
                folder.mkdir(parents=True)
                with (folder / "upload").open("wb") as file:
                    shutil.copyfileobj(upload, file, 1 << 20)
                facts = self._run(folder, declared)
                yield Description(folder / "table.parquet", facts)
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def _clear_abandoned(self) -> None:
        """Remove what an API process that died left here: workers may have another disk."""
        long_ago = time.time() - _ABANDONED_SECONDS - self._settings.read_seconds
        for folder in self._settings.scratch_dir.glob("upload_*"):
            with suppress(FileNotFoundError):  # somebody else was faster
                if folder.stat().st_mtime < long_ago:
                    shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def _slot(self) -> Iterator[None]:
        overloaded = OverloadedError("Every slot for reading uploads is taken.", "Try again in a moment.")
        if not self._places.acquire(blocking=False):
            raise overloaded
        try:
            if not self._slots.acquire(timeout=_WAIT_SECONDS):
                raise overloaded
            try:
                yield
            finally:
                self._slots.release()
        finally:
            self._places.release()

    def _run(self, folder: Path, declared: Declaration) -> dict[str, Any]:
        payload = {
            "folder": str(folder),
            "declared": asdict(declared),
            "landmarking_seconds": self._settings.landmarking_seconds,
        }
        outcome = Child(_FUNCTION, payload, folder, self._limits()).run()
        if outcome.value is not None:
            return outcome.value
        if outcome.error is not None:
            raise self._told(from_dict(outcome.error))
        if outcome.limit:
            raise self._too_large(outcome.limit)
        log.warning(
            "reader_crashed", exit=outcome.log_tail.rpartition("\n")[2]
        )  # the rest may quote the file
        raise UnreadableFileError(
            "The file could not be read: the reader crashed on it.", "Write it again, as CSV."
        )

    @staticmethod
    def _told(error: ServiceError) -> ServiceError:
        """The error as the client is told of it. A defect's message likes to quote cells, so no log has it."""
        if error.code == ServiceError.code:
            log.error("description_failed", trace=error.evidence.get("trace"))
            return unexpected_error()
        if error.status >= 500:
            log.error("description_failed", code=error.code, detail=error.detail)
        return error

    def _limits(self) -> Limits:
        settings = self._settings
        return Limits(
            settings.read_seconds,
            settings.memory_bytes,
            kernel=KernelLimits(
                cpu_seconds=settings.read_cpu_seconds,
                # Allocators reserve some memory that is never resident, so the kernel counts with a margin.
                data_bytes=settings.memory_bytes + settings.memory_bytes // 4,
                file_bytes=settings.table_bytes,
                descriptors=_DESCRIPTORS,
            ),
        )

    def _too_large(self, limit: str) -> TooLargeDatasetError:
        most = {
            "wall_seconds": self._settings.read_seconds,
            "cpu_seconds": self._settings.read_cpu_seconds,
            "memory_bytes": self._settings.memory_bytes,
            "file_bytes": self._settings.table_bytes,
        }[limit]
        return TooLargeDatasetError(
            f"Reading the file takes more than {_WORDS_FOR_LIMIT[limit].format(most)}.",
            "Send a sample of the rows, or fewer columns.",
            limit=limit,
            most=most,
        )
