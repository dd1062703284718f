"""Sending: to the address that was checked and to no other, within its time, whatever the receiver does."""

import http.server
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from pathlib import Path

import pytest

from app.webhooks import retrying
from app.webhooks.retrying import LONGEST_PAUSE, LONGEST_REST, PAUSES
from app.webhooks.sending import Answer, Sender
from app.webhooks.signing import new_secret, verify
from tests.receivers import receiver

pytestmark = pytest.mark.requirement("A4")

LOOPBACK = (ip_network("127.0.0.0/8"),)
SECRET = new_secret()
BODY = '{"type":"webhook.test","timestamp":"2026-11-26T00:00:00Z","data":{}}'


def sender(**options: object) -> Sender:
    return Sender(**{"allowed": LOOPBACK, **options})


def send(url: str, **options: object) -> Answer:
    return sender(**options).send(url, "msg_1", BODY, (SECRET,))


@contextmanager
def server(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """The URL of a server that does this with its one connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            connection, _ = listening.accept()
            with connection:
                try:
                    serve(connection)
                except OSError:
                    return  # the sender hung up

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
    thread.join(10)
    assert not thread.is_alive(), "the sender holds on to its connection"


def test_message_arrives_signed_byte_by_byte_and_under_the_name_of_the_host() -> None:
    with receiver() as said:
        url = f"http://hooks.test:{said.port}/a/b?c=d"
        answer = send(url, resolver=lambda *_: ["127.0.0.1"])
        assert answer == Answer(204)
        [came] = said.received
    assert (came.path, came.body) == ("/a/b?c=d", BODY.encode())
    assert came.headers["host"] == f"hooks.test:{said.port}"
    assert came.headers["content-type"] == "application/json"
    assert came.headers["webhook-id"] == "msg_1"
    assert abs(time.time() - int(came.headers["webhook-timestamp"])) < 10
    assert verify(came.body, came.headers, SECRET)["type"] == "webhook.test"


def test_private_address_is_refused_by_default_and_nothing_is_connected() -> None:
    with receiver() as said:
        answer = Sender().send(said.url, "msg_1", BODY, (SECRET,))
        assert said.received == []
    assert answer.status is None
    assert "private or reserved" in answer.error


def test_name_that_resolves_otherwise_a_moment_later_gains_nothing(monkeypatch) -> None:
    """The name is asked for once, and what was checked is what is connected to."""
    answers = [["93.184.216.34"], ["127.0.0.1"]]
    connected: list[object] = []

    def connect(address: tuple[str, int], **_: object) -> socket.socket:
        connected.append(address)
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(socket, "create_connection", connect)
    rebinding = Sender(resolver=lambda *_: answers.pop(0))
    assert rebinding.send("http://rebinding.test:8080/", "msg_1", BODY, (SECRET,)).status is None
    assert connected == [("93.184.216.34", 8080)]
    assert "private or reserved" in rebinding.send("http://rebinding.test:8080/", "msg_1", BODY, ()).error
    assert connected == [("93.184.216.34", 8080)]


def test_next_address_is_tried_where_the_first_takes_no_connection() -> None:
    with receiver() as said:  # it listens on one of the two
        url = f"http://two.test:{said.port}/"
        assert send(url, resolver=lambda *_: ["127.0.0.2", "127.0.0.1"]).status == 204


def test_silent_address_leaves_time_for_the_next(monkeypatch) -> None:
    """The first takes all the time that it is given."""
    connect = socket.create_connection

    def silent(address: tuple[str, int], timeout: float) -> socket.socket:
        if address[0] == "127.0.0.2":
            time.sleep(timeout)
            raise TimeoutError
        return connect(address, timeout=timeout)

    monkeypatch.setattr(socket, "create_connection", silent)
    with receiver() as said:
        url = f"http://two.test:{said.port}/"
        answer = send(url, resolver=lambda *_: ["127.0.0.2", "127.0.0.1"], connect_seconds=0.5)
    assert answer.status == 204


def test_time_that_a_slow_name_server_takes_is_not_given_to_the_receiver() -> None:
    def resolve(*_: object) -> list[str]:
        time.sleep(0.3)
        return ["127.0.0.1"]

    with receiver() as said:
        answer = send(f"http://slow.test:{said.port}/", resolver=resolve, total_seconds=0.2)
        assert said.received == []
    assert answer.error == "The receiver did not answer in time."


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_not_followed(status: int) -> None:
    with receiver() as said, receiver() as elsewhere:
        said.answers = [(status, {"Location": elsewhere.url})]
        answer = send(said.url)
        assert (len(said.received), elsewhere.received) == (1, [])
    assert answer.status == status
    assert not retrying.is_delivered(answer)
    assert "redirects are not followed" in retrying.reason(answer)


def test_proxies_of_the_environment_are_not_asked(monkeypatch) -> None:
    with receiver() as proxy, receiver() as said:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert send(said.url).status == 204
        assert (len(said.received), proxy.received) == (1, [])


def drip(connection: socket.socket) -> None:
    connection.recv(1 << 16)
    for byte in b"HTTP/1.1 200 OK\r\n" + b"X-Slow: and so on\r\n" * 1000:
        connection.sendall(bytes([byte]))
        time.sleep(0.05)


def fall_silent(connection: socket.socket) -> None:
    while connection.recv(1 << 16):
        pass


def flood(connection: socket.socket) -> None:
    connection.recv(1 << 16)
    while True:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)


def babble(connection: socket.socket) -> None:
    connection.recv(1 << 16)
    connection.sendall(b"220 mail.test ESMTP\r\n")


def hang_up(connection: socket.socket) -> None:
    connection.recv(1 << 16)


def endless_body(connection: socket.socket) -> None:
    connection.recv(1 << 16)
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b"x" * 65536)


def dripping_body(connection: socket.socket) -> None:
    connection.recv(1 << 16)
    connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 1000\r\n\r\n")
    while True:
        connection.sendall(b"x")
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("serve", "said"),
    [
        (drip, "did not answer in time"),
        (fall_silent, "did not answer in time"),
        (flood, "no HTTP"),
        (babble, "no HTTP"),
        (hang_up, "no HTTP"),
    ],
)
def test_receiver_that_does_not_answer_is_let_go_within_the_time(serve: Callable, said: str) -> None:
    began = time.monotonic()
    with server(serve) as url:
        answer = send(url, total_seconds=1.0)
        assert time.monotonic() - began < 3.0
    assert answer.status is None
    assert said in answer.error or "connection failed" in answer.error


def negative_chunk(connection: socket.socket) -> None:
    connection.recv(1 << 16)
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n")


def hints_first(connection: socket.socket) -> None:
    connection.recv(1 << 16)
    connection.sendall(b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
    time.sleep(0.1)
    connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")


def switch(connection: socket.socket) -> None:
    connection.recv(1 << 16)
    connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n")


@pytest.mark.parametrize(
    ("serve", "status"),
    [
        (endless_body, 200),
        (dripping_body, 201),
        (negative_chunk, 200),
        (hints_first, 202),
        (switch, 101),
    ],
)
def test_status_counts_however_the_body_ends(serve: Callable, status: int) -> None:
    began = time.monotonic()
    with server(serve) as url:
        assert send(url, total_seconds=1.0) == Answer(status)
        assert time.monotonic() - began < 3.0


def test_nobody_there_is_said_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    assert "Connection refused" in send(f"http://127.0.0.1:{port}/").error


@pytest.mark.parametrize(
    "retry_after",
    [
        *("7", " 7 ", "Wed, 21 Oct 2015 07:28:00 GMT", "soon", "-1", "", "9" * 400),
        *(f"Wed, 21 Oct {'9' * 20} 07:28:00 GMT", "Wed, 21 Oct 2015 07:28:00 +" + "9" * 20),
    ],
)
def test_whatever_the_receiver_asks_for_is_read(retry_after: str) -> None:
    expected = {"7": 7.0, " 7 ": 7.0, "Wed, 21 Oct 2015 07:28:00 GMT": 0.0, "9" * 400: 999_999_999.0}
    with receiver() as said:
        said.answers = [(503, {"Retry-After": retry_after})]
        assert send(said.url) == Answer(503, retry_after=expected.get(retry_after))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of hooks.test, signed by itself, with its key."""
    path = tmp_path_factory.mktemp("certificate") / "hooks.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=hooks.test"
    extension = [
        "-addext",
        "subjectAltName=DNS:hooks.test",
        "-keyout",
        path,
        "-out",
        path.with_suffix(".crt"),
    ]
    subprocess.run([*command.split(), *extension], check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + path.with_suffix(".crt").read_bytes())
    return path


@pytest.mark.parametrize(
    ("name", "is_trusted", "passes"), [("hooks", True, True), ("other", True, False), ("hooks", False, False)]
)
def test_certificate_is_checked_against_the_name_although_the_address_is_pinned(
    certificate: Path, name: str, is_trusted: bool, passes: bool
) -> None:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Silent."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    names: list[str | None] = []
    context.sni_callback = lambda _, asked, __: names.append(asked)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        listening.handle_error = lambda *_: (
            None
        )  # the sender refuses the certificate: its handshake ends there
        listening.socket = context.wrap_socket(listening.socket, server_side=True)
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        trusted = ssl.create_default_context(cafile=certificate.with_suffix(".crt") if is_trusted else None)
        url = f"https://{name}.test:{listening.server_address[1]}/"
        answer = send(url, tls=trusted, resolver=lambda *_: ["127.0.0.1"])
        listening.shutdown()
    assert names == [f"{name}.test"]
    if passes:
        assert answer == Answer(200)
    else:
        assert answer.status is None
        assert "No secure connection" in answer.error


def test_pauses_grow_for_three_days_and_then_there_is_none() -> None:
    failed = Answer(500)
    for failures, scheduled in enumerate(PAUSES):
        drawn = [retrying.pause(failed, failures) for _ in range(50)]
        assert scheduled <= min(drawn) < max(drawn) <= 1.2 * scheduled
    assert retrying.pause(failed, len(PAUSES)) is None
    assert list(PAUSES) == sorted(PAUSES)
    assert 3 * 86_400 < sum(PAUSES) < 4 * 86_400


@pytest.mark.parametrize("status", [429, 503])
def test_busy_receiver_says_when_to_come_back_within_a_day(status: int) -> None:
    assert retrying.pause(Answer(status, retry_after=100.0), 0) == 100.0
    assert retrying.pause(Answer(status, retry_after=1e9), 0) == LONGEST_PAUSE
    assert retrying.pause(Answer(status, retry_after=0.0), 1) >= PAUSES[1], (
        "sooner than otherwise it need not be"
    )
    assert retrying.pause(Answer(500, retry_after=100.0), 0) < 7.0, "only one who is busy is asked"
    assert retrying.pause(Answer(status, retry_after=100.0), len(PAUSES)) is None


def test_receiver_rests_where_it_is_silent_or_busy_and_only_there() -> None:
    for answer in (Answer(None), Answer(429), Answer(503, retry_after=0.0)):
        assert retrying.rest(answer, 5.5) == 5.5
        assert retrying.rest(answer, 300.0) == retrying.rest(answer, None) == LONGEST_REST
    assert retrying.rest(Answer(429, retry_after=3600.0), 5.5) == 3600.0
    assert retrying.rest(Answer(503, retry_after=1e9), 5.5) == LONGEST_PAUSE
    for status in (200, 302, 400, 404, 500, 502):
        assert retrying.rest(Answer(status, retry_after=3600.0), 300.0) == 0.0


def test_what_counts_as_delivered_and_as_gone() -> None:
    statuses = [None, 199, 200, 204, 299, 300, 400, 404, 410, 500]
    assert [each for each in statuses if retrying.is_delivered(Answer(each))] == [200, 204, 299]
    assert [each for each in statuses if retrying.is_gone(Answer(each))] == [410]
