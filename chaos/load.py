"""Jobs that keep the service busy while something happens to it; whoever submits them knows what was accepted."""

import io
import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sklearn.datasets import make_classification
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from app.store import jobs
from app.store.tables import Job
from chaos.customer import ask
from chaos.service import Service
from tests.deployments import wait_until

# Measured in some tenths of a second on a dataset of 60 rows.
QUICK = ("clf-gaussian_nb-default", "clf-lda-shrunk")
BUDGET_SECONDS = 7200.0  # never what ends a job here
# Computed for some ten seconds on that many random rows and columns.
LONG = "clf-catboost-300"
LONG_ROWS, LONG_COLUMNS = 5000, 60
_ACCEPTED_SECONDS = 300.0
_MOST_ERRORS = 20
_VERIFICATION_EVERY = 60  # jobs: a verification also stacks and leaves a model, but costs much more


@dataclass
class Load:
    """Submits jobs one after another so that `outstanding` of them have not ended."""

    service: Service
    outstanding: int
    dataset_id: str
    configurations: tuple[str, ...] = QUICK
    accepted: set[str] = field(default_factory=set)
    repeated: int = 0  # requests that were sent more than once, since the first answer was none
    errors: list[str] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)

    def submit_until_stopped(self, most: int | None) -> None:
        """Runs in a thread of its own."""
        requests = itertools.count()
        while not self._is_over(most):
            if self._is_enough():
                self._stopping.wait(0.1)
                continue
            self.submit(next(requests))

    def submit(self, number: int) -> None:
        """Begin one more job, or keep the error: whatever it is, the oracle objects to it."""
        try:
            self.accepted.add(self._submit(number))
        except Exception as error:  # noqa: BLE001  a load that ends silently would let everything pass
            self.errors.append(repr(error))

    def stop(self) -> None:
        """Submit nothing more."""
        self._stopping.set()

    def wait_until_accepted(self, number: int) -> None:
        """Wait until so many jobs were accepted."""
        wait_until(
            lambda: len(self.accepted) >= number or len(self.errors) >= _MOST_ERRORS,
            _ACCEPTED_SECONDS,
            every=0.1,
        )

    def wait_for_end(self, seconds: float) -> None:
        """Wait until every job has ended."""
        wait_until(lambda: self._unfinished() == 0, seconds, every=0.1)

    def _submit(self, number: int) -> str:
        """Ask under the same key until there is an answer, for an unknown one may have been yes."""
        is_verification = number % _VERIFICATION_EVERY == _VERIFICATION_EVERY - 1
        chosen = self.configurations[number % len(self.configurations)]
        body: dict[str, Any] = {
            "kind": "verification" if is_verification else "measurement",
            "dataset_id": self.dataset_id,
            "configurations": self.configurations[:2] if is_verification else [chosen],
            "time_budget_seconds": BUDGET_SECONDS,
        }
        if is_verification:
            body["stop_early"] = False  # what was given up would be no evaluation, and the oracle counts them
        response, times = ask(self.service, "POST", "/jobs", json=body)
        job_id: str = response.raise_for_status().json()["id"]
        self.repeated += times > 1
        return job_id

    def _is_over(self, most: int | None) -> bool:
        enough = most is not None and len(self.accepted) >= most
        return self._stopping.is_set() or enough or len(self.errors) >= _MOST_ERRORS

    def _is_enough(self) -> bool:
        """Whether nothing more is to be submitted for now; while the database cannot tell, requests must meet that."""
        try:
            return self._unfinished() >= self.outstanding
        except SQLAlchemyError:
            return False

    def _unfinished(self) -> int:
        with self.service.database.read() as session:
            count = select(func.count()).where(Job.status.in_(jobs.ACTIVE))
            return session.scalar(count) or 0


@contextmanager
def load(
    service: Service,
    outstanding: int = 10,
    most: int | None = None,
    rows: int = 60,
    configurations: tuple[str, ...] = QUICK,
) -> Iterator[Load]:
    """Jobs for the service as long as the context lasts, or so many; at its end all of them are waited for.

    The objections of an act go to its report; that jobs do not end is one that cannot wait, and raises.
    """
    submitting = Load(service, outstanding, upload(service, rows), configurations)
    thread = threading.Thread(target=submitting.submit_until_stopped, args=(most,), daemon=True)
    thread.start()
    try:
        yield submitting
        if most is not None:
            thread.join()
    finally:
        submitting.stop()
        thread.join()
    submitting.wait_for_end(60 + 20 * service.lease_seconds)


def measure(service: Service, dataset_id: str, configuration: str) -> str:
    """Begin a job that measures this one configuration; its id."""
    body = {
        "kind": "measurement",
        "dataset_id": dataset_id,
        "configurations": [configuration],
        "time_budget_seconds": BUDGET_SECONDS,
    }
    response, _ = ask(service, "POST", "/jobs", json=body)
    job_id: str = response.raise_for_status().json()["id"]
    return job_id


def upload(service: Service, rows: int = 60, columns: int = 4, seed: int = 0) -> str:
    """A dataset of so many random rows; its id."""
    data, target = make_classification(
        rows, columns, n_informative=min(8, columns - 1), n_redundant=0, random_state=seed
    )
    text = io.StringIO()
    print(*(f"x{column}" for column in range(columns)), "y", sep=",", file=text)
    for row, label in zip(data.round(4), target, strict=True):
        print(*row, "no" if label else "yes", sep=",", file=text)
    response, _ = ask(
        service,
        "POST",
        "/datasets",
        files={"file": (f"random_{rows}_{columns}.csv", text.getvalue().encode())},
        data={"target": "y", "task_type": "classification"},
    )
    dataset_id: str = response.raise_for_status().json()["id"]
    return dataset_id
