"""Run one function in a limited child process of a warm forkserver.

The child has its own process group, dies with its parent, and answers over a pipe in JSON, so that neither a crash in
native code nor a hostile file can reach the caller. The forkserver has imported the libraries and computed nothing:
forking a process that has used OpenMP hangs its children.
"""

import ctypes
import importlib
import json
import multiprocessing
import multiprocessing.connection
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil

from app.errors import ServiceError

Report = Callable[[dict[str, Any]], None]

_CONTEXT = multiprocessing.get_context("forkserver")
_LOG_NAME = "log.txt"
_POLL_SECONDS = 0.05
_KILL_AFTER_SECONDS = 2.0


class Ending(StrEnum):
    """How a child ended."""

    OK = "ok"
    ERROR = "error"  # the function raised: a fact about the input or the code
    TIMEOUT = "timeout"
    MEMORY = "memory"
    CRASH = "crash"  # the process died by itself
    STOPPED = "stopped"  # the caller asked for it


@dataclass(frozen=True)
class Outcome:
    """What a child left: its value, or why there is none."""

    ending: Ending
    value: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    log_tail: str = ""


@dataclass
class Limits:
    """What the child may use; a `fit` message from the child sets the second pair until the next message."""

    wall_seconds: float
    memory_bytes: int
    fit_cpu_seconds: float = float("inf")
    fit_wall_seconds: float = float("inf")


def preload(*modules: str) -> None:
    """Name the modules that the forkserver imports before the first child starts."""
    _CONTEXT.set_forkserver_preload(["app.isolation", *modules])


def warm_up() -> None:
    """Start the forkserver and wait until it has imported its modules, so that the first child does not have to."""
    with tempfile.TemporaryDirectory() as folder:
        Child(
            "app.isolation:_nothing", {}, Path(folder), Limits(wall_seconds=120.0, memory_bytes=1 << 40)
        ).run()


@dataclass
class Child:
    """A function running in a process of its own.

    `function` is "module:name"; it is called with `payload` and a `report` callable for progress messages, and must
    return something that JSON can hold. `folder` takes its files and its log.
    """

    function: str
    payload: dict[str, Any]
    folder: Path
    limits: Limits
    on_message: Report = lambda _: None
    _fit_began: tuple[float, float] | None = field(default=None, init=False)
    _last_look: float = field(default=0.0, init=False)

    def start(self) -> None:
        """Fork the child; returns at once."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._pipe, theirs = _CONTEXT.Pipe(duplex=False)
        self._process = _CONTEXT.Process(
            target=_enter, args=(self.function, self.payload, str(self.folder), theirs), daemon=False
        )
        self._process.start()
        theirs.close()
        self._began = time.monotonic()

    def wait(self, seconds: float = _POLL_SECONDS) -> Outcome | None:
        """Watch the child for at most this long; its outcome once it has ended or broken a limit."""
        broken = self._broken_limit()
        if broken:
            return self._killed(broken)
        ready = multiprocessing.connection.wait([self._pipe, self._process.sentinel], seconds)
        if self._pipe in ready:
            return self._read_message()
        if self._process.sentinel in ready:
            return self._read_message() if self._pipe.poll() else self._ended(Ending.CRASH)
        return None

    def run(self) -> Outcome:
        """Start the child and wait until it has ended."""
        self.start()
        while (outcome := self.wait()) is None:
            pass
        return outcome

    def stop(self) -> Outcome:
        """End the child's process group: first politely, then not."""
        _signal_group(self._process.pid, signal.SIGTERM)
        self._process.join(_KILL_AFTER_SECONDS)
        return self._killed(Ending.STOPPED)

    def _read_message(self) -> Outcome | None:
        try:
            message = json.loads(self._pipe.recv_bytes())
        except (EOFError, OSError, ValueError):  # the child died, before or in the middle of a message
            self._process.join(_KILL_AFTER_SECONDS)
            return self._killed(Ending.CRASH)
        kind = message.pop("kind")
        if kind == "value":
            return self._killed(Ending.OK, value=message["value"])
        if kind == "error":
            return self._killed(Ending.ERROR, error=message["error"])
        self._fit_began = (self._cpu_seconds(), time.monotonic()) if kind == "fit" else None
        self.on_message(message)
        return None

    def _broken_limit(self) -> Ending | None:
        now = time.monotonic()
        if now - self._last_look < _POLL_SECONDS:
            return None
        self._last_look = now
        if now - self._began > self.limits.wall_seconds:
            return Ending.TIMEOUT
        if self._fit_began is not None:
            cpu, wall = self._fit_began
            if self._cpu_seconds() - cpu > self.limits.fit_cpu_seconds:
                return Ending.TIMEOUT
            if now - wall > self.limits.fit_wall_seconds:
                return Ending.TIMEOUT
        return Ending.MEMORY if self._resident_bytes() > self.limits.memory_bytes else None

    def _killed(
        self, ending: Ending, value: dict[str, Any] | None = None, error: dict[str, Any] | None = None
    ) -> Outcome:
        """Make sure that nothing of the child's group is left, then give the outcome."""
        if ending is Ending.OK:
            self._process.join(_KILL_AFTER_SECONDS)
        _signal_group(self._process.pid, signal.SIGKILL)
        return self._ended(ending, value, error)

    def _ended(
        self, ending: Ending, value: dict[str, Any] | None = None, error: dict[str, Any] | None = None
    ) -> Outcome:
        self._process.join()
        self._pipe.close()
        log = self.folder / _LOG_NAME
        tail = log.read_bytes()[-4000:].decode(errors="replace") if log.exists() else ""
        if ending is Ending.CRASH:
            tail += f"\nThe process ended with exit code {self._process.exitcode}."
        self._process.close()
        return Outcome(ending, value, error, tail.replace("\x00", ""))

    def _cpu_seconds(self) -> float:
        try:
            times = psutil.Process(self._process.pid).cpu_times()
        except psutil.NoSuchProcess:
            return 0.0
        return float(times.user + times.system)

    def _resident_bytes(self) -> int:
        try:
            return int(psutil.Process(self._process.pid).memory_info().rss)
        except psutil.NoSuchProcess:
            return 0


def _nothing(payload: dict[str, Any], report: Report) -> dict[str, Any]:  # noqa: ARG001  a child's signature
    return {}


def _enter(function: str, payload: dict[str, Any], folder: str, pipe: Connection) -> None:
    """The child's first function: become a limited group leader, compute, answer, end."""
    parent = os.getppid()
    os.setsid()
    _leave_forkserver_alone()
    _die_with_parent()
    if os.getppid() != parent or not Path(folder).exists():  # the forkserver or the caller is already gone
        os._exit(1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    log = os.open(f"{folder}/{_LOG_NAME}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    module, _, name = function.partition(":")

    def send(message: dict[str, Any]) -> None:
        pipe.send_bytes(json.dumps(message, allow_nan=False).encode())

    try:
        value = getattr(importlib.import_module(module), name)(
            payload, lambda message: send({"kind": "progress", **message})
        )
        send({"kind": "value", "value": value})
    except ServiceError as error:
        send({"kind": "error", "error": error.as_dict()})
    except MemoryError:
        os._exit(137)
    except Exception as error:  # noqa: BLE001  whatever a library raises is reported, not lost
        sys.excepthook(type(error), error, error.__traceback__)
        text = f"{type(error).__name__}: {error}".replace("\x00", "")[:2000]
        error_facts = {"code": "internal_error", "detail": text, "advice": "", "evidence": {}}
        send({"kind": "error", "error": error_facts})


def _leave_forkserver_alone() -> None:
    """Close the pipe by which the forkserver learns that the supervisor died: while a child held it, both lived on."""
    alive = getattr(forkserver._forkserver, "_forkserver_alive_fd", None)  # noqa: SLF001  there is no public way
    if alive is not None:
        os.close(alive)
        forkserver._forkserver._forkserver_alive_fd = None  # type: ignore[attr-defined]  # noqa: SLF001


def _die_with_parent() -> None:
    """Ask Linux to kill this process when the forkserver dies, which itself ends with the supervisor."""
    if sys.platform == "linux":
        parent_death_signal = 1
        ctypes.CDLL(None).prctl(parent_death_signal, signal.SIGKILL)


def _signal_group(pid: int | None, number: signal.Signals) -> None:
    if pid is None:
        return
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        # The group is gone, or the child has not yet become its leader: then it is the only process to end.
        with_pid = psutil.pid_exists(pid)
        if with_pid and os.getpgid(pid) != pid:
            os.kill(pid, number)
