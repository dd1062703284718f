"""`make bench-jobs`: how quick jobs are accepted, claimed and begun, and what a second worker adds, on both databases.

    make bench-jobs ROUNDS=5 JOBS=40 TURNS=2    measures less often

Real processes: `embedded` is SQLite, `distributed` Postgres that waits for the disk, Redis and Celery. What is compared
takes turns, within a run of `job_runs` or here, and figures are medians or medians of ratios between neighbours: the
machine may be shared. Every measurement is kept in `build/bench-jobs`, so that a run that was cut off goes on; remove the
folder to measure again.
"""

# ruff: noqa: E402  threads are fixed before any numeric library loads
from app.config import pin_threads

pin_threads()

import os
import statistics
from functools import partial

from benchmarks import experiment_runs, recording
from benchmarks import job_runs as runs
from benchmarks.experiment_runs import Cells
from benchmarks.experiments import drawn_cells, made_datasets
from benchmarks.job_services import DISTRIBUTED, EMBEDDED
from benchmarks.recording import ROOT, record

kept = partial(recording.kept, ROOT / "build" / "bench-jobs")
WAYS = (EMBEDDED, DISTRIBUTED)
N_QUEUED = int(os.environ.get("QUEUED", "10000"))
ROUNDS = int(os.environ.get("ROUNDS", "15"))
JOBS = int(os.environ.get("JOBS", "120"))
TURNS = int(os.environ.get("TURNS", "3"))
N_REQUESTS = 40  # of accepting jobs, in a round
FEW = 100
# name: jobs in the queue, their owners
QUEUES = {
    "short queue, one owner": (FEW, 1),
    "long queue, one owner": (N_QUEUED, 1),
    "short queue, 100 owners": (FEW, 100),
    "long queue, 100 owners": (N_QUEUED, 100),
}
CLAIMS_IN_A_ROUND = 48  # by all claimants together: always less than a short queue holds
REQUESTS = {
    "post_job": "POST /jobs",
    "job": "GET /jobs/{id}",
    "list": "GET /jobs",
    "ready": "GET /health/ready",
    "look_for_lost_work": "a supervisor's look for lost work",
}
# By a configuration's mean CPU seconds in the shipped evidence; on these tables its cells take 0.4 to 2 s.
SCALING_DATASETS = ["made_classes_0", "made_classes_2", "made_numbers_0", "made_numbers_2"]
SCALING_SECONDS = (0.15, 0.5)


def acceptance(way: str) -> dict[str, float]:
    """Accepting jobs, and what clients and supervisors ask meanwhile, with an empty queue and with a long one."""
    measured = kept(f"acceptance-{way}", lambda: runs.acceptance(way, N_QUEUED, ROUNDS, N_REQUESTS))
    figures = {}
    for name, label in (("empty", "empty queue"), ("full", "long queue")):
        samples = measured[name]
        figures[f"{way}: accepted, {label} [jobs per second]"] = statistics.median(
            samples["accepted_per_second"]
        )
        for request, title in REQUESTS.items():
            figures |= _quantiles(f"{way}: {title}, {label}", samples[request])
    figures[f"{way}: accepted, slowdown by a long queue [ratio]"] = _median_ratio(
        measured["empty"]["accepted_per_second"], measured["full"]["accepted_per_second"]
    )
    for request, title in REQUESTS.items():
        figures[f"{way}: {title}, slowdown by a long queue [ratio]"] = statistics.median(
            measured["full"][request]
        ) / statistics.median(measured["empty"][request])
    return figures


def claims(way: str) -> dict[str, float]:
    """Claims per second, by one process and by four."""
    figures = {}
    for claimants in (1, 4):
        each = CLAIMS_IN_A_ROUND // claimants
        measured = kept(
            f"claims-{way}-{claimants}",
            lambda claimants=claimants, each=each: runs.claims(way, QUEUES, claimants, ROUNDS, each),
        )
        who = f"{way}: {claimants} claiming"
        for name in QUEUES:
            figures[f"{who}, {name} [claims per second]"] = statistics.median(measured[name]["per_second"])
            figures |= _quantiles(f"{who}, {name}", measured[name]["claim"])
        for owners in ("one owner", "100 owners"):
            short, long = (measured[f"{queue} queue, {owners}"]["per_second"] for queue in ("short", "long"))
            figures[f"{who}, {owners}, slowdown by a long queue [ratio]"] = _median_ratio(short, long)
    return figures


def dispatch(way: str) -> dict[str, float]:
    """From the answer to a request, and from the request itself, to the claim, and to the first act of the child."""
    measured = kept(f"dispatch-{way}", lambda: runs.dispatch(way, JOBS))
    return {
        **_quantiles(f"{way}: from the 202 to the claim", measured["from_answer"]),
        **_quantiles(f"{way}: from the request to the claim", measured["from_request"]),
        **_quantiles(f"{way}: from the 202 to the child", measured["to_child"]),
    }


def second_worker() -> dict[str, float]:
    """What the second worker adds to each set-up, against what the second bare process adds."""
    folder = str(made_datasets())
    cells = scaling_cells(folder)
    measured = {
        (way, workers, turn): kept(
            f"scaling-{way}-{workers}-{turn}",
            lambda way=way, workers=workers: (
                experiment_runs.in_own_process("bare", datasets=folder, cells=cells, workers=workers)
                if way == "bare"
                else runs.served(way, workers, folder, cells)
            ),
        )
        for turn in range(TURNS)
        for way in ("bare", *WAYS)
        for workers in (1, 2)
    }
    gains = {
        way: [measured[way, 1, turn]["seconds"] / measured[way, 2, turn]["seconds"] for turn in range(TURNS)]
        for way in ("bare", *WAYS)
    }
    figures = {
        "second worker: cells [count]": float(len(cells)),
        "second worker: cells that failed [count]": sum(each.get("failed", 0) for each in measured.values()),
        "second worker: gain of a second bare process [ratio]": statistics.median(gains["bare"]),
    }
    for way in WAYS:
        figures[f"second worker: {way}, gain [ratio]"] = statistics.median(gains[way])
        figures[f"second worker: {way}, gain for gain [ratio]"] = _median_ratio(gains[way], gains["bare"])
        for workers in (1, 2):
            figures[f"second worker: {way}, {workers} [seconds for bare seconds]"] = statistics.median(
                measured[way, workers, turn]["seconds"] / measured["bare", workers, turn]["seconds"]
                for turn in range(TURNS)
            )
    return figures


def scaling_cells(folder: str) -> Cells:
    """Cells of about a second; the dear ones of each dataset first, so that the last one to end is short."""
    least, most = SCALING_SECONDS
    cells, means = drawn_cells(folder, SCALING_DATASETS)
    fitting = [cell for cell in cells if least <= means[cell[1]] <= most]
    return sorted(fitting, key=lambda cell: (cell[0], -means[cell[1]]))


def _quantiles(name: str, seconds: list[float]) -> dict[str, float]:
    return {
        f"{name}, median [ms]": 1000 * statistics.median(seconds),
        f"{name}, 95th percentile [ms]": 1000 * statistics.quantiles(seconds, n=20, method="inclusive")[-1],
    }


def _median_ratio(first: list[float], second: list[float]) -> float:
    """Of neighbours: what was measured in the same round or turn."""
    return statistics.median(one / other for one, other in zip(first, second, strict=True))


if __name__ == "__main__":
    figures = {
        "jobs in a long queue [count]": float(N_QUEUED),
        "jobs in a short queue [count]": float(FEW),
        "rounds [count]": float(ROUNDS),
        "jobs dispatched [count]": float(JOBS),
        "turns [count]": float(TURNS),
    }
    for way in WAYS:
        figures |= acceptance(way) | claims(way) | dispatch(way)
    record("jobs", figures | second_worker())
