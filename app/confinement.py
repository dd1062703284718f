"""The child's side of isolation: give up what a computation does not need, compute, answer, end."""

import ctypes
import errno
import importlib
import json
import os
import re
import resource
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from app import failpoints
from app.errors import MachineError, ServiceError

LOG_NAME = "log.txt"
_EXHAUSTED = {  # what a machine runs out of, which says nothing about the data
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EIO,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.EAGAIN,
}
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")  # NUL and lone surrogates, which no database takes as text
_MOST_FRAMES = 20  # of each error, the innermost ones
OUT_OF_MEMORY = 137  # how a child exits that got no memory: telling more would need some


@dataclass(frozen=True)
class KernelLimits:
    """What the kernel refuses a child, also between two looks of its parent; None leaves a resource open.

    Memory is counted as private writable pages (RLIMIT_DATA), not as addresses: allocators reserve a gigabyte of
    those for a few used megabytes. Processes are not counted: RLIMIT_NPROC counts all processes and threads of the
    user together and does not hold root, while whatever a child starts counts in its group's memory and ends with it.
    """

    cpu_seconds: int | None = None
    data_bytes: int | None = None
    file_bytes: int | None = None
    descriptors: int | None = None


def enter(
    function: str,
    payload: dict[str, Any],
    folder: str,
    pipe: Connection,
    limits: KernelLimits,
    failpoints_dir: Path | None,
    environment: dict[str, str],
) -> None:
    """The child's first function: become a limited group leader, call "module:name", answer in lines of JSON."""
    parent = os.getppid()
    os.setsid()
    os.environ.update(environment)
    _keep_only(pipe.fileno())
    _die_with_parent()
    if os.getppid() != parent or not Path(folder).exists():  # the forkserver or the caller is already gone
        os._exit(1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _write_below(Path(folder))
    failpoints.use(failpoints_dir)
    module, _, name = function.partition(":")

    def send(message: dict[str, Any]) -> None:
        line = memoryview(json.dumps(_storable(message), allow_nan=False).encode() + b"\n")
        while line:
            line = line[os.write(pipe.fileno(), line) :]

    try:
        function_to_call = getattr(importlib.import_module(module), name)
        _limit(limits)
        value = function_to_call(payload, lambda message: send({"kind": "progress", **message}))
        send({"kind": "value", "value": value})
    except Exception as error:  # noqa: BLE001  whatever a library raises is reported, not lost
        causes = list(_causes(error))
        if any(map(_wants_memory, causes)):
            os._exit(OUT_OF_MEMORY)
        exhausted = [each for each in causes if isinstance(each, OSError) and each.errno in _EXHAUSTED]
        known = MachineError.of(exhausted[0]) if exhausted else error
        if isinstance(known, ServiceError):
            send({"kind": "error", "error": known.as_dict()})
            return
        sys.excepthook(type(error), error, error.__traceback__)
        unknown = ServiceError(f"{type(error).__name__}: {error}"[:2000], trace=_trace(causes))
        send({"kind": "error", "error": unknown.as_dict()})


def _wants_memory(error: BaseException) -> bool:
    """Whether there was no memory, of the machine or of a GPU; libraries for those have errors of their own."""
    words = str(error).lower()
    is_of_gpu = "cuda" in words and ("out of memory" in words or "memoryallocation" in words)
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or is_of_gpu


def _keep_only(pipe: int) -> None:
    """Close what the forkserver passed on beside the standard three and the pipe.

    Among it is the pipe by which the forkserver learns that its owner died: while a child held it, both lived on.
    """
    most = os.sysconf("SC_OPEN_MAX")
    os.closerange(3, pipe)
    os.closerange(pipe + 1, most)
    forkserver._forkserver._forkserver_alive_fd = None  # type: ignore[attr-defined]  # noqa: SLF001  no public way
    resource_tracker._resource_tracker._fd = None  # type: ignore[attr-defined]  # noqa: SLF001


def _die_with_parent() -> None:
    """Ask Linux to kill this process when the forkserver dies, which itself ends with its owner."""
    if sys.platform == "linux":
        parent_death_signal = 1
        ctypes.CDLL(None).prctl(parent_death_signal, signal.SIGKILL)


def _write_below(folder: Path) -> None:
    """Send output to a log, and temporary files to a folder, that go when the task's folder goes."""
    log = os.open(folder / LOG_NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    os.environ["TMPDIR"] = str(temporary)
    tempfile.tempdir = None  # the answer that Python remembers


def _limit(limits: KernelLimits) -> None:
    """Have the kernel hold the limits; the signals that it sends at two of them end the process."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for number in (signal.SIGXCPU, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    if limits.cpu_seconds is not None:
        resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_seconds, limits.cpu_seconds + 1))
    for kind, most in (
        (resource.RLIMIT_DATA, limits.data_bytes),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_NOFILE, limits.descriptors),
    ):
        if most is not None:
            resource.setrlimit(kind, (most, most))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it began with, whatever libraries made of that on the way."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def _trace(causes: list[BaseException]) -> list[str]:
    """Where the errors happened, the first one last; without a word of their messages, which like to quote data."""
    lines = []
    for error in causes:
        frames = list(traceback.walk_tb(error.__traceback__))[-_MOST_FRAMES:]
        names = [f"{frame.f_globals.get('__name__')}.{frame.f_code.co_qualname}" for frame, _ in frames]
        lines += [f"{name}, line {line}" for name, (_, line) in zip(names, frames, strict=True)]
        lines.append(type(error).__name__)
    return lines


def _storable(value: Any) -> Any:
    """The value with a replacement character for whatever a database would refuse."""
    match value:
        case str():
            return _UNSTORABLE.sub("\ufffd", value)
        case dict():
            return {_storable(name): _storable(each) for name, each in value.items()}
        case list() | tuple():
            return [_storable(each) for each in value]
    return value
