"""How fast this machine is: a fixed piece of work, so that times from different machines can be compared."""

import json
import os
import time
from pathlib import Path

import numpy as np

from app import failpoints
from app.failpoints import Step, disk_full

# The probe's seconds on the machine that others are compared with.
REFERENCE_PROBE_SECONDS = 0.1
PROBE_FILE = "probe.json"
_LASTS_SECONDS = 120.0


def machine_factor(probe_seconds: float) -> float:
    """How many times slower than the reference a machine is: its seconds divided by this are the reference's."""
    return probe_seconds / REFERENCE_PROBE_SECONDS


def recent_probe(file: Path) -> float:
    """The machine's probe, of at most two minutes ago; `file` keeps it for all processes that measure here.

    Taken before and after a cell, it tells how fast the machine was meanwhile, and costs next to nothing.
    """
    kept = _kept(file)
    if kept is None or not 0 <= time.time() - kept["at"] < _LASTS_SECONDS:
        kept = {"at": time.time(), "seconds": probe_seconds()}
        writing = file.with_suffix(f".{os.getpid()}")
        writing.write_text(json.dumps(kept))
        with failpoints.around(Step.KEEP_PROBE, disk_full):
            writing.replace(file)
    return float(kept["seconds"])


def last_probe(file: Path) -> float | None:
    """The machine's last probe, however old; None where there was none."""
    kept = _kept(file)
    return None if kept is None else kept["seconds"]


def probe_seconds(repeats: int = 3) -> float:
    """Median CPU seconds of the fixed work: matrix products, sorting, and plain Python."""
    seconds = []
    for _ in range(repeats):
        generator = np.random.default_rng(0)
        began = time.thread_time()
        matrix = generator.normal(size=(300, 300))
        for _ in range(10):
            matrix = np.tanh(matrix @ matrix.T / 300)
        np.sort(generator.normal(size=1_000_000))
        sum(index * index % 7 for index in range(300_000))
        seconds.append(time.thread_time() - began)
    return float(np.median(seconds))


def _kept(file: Path) -> dict[str, float] | None:
    if not file.exists():
        return None
    kept: dict[str, float] = json.loads(file.read_text())
    return kept
