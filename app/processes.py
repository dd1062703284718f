"""The service's processes on one host: the API's own worker, and a service that lives as long as one command."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from app.client import Client
from app.config import Settings

log = structlog.get_logger(__name__)

_START_SECONDS = 60.0


@contextmanager
def running_service(url: str | None, data_dir: Path) -> Iterator[str]:
    """The address of a service: the one that is named, or one that lives as long as the context."""
    if url is not None:
        yield url
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data_dir.mkdir(parents=True, exist_ok=True)
    log_path = data_dir / "service.log"
    command = [sys.executable, "-m", "app.cli", "serve", "--port", str(port), "--data-dir", str(data_dir)]
    address = f"http://127.0.0.1:{port}"
    with log_path.open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603  our own module
    try:
        with Client(address) as client:
            deadline = time.monotonic() + _START_SECONDS
            while not client.ready():
                if process.poll() is not None or time.monotonic() > deadline:
                    sys.exit(f"The service did not start; {log_path} says why.")
                time.sleep(0.1)
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


@contextmanager
def embedded_worker(settings: Settings) -> Iterator[None]:
    """Keep one worker process alive beside the API, unless a broker rings workers elsewhere."""
    if not settings.embedded:
        yield
        return
    stopping = threading.Event()
    processes: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "workers", str(os.getpid())]
        return subprocess.Popen(command, env=settings.as_environment())  # noqa: S603  our own module

    def keep_alive() -> None:
        pause = 0.2
        while not stopping.is_set():
            began = time.monotonic()
            try:
                processes[:] = [start()]
            except OSError:  # no room for one more process now
                log.exception("could_not_start_worker")
                processes.clear()
            while processes and processes[0].poll() is None and not stopping.wait(0.1):
                pass
            pause = 0.2 if time.monotonic() - began > 10 else min(5.0, 2 * pause)
            stopping.wait(pause)

    keeper = threading.Thread(target=keep_alive, daemon=True)
    keeper.start()
    try:
        yield
    finally:
        stopping.set()
        keeper.join()
        for process in processes:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
