"""`make bench-api`: a recommendation from metafeatures, stored, against the empty health route of the same process."""

import random
import secrets
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from benchmarks.recording import record
from tests.deployments import Deployment

N_REQUESTS = 600
N_ROUNDS = 5


def body(generator: random.Random) -> dict[str, object]:
    """A dataset that was never asked about before."""
    rows, columns = generator.randint(100, 20_000), generator.randint(2, 80)
    values = {
        "nr_inst": rows,
        "nr_attr": columns,
        "nr_num": columns,
        "nr_cat": 0,
        "cat_share": 0.0,
        "inst_to_attr": rows / columns,
        "attr_to_inst": columns / rows,
        "missing_share": generator.random() / 10,
        "nr_class": 2,
        "class_ent": generator.uniform(0.3, 1.0),
        "lm_linear": generator.uniform(0.5, 1.0),
        "lm_tree_3": generator.uniform(0.5, 1.0),
    }
    return {"task_type": "classification", "metafeatures": values}


def seconds_each(call: Callable[[], httpx.Response], count: int) -> list[float]:
    """Wall seconds of each of `count` calls, one after another."""
    seconds = []
    for _ in range(count):
        began = time.perf_counter()
        call().raise_for_status()
        seconds.append(time.perf_counter() - began)
    return seconds


with tempfile.TemporaryDirectory() as folder:
    deployment = Deployment(Path(folder), {}, embedded=True).start()
    generator = random.Random(secrets.randbits(32))  # noqa: S311  test data
    with httpx.Client(base_url=deployment.url, timeout=60) as http:
        recommending, empty = [], []
        for _ in range(N_ROUNDS):  # in turns, so that a noisy minute hits both
            bodies = iter([body(generator) for _ in range(N_REQUESTS // N_ROUNDS)])
            recommending += seconds_each(
                lambda bodies=bodies: http.post("/recommend", json=next(bodies)), N_REQUESTS // N_ROUNDS
            )
            empty += seconds_each(lambda: http.get("/health/live"), N_REQUESTS // N_ROUNDS)
    deployment.stop()
quantiles = statistics.quantiles(recommending, n=20)
record(
    "api",
    {
        "recommendation from metafeatures, median [ms]": 1000 * statistics.median(recommending),
        "recommendation from metafeatures, 95th percentile [ms]": 1000 * quantiles[-1],
        "empty route, median [ms]": 1000 * statistics.median(empty),
        "requests per second against the empty route [ratio of medians]": statistics.median(empty)
        / statistics.median(recommending),
    },
)
