"""The service as three set-ups run it, of real processes that can be killed, frozen and started again."""

import os
import secrets
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
from sqlalchemy import select

from app.config import Settings
from app.store import workers
from app.store.database import Database
from app.store.migrating import migrate
from app.store.tables import Task
from chaos import processes
from chaos.proxy import Proxy, proxy
from tests import servers
from tests.deployments import WORKER, wait_until
from tests.servers import Server

SQLITE, POSTGRES, REDIS = "sqlite", "postgres", "redis"
SETUPS = (SQLITE, POSTGRES, REDIS)
# Two wait for the third while it starts. One slot each: as many tasks as there are workers can be killed in the middle.
WORKERS = 3
READY_SECONDS = 120.0
_STOP_SECONDS = 30.0
_BIN = Path(sys.executable).parent
OPERATOR_KEY = "the key of the chaos"
_SETTINGS = {
    "RECONCILE_SECONDS": "2",
    "LANDMARKING_SECONDS": "1",
    "WEBHOOK_NETWORKS": "127.0.0.0/8",
    "OPERATOR_KEY": OPERATOR_KEY,
    "RETRAIN_AFTER": "0",  # minutes of computing that nobody asked for
}


@dataclass
class Worker:
    """A place for a worker: a data folder that whichever process runs there finds again."""

    place: str
    process: psutil.Process

    @property
    def pid(self) -> int:
        """Of the process that runs there now."""
        return int(self.process.pid)


@dataclass
class Service:
    """An API, `size` workers, and what they need. `workers` are those that an act may do anything to.

    On a machine that has other things to do, whatever is promised within seconds may take `patience` times as long.
    """

    setup: str
    folder: Path
    environment: dict[str, str]
    lease_seconds: float
    size: int
    patience: float = 1.0
    postgres: Server | None = None
    redis: Server | None = None
    proxy: Proxy | None = None
    mark: str = field(default_factory=lambda: secrets.token_hex(8))
    workers: list[Worker] = field(default_factory=list)
    api: psutil.Process | None = None
    failpoints: Path = field(init=False)

    def __post_init__(self) -> None:
        self.failpoints = self.folder / "failpoints"
        self.port = servers.free_port()
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60)
        self.database = Database(self.settings)
        migrate(self.database.engine)

    @property
    def settings(self) -> Settings:
        """As the API has them."""
        url = self.environment.get("DATABASE_URL")
        return Settings(data_dir=self.data_dir("api"), database_url=url, lease_seconds=self.lease_seconds)

    def data_dir(self, place: str) -> Path:
        """Of the process at this place. On SQLite all share one; elsewhere no two processes share a disk."""
        return self.folder / ("api" if self.setup == SQLITE else place)

    @property
    def data_dirs(self) -> list[Path]:
        """All of them."""
        return sorted({self.data_dir("api"), *(self.data_dir(worker.place) for worker in self.workers)})

    @property
    def is_distributed(self) -> bool:
        """Whether a broker rings the workers."""
        return self.redis is not None

    def start(self) -> None:
        """Start API and workers, and wait until all of them are seen."""
        for number in range(self.size):
            self.workers.append(self.start_worker(f"worker{number}"))
        self.start_api()
        wait_until(lambda: self.seen() >= {worker.pid for worker in self.workers}, READY_SECONDS)

    def start_api(self) -> None:
        """Start the API, where it was before if it has ended, and wait until it answers."""
        port = str(self.port)
        command = ["uvicorn", "--factory", "app.main:create_app", "--port", port]
        if self.setup == SQLITE:  # the API keeps one worker alive by itself; the others run beside it
            command = [
                "metaselect", "serve", "--port", port, "--data-dir", str(self.data_dir("api")),
            ]  # fmt: skip
        self.api = self.run("api", command)
        wait_until(lambda: _answers(self.http), READY_SECONDS)

    def stop(self) -> set[int]:
        """End everything politely; the processes that were still there a while later."""
        running = [*(worker.process for worker in self.workers), *([self.api] if self.api else [])]
        for process in running:
            send(process, signal.SIGTERM)
        psutil.wait_procs(running, timeout=_STOP_SECONDS)
        deadline = time.monotonic() + _STOP_SECONDS
        while (left := processes.marked(self.mark)) and time.monotonic() < deadline:
            time.sleep(0.1)  # forkservers look for their owner now and then
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        self.http.close()
        self.database.engine.dispose()
        return left

    def start_worker(self, place: str) -> Worker:
        """A worker process at this place, which nobody else is using; it takes seconds until it is warm."""
        parent = str(os.getpid())
        embedded = [sys.executable, "-m", "workers", parent]
        command = WORKER if self.is_distributed else embedded
        return Worker(place, self.run(place, command))

    def restart_worker(self, worker: Worker) -> None:
        """Start a process where another one has ended."""
        worker.process.wait(timeout=_STOP_SECONDS)
        worker.process = self.start_worker(worker.place).process

    def all_workers(self) -> list[Worker]:
        """Also the one that the embedded API keeps alive by itself, if it is there now."""
        children = self.api.children() if self.api and self.setup == SQLITE else []
        own = [child for child in children if _is_worker(child)]
        return [*self.workers, *(Worker("api", child) for child in own)]

    def seen(self) -> set[int]:
        """Process ids of the workers that the database saw lately, dead ones for some seconds longer."""
        with self.database.read() as session:
            return {_pid(each.id) for each in workers.alive(session, workers.SILENCE_SECONDS)}

    def holders(self) -> dict[int, list[str]]:
        """The tasks that each worker holds, by its process id."""
        held: dict[int, list[str]] = {}
        with self.database.read() as session:
            rows = session.execute(select(Task.worker, Task.id).where(Task.status == "running")).all()
        for worker, task_id in rows:
            if worker is not None:
                held.setdefault(_pid(worker), []).append(task_id)
        return held

    def can_write(self) -> bool:
        """Whether nobody holds SQLite's only lock for long."""
        if self.setup != SQLITE:
            return True
        connection = sqlite3.connect(
            self.data_dir("api") / "metaselect.sqlite", timeout=1, isolation_level=None
        )
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        finally:
            connection.close()
        return True

    def log(self, place: str) -> str:
        """All that processes at this place have logged."""
        return (self.folder / f"{place}.log").read_text(errors="replace")

    def run(self, place: str, command: list[str]) -> psutil.Process:
        """Start a command of the service at this place; it ends with the thread that calls this."""
        data_dir = self.data_dir(place)
        data_dir.mkdir(exist_ok=True)
        own = {
            "DATA_DIR": str(data_dir),
            "FAILPOINTS_DIR": str(self.failpoints),
            "LEASE_SECONDS": str(self.lease_seconds),
            "WORKER_SLOTS": "1",
            processes.MARK: self.mark,
        }
        environment = {**os.environ, **self.environment, **own}
        environment.pop(
            "PYTHONDONTWRITEBYTECODE", None
        )  # hundreds of processes would compile the same sources
        with (self.folder / f"{place}.log").open("ab") as log:
            started = subprocess.Popen(
                [_BIN / command[0], *command[1:]],
                env=environment,
                stdout=log,
                stderr=log,
                preexec_fn=processes.die_with_parent,  # noqa: PLW1509  it calls one C function
            )
        return psutil.Process(started.pid)


@contextmanager
def service(
    setup: str, lease_seconds: float = 10.0, size: int = WORKERS, patience: float = 1.0
) -> Iterator[Service]:
    """A running service of this set-up with servers of its own; what it left is still there for the act to look at."""
    with ExitStack() as stack:

        def folder(name: str) -> Path:
            # Not below one folder: the user of the Postgres server must be able to reach its own.
            return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=f"metaselect-chaos-{name}-")))

        def started(server: Server) -> Server:
            server.start()
            stack.callback(server.end, signal.SIGINT)
            return server

        environment, parts = dict(_SETTINGS), {}
        if setup != SQLITE:
            parts["postgres"] = started(servers.new_postgres(folder("postgres")))
            environment["DATABASE_URL"] = servers.create_database(parts["postgres"].url, "chaos")
        if setup == REDIS:
            parts["redis"] = started(servers.new_redis(folder("redis")))
            between = stack.enter_context(proxy(urlsplit(parts["redis"].url).port or 0))
            environment["REDIS_URL"] = f"redis://127.0.0.1:{between.port}/0"
            parts["proxy"] = between
        started_service = Service(
            setup, folder("service"), environment, lease_seconds, size, patience, **parts
        )
        try:
            started_service.start()
            yield started_service
        finally:
            started_service.stop()


def send(process: psutil.Process, number: signal.Signals) -> None:
    """Send the signal, unless the process has ended."""
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def _is_worker(process: psutil.Process) -> bool:
    try:
        return bool(process.cmdline()[-3:-1] == ["-m", "workers"])
    except psutil.NoSuchProcess:
        return False


def _answers(http: httpx.Client) -> bool:
    try:
        return http.get("/health/ready").is_success
    except httpx.TransportError:
        return False


def _pid(worker_id: str) -> int:
    return int(worker_id.rsplit("-", 2)[1])
