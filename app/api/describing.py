"""Uploads: read and described in one-shot limited children of a forkserver that stands beside the API."""

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import structlog

from app import isolation
from app.config import Settings
from app.errors import OverloadedError, TooLargeDatasetError, UnreadableFileError, from_dict
from app.isolation import Child, Ending, Limits
from app.metalearning.columns import Declaration
from app.store.database import new_id

log = structlog.get_logger(__name__)

_WAIT_SECONDS = 5.0


@dataclass(frozen=True)
class Description:
    """A described upload: the typed table as a Parquet file, and all that is known about it as JSON."""

    file: Path
    facts: dict[str, Any]


class Describer:
    """Runs at most one child per core; who has to wait too long is told to come back."""

    def __init__(self, settings: Settings) -> None:
        isolation.preload("app.metalearning.description", "sklearn.ensemble", "sklearn.neighbors")
        self._settings = settings
        self._slots = threading.BoundedSemaphore(os.cpu_count() or 1)

    def warm_up(self) -> None:
        """Have the forkserver load its libraries before the first upload waits for them."""
        isolation.warm_up()

    @contextmanager
    def describe(self, upload: BinaryIO, declared: Declaration) -> Iterator[Description]:
        """Read and describe an upload; its files live as long as the context.

        Raises: subclasses of UnusableDatasetError, OverloadedError.
        """
        if not self._slots.acquire(timeout=_WAIT_SECONDS):
            raise OverloadedError("Every slot for reading uploads is taken.", "Try again in a moment.")
        folder = self._settings.scratch_dir / new_id("upload")
        try:
            folder.mkdir(parents=True)
            with (folder / "upload").open("wb") as file:
                shutil.copyfileobj(upload, file, 1 << 20)
            facts = self._run(folder, declared)
            yield Description(folder / "table.parquet", facts)
        finally:
            self._slots.release()
            shutil.rmtree(folder, ignore_errors=True)

    def _run(self, folder: Path, declared: Declaration) -> dict[str, Any]:
        payload = {
            "folder": str(folder),
            "declared": asdict(declared),
            "landmarking_seconds": self._settings.landmarking_seconds,
        }
        limits = Limits(self._settings.read_seconds, self._settings.memory_bytes)
        outcome = Child("app.metalearning.description:describe_upload", payload, folder, limits).run()
        if outcome.value is not None:
            return outcome.value
        if outcome.error is not None:
            error = from_dict(outcome.error)
            if error.status >= 500:
                log.error("description_failed", detail=error.detail, log=outcome.log_tail)
            raise error
        if outcome.ending in (Ending.TIMEOUT, Ending.MEMORY):
            raise TooLargeDatasetError(
                f"Reading the file took more than its share of {outcome.ending.replace('timeout', 'time')}.",
                "Send a sample of the rows, or fewer columns.",
            )
        raise UnreadableFileError(
            "The file could not be read: the reader crashed on it.", "Write it again, as CSV."
        )
