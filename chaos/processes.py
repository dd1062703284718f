"""Processes of one run, found by a mark in their environment that they inherit: nobody of them gets lost."""

import ctypes
import os
import signal
from pathlib import Path

MARK = "METASELECT_CHAOS"
_PROC = Path("/proc")
_C = ctypes.CDLL(None)


def die_with_parent() -> None:
    """Have Linux kill this process when the thread that started it ends, so that a killed run leaves nothing behind."""
    parent_death_signal = 1
    _C.prctl(parent_death_signal, signal.SIGKILL)


def marked(mark: str) -> set[int]:
    """All processes that were started, by whomever, under this mark; those that only wait to be reaped do not count."""
    wanted = f"{MARK}={mark}".encode()
    return {
        pid
        for pid in map(int, filter(str.isdigit, os.listdir(_PROC)))  # noqa: PTH208  quicker than paths
        if wanted in _read(pid, "environ").split(b"\0") and not is_over(pid)
    }


def is_over(pid: int) -> bool:
    """Whether the process has ended, were it not reaped yet."""
    state = _state(pid)
    return not state or state[0] in b"ZX"


def orphans(mark: str) -> set[int]:
    """Processes of the run whose parent is neither of it nor this one: whoever started them has died."""
    of_run = marked(mark)
    return {pid for pid in of_run if _parent(pid) not in {*of_run, os.getpid()}}


def computing(mark: str) -> dict[int, str]:
    """The processes of the run that compute a task, with its id: their output goes to its folder."""
    found = {}
    for pid in marked(mark):
        folder = Path(_output(pid)).parent.name
        if folder.startswith("task_"):
            found[pid] = folder.rpartition("-")[0]
    return found


def _parent(pid: int) -> int:
    state = _state(pid)
    return int(state[1]) if state else os.getpid()  # it has just ended


def _state(pid: int) -> list[bytes]:
    """What Linux says of it behind its name: its state, its parent and more."""
    return _read(pid, "stat").rpartition(b")")[2].split()


def _output(pid: int) -> str:
    try:
        return str((_PROC / str(pid) / "fd" / "1").readlink())
    except OSError:
        return ""


def _read(pid: int, name: str) -> bytes:
    try:
        return (_PROC / str(pid) / name).read_bytes()
    except OSError:
        return b""
