"""Threads and processes around a computation: its parent's do it no harm, its own are as many as decided, none is left."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from tests.deployments import wait_until
from tests.processes import lives

# A parent that has used OpenMP with several threads, as a process must not have that forks its children itself.
BUSY_PARENT = """
import json, os, sys, time
from pathlib import Path
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_info
from app.isolation import Child, Limits

random = np.random.default_rng(0)
HistGradientBoostingClassifier(max_iter=5).fit(random.normal(size=(4000, 5)), random.integers(0, 2, 4000))
threads = max(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "openmp")
began = time.monotonic()
outcome = Child("tests.children:boost", {}, Path(sys.argv[1]), Limits(60, 8 << 30)).run()
print(json.dumps({
    "threads": threads, "ending": outcome.ending, "value": outcome.value,
    "seconds": time.monotonic() - began, "log": outcome.log_tail,
}))
"""

# A supervisor whose child computes for ever.
SUPERVISOR = """
import sys
from pathlib import Path
from app.isolation import Child, Limits
child = Child("tests.endless:compute", {}, Path(sys.argv[1]), Limits(60, 8 << 30))
child.on_message = lambda message: print(child._process.pid, flush=True)
child.run()
"""
N_KILLS = 30


@pytest.mark.requirement("R7")
def test_child_fits_although_its_parent_has_used_openmp_with_threads(tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "4"}
    done = subprocess.run(
        [sys.executable, "-c", BUSY_PARENT, tmp_path],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=100,
    )
    told = json.loads(done.stdout)
    assert told["threads"] > 1, "the parent has no pool of threads, so this shows nothing"
    assert told["ending"] == "ok", told["log"]
    assert told["value"]["openmp_threads"] > 1
    assert told["seconds"] < 20


@pytest.mark.requirement("R7")
def test_thirty_killed_supervisors_leave_no_process_behind(tmp_path: Path) -> None:
    def kill_one(number: int) -> set[psutil.Process]:
        command = [sys.executable, "-c", SUPERVISOR, tmp_path / str(number)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as supervisor:
            computing = int(supervisor.stdout.readline())
            started = set(psutil.Process(supervisor.pid).children(recursive=True))
            assert computing in {process.pid for process in started}
            supervisor.kill()
        return started

    with ThreadPoolExecutor(4) as pool:
        started = set[psutil.Process]().union(*pool.map(kill_one, range(N_KILLS)))
    assert len(started) >= 2 * N_KILLS, "a forkserver and a child each"
    wait_until(lambda: not any(map(lives, started)), 10)


@pytest.mark.requirement("R7")
def test_a_forkserver_that_is_importing_ends_with_its_owner() -> None:
    code = (
        "import time; from multiprocessing import forkserver; from app import isolation\n"
        "isolation.preload('tests.slow_import'); forkserver.ensure_running(); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout.readline() == "importing\n"
        started = psutil.Process(owner.pid).children(recursive=True)
        assert started
        owner.kill()
        wait_until(lambda: not any(map(lives, started)), 10)


@pytest.mark.requirement("R8")
@pytest.mark.parametrize("threads", [1, 2])
def test_one_number_decides_the_threads_of_every_library(tmp_path: Path, threads: int) -> None:
    code = (
        "import sys; from pathlib import Path; from app.config import pin_threads\n"
        "pin_threads(int(sys.argv[2]))\n"
        "from app.isolation import Child, Limits; import json\n"
        "child = Child('tests.children:count_threads', {}, Path(sys.argv[1]), Limits(60, 8 << 30))\n"
        "print(json.dumps(child.run().value))"
    )
    environment = {name: value for name, value in os.environ.items() if "THREADS" not in name}
    command = [sys.executable, "-c", code, tmp_path, str(threads)]
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, text=True, check=True, timeout=100
    )
    told = json.loads(done.stdout)
    assert {"openmp", "blas"} <= told["pools"].keys()
    assert {number for numbers in told["pools"].values() for number in numbers} == {threads}
    assert told["waiting"] == "PASSIVE"
