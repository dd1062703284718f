"""What tests run in child processes: every way in which a task can end."""

import contextlib
import ctypes
import errno
import gc
import os
import signal
import subprocess
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import threadpoolctl
from sklearn.ensemble import HistGradientBoostingClassifier

from app.errors import InvalidRequestError
from app.isolation import Report
from workers.experiments import evaluation

Payload = dict[str, Any]
CELL = "Jane Doe"  # which no log may quote
DAEMON_SECONDS = "3607"  # by which tests find what was left behind


def echo(payload: Payload, report: Report) -> Payload:
    return {"payload": payload, "pid": os.getpid(), "group": os.getpgid(0)}


def tell(payload: Payload, report: Report) -> Payload:
    for number in range(payload["times"]):
        report({"number": number})
        time.sleep(payload.get("pause", 0))
    return {}


def refuse(payload: Payload, report: Report) -> Payload:
    raise InvalidRequestError("The request is odd.", "Ask otherwise.", line=3)


def stumble(payload: Payload, report: Report) -> Payload:
    return payload["what is not there"]


def stumble_on_a_cell(payload: Payload, report: Report) -> Payload:
    """Print a cell, and raise an error that quotes it, as libraries do."""
    os.write(2, f"warning: {CELL}\n".encode())
    try:
        return {"number": float(CELL)}
    except ValueError as error:
        raise RuntimeError(f"no number: {CELL}") from error


def print_a_cell_and_crash(payload: Payload, report: Report) -> Payload:
    os.write(2, f"warning: {CELL}\n".encode())
    os.abort()


def tell_what_no_database_takes(payload: Payload, report: Report) -> Payload:
    """Refuse, report, or return a text with NUL and a lone surrogate."""
    odd = "a\x00b\ud800c"
    if payload["how"] == "refuse":
        raise InvalidRequestError(odd, odd, **{odd: [odd]})
    if payload["how"] == "stumble":
        raise KeyError(odd)
    report({"text": odd})
    return {odd: [{"text": odd, "number": 1, "nothing": None}]}


def mumble(payload: Payload, report: Report) -> Payload:
    os.system("echo a library prints")
    return {"value": float("nan")}


def vanish(payload: Payload, report: Report) -> Payload:
    os.write(2, b"last words\x00")
    os._exit(3)


def leave(payload: Payload, report: Report) -> Payload:
    """End as if all were well, without an answer."""
    os._exit(0)


def exit_politely(payload: Payload, report: Report) -> Payload:
    sys.exit("a library wants out")


def interrupt(payload: Payload, report: Report) -> Payload:
    raise KeyboardInterrupt


def segfault(payload: Payload, report: Report) -> Payload:
    ctypes.string_at(0)
    return {}


def kill_itself(payload: Payload, report: Report) -> Payload:
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def break_off(payload: Payload, report: Report) -> Payload:
    """Begin a message, and then die or fall silent."""
    os.write(_pipe(), b'{"kind": "val')
    time.sleep(payload.get("seconds", 0))
    os._exit(0)


def babble(payload: Payload, report: Report) -> Payload:
    """Write what is no message, as a crash in native code might."""
    os.write(_pipe(), payload.get("line", "").encode() + b"\n")
    time.sleep(60)
    return {}


def flood(payload: Payload, report: Report) -> Payload:
    """A message without end."""
    pipe = _pipe()
    while True:
        os.write(pipe, b"x" * (1 << 16))


def _pipe() -> int:
    return next(each for each in gc.get_objects() if isinstance(each, Connection) and each.writable).fileno()


def abort(payload: Payload, report: Report) -> Payload:
    os.abort()


def close_pipe(payload: Payload, report: Report) -> Payload:
    os.close(_pipe())
    time.sleep(60)
    return {}


def overflow_the_stack(payload: Payload, report: Report) -> Payload:
    """Nest deeper than C can follow."""
    sys.setrecursionlimit(10**9)
    nested: list[Any] = []
    for _ in range(10**6):
        nested = [nested]
    return {"text": repr(nested)}


def recurse(payload: Payload, report: Report) -> Payload:
    return recurse(payload, report)


def fill_the_log(payload: Payload, report: Report) -> Payload:
    for _ in range(100):
        os.write(2, b"the same line again and again\n" * 10_000)
    os.write(2, b"last words\n")
    os.abort()


def loop(payload: Payload, report: Report) -> Payload:
    for kind in payload.get("first", ()):
        report({"kind": kind})
    while True:
        pass


def sleep(payload: Payload, report: Report) -> Payload:
    for kind in payload.get("first", ()):
        report({"kind": kind})
    time.sleep(payload["seconds"])
    return {}


def stop_itself(payload: Payload, report: Report) -> Payload:
    """Neither compute nor end."""
    os.kill(os.getpid(), signal.SIGSTOP)
    return {}


def hoard(payload: Payload, report: Report) -> Payload:
    held = []
    while True:
        held.append(bytearray(os.urandom(1 << 20)) * 20)
        report({"resident_bytes": psutil.Process().memory_info().rss})
        time.sleep(0.01)


def hoard_in_company(payload: Payload, report: Report) -> Payload:
    """Let others hold what one alone may not."""
    for _ in range(payload["processes"]):
        if os.fork() == 0:
            held = os.urandom(1 << 20) * payload["megabytes"]
            time.sleep(60)
            os._exit(len(held) % 2)
    time.sleep(60)
    return {}


def burst(payload: Payload, report: Report) -> Payload:
    """Take much at once, faster than anybody looks; say how far it came."""
    held = []
    try:
        while True:
            held.append(bytearray(b"x" * (8 << 20)))
    except MemoryError:
        taken = len(held)
        held.clear()
        report({"megabytes": 8 * taken})
        raise RuntimeError("a library hides what happened") from None


def boost(payload: Payload, report: Report) -> Payload:
    """Fit what hangs in a process that was forked from one which had used OpenMP."""
    x = np.arange(20_000.0).reshape(-1, 5)
    HistGradientBoostingClassifier(max_iter=5).fit(x, np.arange(len(x)) % 2)
    return {"openmp_threads": max(count_threads(payload, report)["pools"]["openmp"])}


def count_threads(payload: Payload, report: Report) -> Payload:
    """The threads of every pool of a numeric library in this process."""
    pools: dict[str, list[int]] = {}
    for pool in threadpoolctl.threadpool_info():
        pools.setdefault(pool["user_api"], []).append(pool["num_threads"])
    return {"pools": pools, "waiting": os.environ.get("OMP_WAIT_POLICY")}


def open_many(payload: Payload, report: Report) -> Payload:
    with contextlib.ExitStack() as files:
        for number in range(payload["files"]):
            try:
                files.enter_context(open("/dev/null"))  # noqa: PTH123  counts descriptors, not files
            except OSError as error:
                return {"opened": number, "errno": errno.errorcode[error.errno]}
    return {"opened": payload["files"], "errno": None}


def refuse_with_descriptors(payload: Payload, report: Report) -> Payload:
    found = open_many({"files": 1000}, report)
    raise InvalidRequestError("No more files.", "Open fewer.", **found)


def write_much(payload: Payload, report: Report) -> Payload:
    with tempfile.TemporaryFile() as file:
        try:
            for _ in range(payload.get("megabytes", 64)):
                file.write(bytes(1 << 20))
        except OSError:
            return {"hidden": True}
    return {}


def look_around(payload: Payload, report: Report) -> Payload:
    """What a child has been given."""
    links = list(Path("/proc/self/fd").iterdir())
    descriptors = {int(link.name): str(link.readlink()) for link in links if link.is_symlink()}
    return {"descriptors": descriptors, "temporary": tempfile.gettempdir()}


def refuse_to_stop(payload: Payload, report: Report) -> Payload:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    report({"ready": True})
    time.sleep(60)
    return {}


def beget(payload: Payload, report: Report) -> Payload:
    """Start a process of one's own, and then do as asked."""
    pid = subprocess.Popen(["sleep", "60"]).pid
    report({"pid": pid})
    time.sleep(payload.get("seconds", 60))
    return {"pid": pid}


def leave_a_daemon(payload: Payload, report: Report) -> Payload:
    """Die, and leave a process behind that holds the pipe and the log open."""
    subprocess.Popen(["sleep", DAEMON_SECONDS], close_fds=False)
    os._exit(3)


def measure_or_die(payload: Payload, report: Report) -> Payload:
    """Measure configurations one after another; one of them kills the process."""
    for name in payload["configurations"]:
        if name == "reg-knn-5":
            os._exit(3)
        evaluation.measure_together({**payload, "configurations": [name]}, report)
    return {}


def fill_the_disk(payload: Payload, report: Report) -> Payload:
    """What a library makes of a full disk."""
    try:
        Path("/dev/full").write_bytes(b"x")
    except OSError as error:
        raise RuntimeError("a library hides what happened") from error


def environment(payload: Payload, report: Report) -> Payload:
    return {"value": os.environ.get(payload["name"])}


class OutOfMemoryError(RuntimeError):
    """PyTorch calls its own so too."""


def want_memory(payload: Payload, report: Report) -> Payload:
    """Fail as this library does when it gets no memory."""
    raise {
        "memory": MemoryError(),
        "torch": OutOfMemoryError("Tried to allocate 20.00 GiB."),
        "xgboost": RuntimeError("Check failed: cudaErrorMemoryAllocation: out of memory"),
        "catboost": ValueError("catboost/cuda/cuda_lib/cuda_base.h: CUDA error 2: out of memory"),
    }[payload["of"]]
