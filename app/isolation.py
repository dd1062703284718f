"""Run one function in a limited child process of a warm forkserver.

The child has its own process group, dies with its parent, and answers over a pipe in JSON, so that neither a crash in
native code nor a hostile file can reach the caller. The forkserver has imported the libraries and computed nothing:
forking a process that has used OpenMP hangs its children. What the child does on its side is in `app.confinement`.
"""

import json
import multiprocessing
import multiprocessing.connection
import os
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import psutil

from app import failpoints, tracing
from app.confinement import LOG_NAME, OUT_OF_MEMORY, KernelLimits, enter
from app.tracing import Span

Report = Callable[[dict[str, Any]], None]

_CONTEXT = multiprocessing.get_context("forkserver")
_POLL_SECONDS = 0.05
_KILL_AFTER_SECONDS = 2.0
_PIECE_BYTES = 1 << 16
_MOST_MESSAGE_BYTES = 64 << 20
_LOG_TAIL_BYTES = 4000


class Ending(StrEnum):
    """How a child ended."""

    OK = "ok"
    ERROR = "error"  # the function raised: a fact about the input or the code
    TIMEOUT = "timeout"
    MEMORY = "memory"
    FILE_SIZE = "file_size"
    CRASH = "crash"  # the process died by itself
    STOPPED = "stopped"  # the caller asked for it


@dataclass(frozen=True)
class Outcome:
    """What a child left: its value, or why there is none; `limit` names the limit that it broke."""

    ending: Ending
    value: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    log_tail: str = ""
    limit: str = ""


@dataclass
class Limits:
    """What the child may use; a `fit` message from the child sets the second pair until the next message.

    Its parent looks at these every 50 ms, at memory as resident bytes of the whole group (shared pages count in each
    process); `kernel` holds in between.
    """

    wall_seconds: float
    memory_bytes: int
    fit_cpu_seconds: float = float("inf")
    fit_wall_seconds: float = float("inf")
    kernel: KernelLimits = field(default_factory=KernelLimits)


_ENDING_OF_LIMIT = {
    "wall_seconds": Ending.TIMEOUT,
    "cpu_seconds": Ending.TIMEOUT,
    "fit_cpu_seconds": Ending.TIMEOUT,
    "fit_wall_seconds": Ending.TIMEOUT,
    "memory_bytes": Ending.MEMORY,
    "file_bytes": Ending.FILE_SIZE,
}
_LIMIT_OF_EXIT_CODE = {
    -signal.SIGXCPU: "cpu_seconds",
    -signal.SIGXFSZ: "file_bytes",
    OUT_OF_MEMORY: "memory_bytes",
}


def preload(*modules: str) -> None:
    """Name the modules that the forkserver imports before the first child starts."""
    _CONTEXT.set_forkserver_preload(["app.orphans", "app.isolation", *modules])


def warm_up() -> None:
    """Start the forkserver and wait until it has imported its modules, so that the first child does not have to.

    Raises: OSError, EOFError where no child comes of it: there is no room, or the forkserver died.
    """
    limits = Limits(wall_seconds=120.0, memory_bytes=1 << 40)
    with tempfile.TemporaryDirectory() as folder:
        outcome = Child("app.isolation:_nothing", {}, Path(folder), limits).run()
    if outcome.ending is not Ending.OK:
        raise ChildProcessError(f"The first child ended by {outcome.ending}: {outcome.log_tail}")


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
    environment: dict[str, str] = field(default_factory=dict)  # beside its parent's
    _fit_began: tuple[float, float] | None = field(default=None, init=False)
    _last_look: float = field(default=0.0, init=False)
    _unread: bytearray = field(default_factory=bytearray, init=False)
    _span: Span = field(default_factory=Span, init=False)

    def start(self) -> None:
        """Fork the child; returns at once."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._pipe, theirs = _CONTEXT.Pipe(duplex=False)
        self._process = _CONTEXT.Process(
            target=enter,
            args=(
                self.function,
                self.payload,
                str(self.folder),
                theirs,
                self.limits.kernel,
                failpoints.folder(),
                self.environment,
            ),
            daemon=False,
        )
        # The parent tells of the child's life: a child that is killed could not.
        self._span = tracing.begun(f"child {self.function}")
        try:
            self._process.start()
        except BaseException as error:
            self._pipe.close()
            self._span.fail(type(error).__name__)
            self._span.end()
            raise
        finally:
            theirs.close()
        self._span.add(process__pid=self._process.pid)
        self._began = time.monotonic()

    def wait(self, seconds: float = _POLL_SECONDS) -> Outcome | None:
        """Watch the child for at most this long; its outcome once it has ended or broken a limit.

        Where watching fails, for there are no descriptors left, nobody would hold its limits: then the child is killed.
        """
        try:
            return self._watch(seconds)
        except BaseException:
            self._signal(signal.SIGKILL)
            raise

    def _watch(self, seconds: float) -> Outcome | None:
        broken = self._broken_limit()
        if broken:
            return self._killed(_ENDING_OF_LIMIT[broken], limit=broken)
        ready = multiprocessing.connection.wait([self._pipe, self._process.sentinel], seconds)
        if self._pipe in ready or (ready and self._pipe.poll()):
            return self._read_piece()
        return self._killed(Ending.CRASH) if ready else None

    def run(self) -> Outcome:
        """Start the child and wait until it has ended."""
        self.start()
        while (outcome := self.wait()) is None:
            pass
        return outcome

    def stop(self) -> Outcome:
        """End the child's process group: first politely, then not."""
        self._signal(signal.SIGTERM)
        self._process.join(_KILL_AFTER_SECONDS)
        return self.kill()

    def kill(self) -> Outcome:
        """End the child's process group at once."""
        return self._killed(Ending.STOPPED)

    def _read_piece(self) -> Outcome | None:
        """Take what has arrived, never waiting for the rest of a message: its writer may be stuck."""
        piece = os.read(self._pipe.fileno(), _PIECE_BYTES)
        if not piece:  # the child died, or closed its pipe
            self._process.join(_KILL_AFTER_SECONDS)
            return self._killed(Ending.CRASH)
        self._unread += piece
        if len(self._unread) > _MOST_MESSAGE_BYTES:
            return self._killed(Ending.CRASH)
        if b"\n" not in piece:
            return None
        *messages, self._unread = self._unread.split(b"\n")
        for message in messages:
            if (outcome := self._take(message)) is not None:
                return outcome
        return None

    def _take(self, line: bytearray) -> Outcome | None:
        try:
            message = json.loads(line)
            kind = message.pop("kind")
            found = {kind: message[kind]} if kind in ("value", "error") else {}
        except (ValueError, LookupError, TypeError, AttributeError):  # not what `enter` writes
            return self._killed(Ending.CRASH)
        if found:
            return self._killed(Ending.OK if kind == "value" else Ending.ERROR, **found)
        self._fit_began = (self._cpu_seconds(), time.monotonic()) if kind == "fit" else None
        self._span.note(str(kind), message)
        self.on_message(message)
        return None

    def _broken_limit(self) -> str | None:
        """The name of a limit that is broken now."""
        now = time.monotonic()
        if now - self._last_look < _POLL_SECONDS:
            return None
        self._last_look = now
        if now - self._began > self.limits.wall_seconds:
            return "wall_seconds"
        if self._fit_began is not None:
            cpu, wall = self._fit_began
            if self._cpu_seconds() - cpu > self.limits.fit_cpu_seconds:
                return "fit_cpu_seconds"
            if now - wall > self.limits.fit_wall_seconds:
                return "fit_wall_seconds"
        return "memory_bytes" if self._resident_bytes() > self.limits.memory_bytes else None

    def _killed(self, ending: Ending, **found: Any) -> Outcome:
        """Make sure that nothing of the child's group is left, then give the outcome."""
        if ending is Ending.OK:
            self._process.join(_KILL_AFTER_SECONDS)
        self._signal(signal.SIGKILL)
        self._process.join()
        self._pipe.close()
        log = self.folder / LOG_NAME
        tail = _end_of(log)
        if ending is Ending.CRASH:
            tail += f"\nThe process ended with exit code {self._process.exitcode}."
            limit = _LIMIT_OF_EXIT_CODE.get(self._process.exitcode or 0)
            if limit:
                ending, found = _ENDING_OF_LIMIT[limit], {"limit": limit}
        self._span.add(ending=ending, process__exit__code=self._process.exitcode)
        if ending is not Ending.OK:
            self._span.fail(ending)
        self._span.end()
        self._process.close()
        return Outcome(ending, log_tail=tail.replace("\x00", ""), **found)

    def _signal(self, number: signal.Signals) -> None:
        """Send it to the whole group; before the child has become a leader, to the child alone."""
        pid = self._process.pid
        if pid is None:
            return
        try:
            os.killpg(pid, number)
        except (ProcessLookupError, PermissionError):
            if self._process.is_alive():
                os.kill(pid, number)

    def _cpu_seconds(self) -> float:
        try:
            times = psutil.Process(self._process.pid).cpu_times()
        except psutil.NoSuchProcess:
            return 0.0
        return float(times.user + times.system)

    def _resident_bytes(self) -> int:
        return sum(map(_resident_bytes, _members(self._process.pid)))


def _nothing(payload: dict[str, Any], report: Report) -> dict[str, Any]:  # noqa: ARG001  a child's signature
    return {}


def _members(leader: int | None) -> list[int]:
    """The processes of a group; the leader counts before it has become one."""
    return [pid for pid in psutil.pids() if pid == leader or _group(pid) == leader]


def _group(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def _resident_bytes(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def _end_of(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _LOG_TAIL_BYTES))
            return file.read(_LOG_TAIL_BYTES).decode(errors="replace")
    except OSError:  # there is none, or nothing can be opened any more
        return ""
