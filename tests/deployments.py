"""The service as users run it: real processes, embedded on SQLite or distributed on Postgres, Redis and Celery."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from app.client import Client
from app.config import Settings
from app.store.database import Database
from tests.servers import free_port

# As docker-compose.yml starts it.
WORKER = [
    "celery", "-A", "workers.main", "worker", "--loglevel", "INFO", "--without-mingle", "--without-gossip",
]  # fmt: skip
_START_SECONDS = 60.0
_BIN = Path(sys.executable).parent


@dataclass
class Deployment:
    """API and worker processes, each distributed one with a data folder of its own."""

    folder: Path
    environment: dict[str, str]
    embedded: bool
    api: subprocess.Popen = field(init=False)
    workers: list[subprocess.Popen] = field(default_factory=list)
    client: Client = field(init=False)
    url: str = field(init=False)

    def start(self) -> "Deployment":
        port = free_port()
        if self.embedded:
            command = ["metaselect", "serve", "--port", str(port), "--data-dir", str(self.folder / "api")]
        else:
            self._run("api", ["metaselect", "migrate"]).wait(timeout=60)
            command = ["uvicorn", "--factory", "app.main:create_app", "--port", str(port)]
        self.api = self._run("api", command)
        if not self.embedded:
            self.start_worker()
        self.url = f"http://127.0.0.1:{port}"
        self.client = Client(self.url)
        wait_until(self.client.ready, _START_SECONDS)
        return self

    def stop(self) -> None:
        self.client.close()
        for process in [*self.workers, self.api]:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in [*self.workers, self.api]:
            process.wait(timeout=60)

    def start_another_api(
        self, port: int | None = None, **environment: str
    ) -> tuple[subprocess.Popen, Client, str]:
        """One more API process on the same database; the caller ends it."""
        port = port or free_port()
        command = ["uvicorn", "--factory", "app.main:create_app", "--port", str(port)]
        process = self._run("api" if self.embedded else f"api-{port}", command, environment)
        url = f"http://127.0.0.1:{port}"
        client = Client(url)
        wait_until(client.ready, _START_SECONDS)
        return process, client, url

    def start_worker(self, **environment: str) -> None:
        assert not self.embedded, "an embedded service keeps its worker alive itself"
        self.workers.append(self._run(f"worker{len(self.workers)}", WORKER, environment))

    def kill_worker(self) -> set[psutil.Process]:
        """kill -9 the worker process; returns what it had started, computing children included."""
        worker = self._worker_process()
        started = set(worker.children(recursive=True))
        os.kill(worker.pid, signal.SIGKILL)
        if not self.embedded:
            self.workers[-1].wait(timeout=10)
        return started

    def settings(self) -> Settings:
        return Settings(data_dir=self.folder / "api", database_url=self.environment.get("DATABASE_URL"))

    def database(self) -> Database:
        return Database(self.settings())

    def log(self) -> str:
        return "".join(path.read_text() for path in sorted(self.folder.glob("*.log")))

    def _worker_process(self) -> psutil.Process:
        if not self.embedded:
            return psutil.Process(self.workers[-1].pid)
        children = psutil.Process(self.api.pid).children()
        return next(child for child in children if child.cmdline()[-3:-1] == ["-m", "workers"])

    def _run(self, name: str, command: list[str], more: dict[str, str] | None = None) -> subprocess.Popen:
        data_dir = self.folder / name
        data_dir.mkdir(exist_ok=True)
        environment = {**os.environ, **self.environment, "DATA_DIR": str(data_dir), **(more or {})}
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [_BIN / command[0], *command[1:]], env=environment, stdout=log, stderr=log
            )


def wait_until(condition: Callable[[], Any], seconds: float, every: float = 0.05) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(every)
