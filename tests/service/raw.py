"""A small service with low limits, and requests to it byte by byte."""

import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from app.config import Settings
from app.store.database import Database
from app.store.migrating import migrate
from tests.deployments import wait_until
from tests.processes import commanded
from tests.servers import free_port

BOUNDARY = b"border"
MULTIPART = b"multipart/form-data; boundary=" + BOUNDARY


@dataclass
class Api:
    """An API process without a worker; `folder` holds its data, `temporary` its system-wide temporary files."""

    process: psutil.Process
    port: int
    folder: Path
    temporary: Path
    log: Path

    @contextmanager
    def connection(self) -> Iterator[socket.socket]:
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            yield connection

    def post(self, content: bytes, **fields: str) -> httpx.Response:
        url = f"http://127.0.0.1:{self.port}/datasets"
        return httpx.post(
            url, files={"file": ("data.csv", content)}, data={"target": "y", **fields}, timeout=30
        )

    def resident_bytes(self) -> int:
        return self.process.memory_info().rss

    def spooled(self) -> list[int]:
        """The size of every temporary file that the process holds open, unnamed ones included."""
        sizes = []
        for link in Path(f"/proc/{self.process.pid}/fd").iterdir():
            try:
                if link.readlink().is_relative_to(self.temporary):
                    sizes.append(link.stat().st_size)
            except FileNotFoundError:
                continue
        return sizes

    def left(self) -> list[object]:
        """What no request should leave: temporary files, scratch folders, reading processes."""
        forkserver = commanded("forkserver", self.process.children())
        readers = [each for server in forkserver for each in server.children()]
        scratch = list((self.folder / "scratch").iterdir())
        uploads = [path for path in self.temporary.iterdir() if not path.name.startswith("pymp-")]
        return [*self.spooled(), *uploads, *scratch, *readers]


@contextmanager
def small_api(folder: Path, **settings: object) -> Iterator[Api]:
    """The API alone on a port of its own."""
    # Not below pytest's own folder: the forkserver's socket has its address there, and that must be short.
    with tempfile.TemporaryDirectory(prefix="border-") as temporary:
        given = {name.upper(): str(value) for name, value in settings.items()}
        environment = {**os.environ, "DATA_DIR": str(folder), "TMPDIR": temporary, **given}
        migrate(Database(Settings(data_dir=folder)).engine)
        port = free_port()
        command = [sys.executable, "-m", "uvicorn", "--factory", "app.main:create_app", "--port", str(port)]
        log = folder / "api.log"
        with log.open("wb") as output:
            process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        api = Api(psutil.Process(process.pid), port, folder, Path(temporary), log)
        try:
            wait_until(lambda: _is_live(port), 60)
            wait_until(lambda: commanded("forkserver", api.process.children()), 60)
            yield api
        finally:
            process.terminate()
            process.wait(timeout=30)


def head(*lines: bytes, path: bytes = b"/datasets") -> bytes:
    return b"\r\n".join([b"POST " + path + b" HTTP/1.1", b"Host: x", *lines, b"", b""])


def upload_head(*lines: bytes) -> bytes:
    return head(b"Content-Type: " + MULTIPART, *lines)


def part(name: bytes, content: bytes = b"", *, filename: bytes | None = None) -> bytes:
    named = b"" if filename is None else b'; filename="' + filename + b'"'
    disposition = b'Content-Disposition: form-data; name="' + name + b'"' + named
    return b"--" + BOUNDARY + b"\r\n" + disposition + b"\r\n\r\n" + content


def chunk(content: bytes) -> bytes:
    return f"{len(content):x}\r\n".encode() + content + b"\r\n"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


def read_answer(connection: socket.socket) -> Answer:
    """One answer; ConnectionError where there is none."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += _more(connection)
    top, _, body = received.partition(b"\r\n\r\n")
    first, *lines = top.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += _more(connection)
    return Answer(int(re.match(r"HTTP/1\.1 (\d+)", first)[1]), headers, body)


def read_all(connection: socket.socket) -> bytes:
    """Everything until the other side closes."""
    received = b""
    while piece := connection.recv(1 << 16):
        received += piece
    return received


def is_closed(connection: socket.socket) -> bool:
    """Whether the other side closes within a second."""
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        connection.settimeout(max(0.01, deadline - time.monotonic()))
        try:
            if not connection.recv(1 << 16):
                return True
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False
    return False


def _more(connection: socket.socket) -> bytes:
    received = connection.recv(1 << 16)
    if not received:
        raise ConnectionError("closed before the answer was complete")
    return received


def _is_live(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health/live").status_code == 200
    except httpx.TransportError:
        return False
