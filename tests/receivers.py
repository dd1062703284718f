"""Receivers of webhooks on this machine: they keep what came, and answer as they are told."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from app.webhooks.signing import verify


@dataclass
class Received:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def message(self) -> dict[str, Any]:
        return json.loads(self.body)

    def verified(self, secret: str) -> dict[str, Any]:
        return verify(self.body, self.headers, secret)


@dataclass
class Receiver:
    """`answers` are statuses, or statuses with headers, for the next requests; after them everything is well."""

    port: int
    received: list[Received] = field(default_factory=list)
    answers: list[Any] = field(default_factory=list)
    before_answer: Callable[[Received], None] = lambda _: None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def of_job(self, job_id: str) -> list[Received]:
        return [each for each in list(self.received) if each.message["data"].get("job_id") == job_id]


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A receiver on a port of its own."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.do_POST()  # what a followed redirect would become

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            request = Received(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
            with lock:
                said.received.append(request)
                answer = said.answers.pop(0) if said.answers else 204
            said.before_answer(request)
            status, headers = answer if isinstance(answer, tuple) else (answer, {})
            self.send_response(status)
            for name, value in {"Content-Length": "0", **headers}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Tests look at what came instead."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    said = Receiver(server.server_address[1])
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    try:
        yield said
    finally:
        server.shutdown()
        server.server_close()
        serving.join()
