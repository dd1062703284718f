"""Measure the portfolio on a running service: its workers, on however many machines, do what `building` does on one.

Every dataset is uploaded once and deleted in the end. What has been uploaded and begun is noted beside the parts, so that
a build that was killed collects what the service measured meanwhile, and goes on.
"""

import json
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

import httpx

from app.client import ENDED, Client, ProblemError
from app.metalearning.portfolio import Configuration, find_configuration
from workers.experiments import evaluation
from workers.experiments.calibration import probe_seconds
from workers.training.building import BATCH, Batch, missing_batches, only_builder
from workers.training.estimating import bar_of
from workers.training.parts import Facts, Part, fetched, not_applicable, read_facts
from workers.training.sources import read_inventory

Answer = TypeVar("Answer")
Tell = Callable[[Configuration], None]

MOST_IN_FLIGHT = 16  # jobs; a service with more workers than their experiments takes several builders
_JOB_SECONDS = 86_400.0
_LONGEST_PAUSE = 5.0
_OUTAGE_SECONDS = 600.0


class AnotherPortfolioError(Exception):
    """The service measures a pipeline that is not this project's."""


def build(folder: Path, parts: Path, url: str, known: list[dict[str, Any]], *, gpu: bool = False) -> int:
    """Measure on the service at `url` every configuration on every dataset; return the number of cells that it measured.

    Breadth first, as on one machine, and into the same parts.

    Args:
        folder: datasets with their inventory.
        parts: takes `<dataset>.parquet`, rewritten after every cell; a second run goes on where this one ended.
        url: of the service.
        known: evaluations that need no measuring again (the shipped ones).
        gpu: whether the service has workers with a GPU.

    Raises: ProblemError, AnotherPortfolioError, httpx.TransportError where the service stays away for ten minutes.
    """
    with only_builder(parts), Client(url) as client, bar_of(known) as bar:
        if not client.ready():
            sys.exit(f"No service is ready at {url}.")
        service = _Service(client, _Ledger(parts / ".service.json", url), probe_seconds(), gpu=gpu)
        service.collect({source.name: Part(source, parts) for source in read_inventory(folder)})
        batches = missing_batches(folder, parts, known, BATCH, gpu=gpu)
        bar.begin([each for batch in batches for each in batch.configurations])
        with ThreadPoolExecutor(MOST_IN_FLIGHT) as pool:
            measured = sum(pool.map(lambda batch: service.measure(batch, bar.advance), batches))
        service.leave()
        return measured


class _Ledger:
    """What this build has at a service: datasets by name, and the datasets of jobs that have not been fetched."""

    def __init__(self, file: Path, url: str) -> None:
        noted: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
        here = noted if noted.get("url") == url else {}
        self.datasets: dict[str, str] = here.get("datasets", {})
        self.jobs: dict[str, str] = here.get("jobs", {})
        self._file, self._url = file, url
        self._lock = threading.Lock()

    def note(self, change: Callable[[], object]) -> None:
        """Make the change, and write it down."""
        with self._lock:
            change()
            facts = {"url": self._url, "datasets": self.datasets, "jobs": self.jobs}
            writing = self._file.with_suffix(".writing")
            writing.write_text(json.dumps(facts))
            writing.replace(self._file)

    def forget(self) -> None:
        """Remove the note: nothing of this build is left at the service."""
        self._file.unlink(missing_ok=True)


class _Service:
    """Where batches are measured: as jobs of a service."""

    def __init__(self, client: Client, ledger: _Ledger, own_probe: float, *, gpu: bool) -> None:
        self._client = client
        # A cell without scores has no times to compare: where no worker could tell its probe, the builder's stands there.
        self._own_probe = own_probe
        self._ledger = ledger
        self._gpu = gpu
        self._facts: dict[str, Facts] = {}

    def collect(self, parts: dict[str, Part]) -> None:
        """Fetch what an earlier build began and did not live to see."""
        for job_id, name in list(self._ledger.jobs.items()):
            part = parts[name]
            try:
                self._follow(job_id, part, self._read(part), lambda _: None)
            except ProblemError as problem:
                if problem.code != "job_not_found":
                    raise
                self._ledger.note(partial(self._ledger.jobs.pop, job_id))

    def measure(self, batch: Batch, tell: Tell) -> int:
        """Measure a batch as one job; return how many cells were stored."""
        part = batch.part
        with part.reading:
            facts = self._read(part)
            dataset_id = self._uploaded(part)
        applicable = []
        for each in batch.configurations:
            reason = evaluation.why_not(each, facts.size, gpu=self._gpu)
            if reason is None:
                applicable.append(each.id)
            else:
                part.store(facts, each, not_applicable(reason, self._own_probe))
                tell(each)
        left_out = len(batch.configurations) - len(applicable)
        if not applicable:
            return left_out
        job = _insist(lambda: self._client.measure(dataset_id, applicable, time_budget_seconds=_JOB_SECONDS))
        self._ledger.note(lambda: self._ledger.jobs.update({job["id"]: part.source.name}))
        return left_out + self._follow(job["id"], part, facts, tell)

    def leave(self) -> None:
        """Delete the datasets."""
        for dataset_id in self._ledger.datasets.values():
            try:
                _insist(partial(self._client.delete_dataset, dataset_id))
            except ProblemError as problem:
                if problem.code != "dataset_not_found":
                    raise
        self._ledger.forget()

    def _read(self, part: Part) -> Facts:
        if part.source.name not in self._facts:
            self._facts[part.source.name] = read_facts(part.source)[1]
        return self._facts[part.source.name]

    def _uploaded(self, part: Part) -> str:
        """The dataset's id at the service, where it is uploaded once."""
        source = part.source
        if source.name not in self._ledger.datasets or not self._has(self._ledger.datasets[source.name]):
            dataset = _insist(
                lambda: self._client.upload(
                    source.path,
                    target=source.target,
                    task_type=str(source.task_type),
                    name=source.name,
                    contribute=False,
                )
            )
            self._ledger.note(lambda: self._ledger.datasets.update({source.name: dataset["id"]}))
        return self._ledger.datasets[source.name]

    def _has(self, dataset_id: str) -> bool:
        try:
            _insist(lambda: self._client.dataset(dataset_id))
        except ProblemError as problem:
            if problem.code != "dataset_not_found":
                raise
            return False
        return True

    def _follow(self, job_id: str, part: Part, facts: Facts, tell: Tell) -> int:
        """Store what the job measures as it comes, until the job has ended; return how many cells that were."""
        pause, stored = 0.2, 0
        while True:
            job = _insist(lambda: self._client.job(job_id))
            for found in _insist(lambda: list(self._client.evaluations(job_id))):
                configuration = find_configuration(found["configuration"])
                if found["fingerprint"] != configuration.fingerprint:
                    raise AnotherPortfolioError(
                        f"{configuration.id} is another pipeline at the service: its version is not this one's."
                    )
                if not part.holds(configuration):
                    part.store(facts, configuration, fetched(found, self._own_probe))
                    tell(configuration)
                    stored += 1
            if job["status"] in ENDED:
                self._ledger.note(partial(self._ledger.jobs.pop, job_id))
                return stored
            time.sleep(pause)
            pause = min(_LONGEST_PAUSE, 1.3 * pause)


def _insist(ask: Callable[[], Answer]) -> Answer:
    """Ask again while the service is away or overloaded: a restart must not end a build of many hours."""
    deadline = time.monotonic() + _OUTAGE_SECONDS
    while True:
        try:
            return ask()
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise
        except ProblemError as problem:
            overloaded = problem.problem.get("status") == HTTPStatus.SERVICE_UNAVAILABLE
            if not overloaded or time.monotonic() > deadline:
                raise
        time.sleep(1.0)
