"""What happens to a worker outside of any transaction: counted in memory, until the reconciler's next transaction adds it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from app.store.counters import Counted, Counts


class Tally:
    """One worker's counts that no transaction has added yet, as far as it knows.

    They are lost if the worker is killed, and added twice if a commit came through and its answer did not.
    """

    def __init__(self) -> None:
        self._counts = Counts()
        self._lock = threading.Lock()

    def note(self, what: Counted, *labels: str) -> None:
        """Count one more."""
        with self._lock:
            self._counts[(what, *labels)] += 1

    @contextmanager
    def taken(self) -> Iterator[Counts]:
        """What was noted so far, for the caller to add and commit; where that fails it is kept for the next time."""
        with self._lock:
            counts, self._counts = self._counts, Counts()
        try:
            yield counts
        except BaseException:
            with self._lock:
                self._counts += counts
            raise
