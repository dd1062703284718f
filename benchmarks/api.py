"""`make bench-api`: recommendations from metafeatures, stored, against an empty route with the same body in the same process.

On SQLite and on a Postgres of its own. Every request has a body that was never sent before; the three ways of asking take turns,
first by one client, then by several at once, which speak plain HTTP so that they are not what is measured.
"""

import http.client
import json
import os
import random
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.recording import record
from tests import servers
from tests.deployments import wait_until

N_ROUNDS, N_IN_A_ROUND = 10, 120
N_CLIENTS = 4
WAYS = {"full answer": "/recommend", "without reasons": "/recommend", "empty route": "/empty"}
_BIN = Path(sys.executable).parent


def body(generator: random.Random, way: str) -> dict[str, Any]:
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
    asked = {"task_type": "classification", "metafeatures": values}
    return asked | {"explain": False} if way == "without reasons" else asked


@contextmanager
def api(folder: Path, **environment: str) -> Iterator[tuple[str, psutil.Process]]:
    """The API with the empty route, and its process."""
    settings = {**os.environ, "DATA_DIR": str(folder), **environment}
    subprocess.run([_BIN / "metaselect", "migrate"], env=settings, check=True, stdout=subprocess.DEVNULL)
    port = servers.free_port()
    command = [_BIN / "uvicorn", "--factory", "benchmarks.empty_api:create_app", "--port", str(port)]
    with (folder / "api.log").open("ab") as log:
        process = subprocess.Popen(command, env=settings, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: _answers(url), 60)
        yield url, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(30)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/live").status_code == 200
    except httpx.TransportError:
        return False


def measure(url: str, process: psutil.Process) -> dict[str, dict[str, list[float]]]:
    """Way of asking → wall seconds of every request, CPU seconds per request and requests per second of every round."""
    generator = random.Random(secrets.randbits(32))  # noqa: S311  test data
    measured: dict[str, dict[str, list[float]]] = {
        way: {"wall": [], "cpu": [], "together": []} for way in WAYS
    }
    with httpx.Client(base_url=url, timeout=60) as client, ThreadPoolExecutor(N_CLIENTS) as clients:
        for _ in range(N_ROUNDS):  # in turns, so that a noisy minute hits all
            for way, path in WAYS.items():
                bodies = [body(generator, way) for _ in range(N_IN_A_ROUND)]
                before = process.cpu_times()
                for each in bodies:
                    began = time.perf_counter()
                    client.post(path, json=each).raise_for_status()
                    measured[way]["wall"].append(time.perf_counter() - began)
                after = process.cpu_times()
                spent = after.user + after.system - before.user - before.system
                measured[way]["cpu"].append(spent / N_IN_A_ROUND)
                sent = [json.dumps(body(generator, way)).encode() for _ in range(N_IN_A_ROUND)]
                began = time.perf_counter()
                list(
                    clients.map(partial(_post_all, url, path), (sent[n::N_CLIENTS] for n in range(N_CLIENTS)))
                )
                measured[way]["together"].append(N_IN_A_ROUND / (time.perf_counter() - began))
    return measured


def _post_all(url: str, path: str, bodies: list[bytes]) -> None:
    """One client's requests, one after another on one connection."""
    with closing(http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)) as connection:
        for each in bodies:
            connection.request("POST", path, each, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            if answer.status != HTTPStatus.OK:
                raise RuntimeError(f"{path} answered {answer.status}")


def figures_of(database: str, measured: dict[str, dict[str, list[float]]]) -> dict[str, float]:
    """Medians, and requests per second against the empty route."""
    empty = measured["empty route"]
    figures = {}
    for way, samples in measured.items():
        figures[f"{database}: {way}, median [ms]"] = 1000 * statistics.median(samples["wall"])
        figures[f"{database}: {way}, 95th percentile [ms]"] = (
            1000 * statistics.quantiles(samples["wall"], n=20)[-1]
        )
        figures[f"{database}: {way}, CPU of a request, median of rounds [ms]"] = 1000 * statistics.median(
            samples["cpu"]
        )
        figures[f"{database}: {way}, requests per second of one client against the empty route [ratio]"] = (
            statistics.median(empty["wall"]) / statistics.median(samples["wall"])
        )
        together = statistics.median(samples["together"])
        figures[f"{database}: {way}, requests per second of {N_CLIENTS} clients [1/s]"] = together
        figures[
            f"{database}: {way}, requests per second of {N_CLIENTS} clients against the empty route [ratio]"
        ] = together / statistics.median(empty["together"])
    return figures


def main() -> None:
    """Measure both databases."""
    figures: dict[str, float] = {"distinct bodies of each way [count]": float(N_ROUNDS * N_IN_A_ROUND)}
    with tempfile.TemporaryDirectory() as name, api(Path(name)) as (url, process):
        figures |= figures_of("SQLite", measure(url, process))
    with (
        tempfile.TemporaryDirectory() as name,
        tempfile.TemporaryDirectory() as server_folder,
        servers.postgres_server(Path(server_folder), durable=True) as server,
    ):
        address = servers.create_database(server, "bench")
        with api(Path(name), DATABASE_URL=address) as (url, process):
            figures |= figures_of("Postgres", measure(url, process))
    record("api", figures)


if __name__ == "__main__":
    main()
