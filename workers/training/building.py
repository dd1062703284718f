"""Measure the portfolio on a folder of datasets: resumable, one file per dataset, nothing measured twice."""

import fcntl
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app import isolation
from app.isolation import Child, Ending
from app.metalearning import protocol
from app.metalearning.portfolio import CONFIGURATIONS, Configuration
from app.metalearning.table import write_table
from workers.experiments import contract, evaluation
from workers.experiments.calibration import PROBE_FILE, recent_probe
from workers.training.estimating import Bar, bar_of
from workers.training.parts import (
    Facts,
    Part,
    ended,
    key,
    measured,
    not_applicable,
    read_facts,
    refused,
    target_facts,
)
from workers.training.sources import Source, load_source, read_inventory

__all__ = ["Source", "build", "load_source", "missing_batches", "read_inventory", "target_facts"]

MEMORY_BYTES = 4 << 30
ORDER_SEED = 7
# So many configurations of a dataset are measured by one child: enough to share what they share, few enough that an
# unfinished build has some configurations on all datasets.
BATCH = 8
_MEASURE = "workers.experiments.evaluation:measure_together"


@dataclass(frozen=True)
class Batch:
    """Configurations to be measured on one dataset, one after another."""

    part: Part
    configurations: tuple[Configuration, ...]


def build(folder: Path, parts: Path, workers: int, known: list[dict[str, Any]]) -> int:
    """Measure every configuration on every dataset of `folder`; return the number of cells that were missing.

    Breadth first: a batch of configurations is measured on all datasets before the next one, cheap ones first, so that
    whatever is done when the time ends is complete for some configurations.

    Args:
        folder: datasets with their inventory.
        parts: takes `<dataset>.parquet`, rewritten after every cell; a second run goes on where this one ended.
        workers: batches measured at the same time, one core each.
        known: evaluations that need no measuring again (the shipped ones).
    """
    isolation.preload("workers.experiments.evaluation", "workers.experiments.warming", *contract.libraries())
    with only_builder(parts), bar_of(known) as bar, ThreadPoolExecutor(workers) as pool:
        batches = missing_batches(folder, parts, known, BATCH, gpu=False)
        bar.begin([each for batch in batches for each in batch.configurations])
        bench = _Bench(parts, bar)
        try:
            list(pool.map(bench.measure, batches))
        finally:
            bench.clear()
        return sum(len(batch.configurations) for batch in batches)


def missing_batches(
    folder: Path, parts: Path, known: list[dict[str, Any]], size: int, *, gpu: bool
) -> list[Batch]:
    """What is neither in the parts nor known, breadth first, in batches of at most `size` configurations.

    Without a GPU what needs one is left for a machine that has it: that says nothing about the datasets.
    """
    sources = read_inventory(folder)
    # A fixed random order, so that an unfinished build is a fair sample of the datasets.
    random.Random(ORDER_SEED).shuffle(sources)  # noqa: S311  order, not secrecy
    part_of = {source.name: Part(source, parts) for source in sources}
    done = {key(row) for part in part_of.values() for row in part.rows} | {key(row) for row in known}
    runnable = [each for each in CONFIGURATIONS.values() if gpu or not each.algorithm.requirements.gpu]
    batches = []
    for start in range(0, len(runnable), size):
        for source in sources:
            fitting = [each for each in runnable if each.task_type is source.task_type]
            missing = tuple(
                each
                for each in fitting[start : start + size]
                if (source.name, each.fingerprint, protocol.PROTOCOL) not in done
            )
            if missing:
                batches.append(Batch(part_of[source.name], missing))
    return batches


@contextmanager
def only_builder(parts: Path) -> Iterator[None]:
    """Hold the folder's lock, so that two builders never measure the same cell."""
    parts.mkdir(parents=True, exist_ok=True)
    with (parts / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit(f"Another builder is measuring into {parts}.")
        yield


class _Bench:
    """Where batches are measured: in child processes of this machine."""

    def __init__(self, parts: Path, bar: Bar) -> None:
        self._scratch = parts / ".scratch"
        self._probe_file = self._scratch / PROBE_FILE
        self._bar = bar
        self._facts: dict[str, Facts] = {}
        self.clear()  # what a killed builder left
        self._scratch.mkdir()

    def clear(self) -> None:
        """Remove what measuring needed beside the parts."""
        shutil.rmtree(self._scratch, ignore_errors=True)

    def measure(self, batch: Batch) -> None:
        """Measure a batch; what ends a child counts for the configuration at which it ended, and the rest goes on."""
        with batch.part.reading:
            facts = self._prepared(batch.part)
        waiting = []
        for each in batch.configurations:
            reason = evaluation.why_not(each, facts.size, gpu=False)
            if reason is None:
                waiting.append(each)
            else:
                found = not_applicable(reason, recent_probe(self._probe_file))
                self._store(batch.part, facts, each, found)
        while waiting:
            self._measure_in_child(batch.part, facts, waiting)

    def _measure_in_child(self, part: Part, facts: Facts, waiting: list[Configuration]) -> None:
        """Measure what waits, and take it off the list, until the child ends."""

        def take(message: dict[str, Any]) -> None:
            if "result" in message:
                self._store(part, facts, waiting.pop(0), measured(message["result"]))
            elif "refusal" in message:
                found = refused(waiting[0], message["refusal"]["detail"], recent_probe(self._probe_file))
                self._store(part, facts, waiting.pop(0), found)

        folder = Path(tempfile.mkdtemp(dir=self._scratch))
        payload = {
            "table": str(self._table(part)),
            "configurations": [each.id for each in waiting],
            "probe_file": str(self._probe_file),
        }
        outcome = Child(_MEASURE, payload, folder, contract.limits(MEMORY_BYTES), on_message=take).run()
        shutil.rmtree(folder, ignore_errors=True)
        if outcome.ending is not Ending.OK and waiting:
            found = ended(waiting[0], outcome, recent_probe(self._probe_file))
            self._store(part, facts, waiting.pop(0), found)

    def _prepared(self, part: Part) -> Facts:
        """What the dataset's cells share; writes its typed table when it is first needed."""
        if part.source.name not in self._facts:
            table, self._facts[part.source.name] = read_facts(part.source)
            write_table(table, self._table(part))
        return self._facts[part.source.name]

    def _table(self, part: Part) -> Path:
        return self._scratch / f"{part.source.name}.parquet"

    def _store(self, part: Part, facts: Facts, configuration: Configuration, found: dict[str, Any]) -> None:
        part.store(facts, configuration, found)
        self._bar.advance(configuration)
