"""Bodies that are too large, too slow, or not what they say: refused with their reason, and nothing is left."""

import contextlib
import json
import os
import re
import select
import time
from collections.abc import Iterator

import psutil
import pytest

from tests.deployments import wait_until
from tests.service import data, raw
from tests.service.raw import Answer, Api

MB = 1 << 20
UPLOAD_BYTES = 4 * MB
SPOOL_BYTES = 9 * MB
IDLE_SECONDS = 1.0
BODY_SECONDS = 3.0
TABLE = data.as_csv([[i, i % 7, "ab"[i % 2]] for i in range(60)], ["x", "z", "y"])


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """One small service for all of them: it has to survive them."""
    low = {
        "upload_bytes": UPLOAD_BYTES,
        "json_bytes": 1 << 16,
        "spool_bytes": SPOOL_BYTES,
        "idle_seconds": IDLE_SECONDS,
        "body_seconds": BODY_SECONDS,
        "landmarking_seconds": 0,
    }
    with raw.small_api(tmp_path_factory.mktemp("border"), **low) as api:
        assert api.post(TABLE).status_code == 201
        yield api


@pytest.fixture(autouse=True)
def _nothing_is_left_and_the_next_upload_works(service: Api) -> Iterator[None]:
    yield
    wait_until(lambda: not service.left(), 10)
    assert service.post(TABLE).status_code == 201
    assert not service.left()
    assert "Traceback" not in service.log.read_text()


def problem(answer: Answer, status: int, code: str) -> dict:
    assert answer.headers["content-type"] == "application/problem+json", answer
    body = json.loads(answer.body)
    assert (answer.status, body["code"]) == (status, code), body
    assert body["advice"]
    assert body["request_id"] == answer.headers["x-request-id"]
    return body


def begun_upload(length: int | None = None) -> bytes:
    """The head and the first bytes of an upload, of a declared length or chunked."""
    framing = b"Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}".encode()
    first = raw.part(b"file", filename=b"a.csv")
    return raw.upload_head(framing) + (raw.chunk(first) if length is None else first)


def test_chunked_body_beyond_the_limit_takes_neither_memory_nor_disk(service: Api) -> None:
    """Sixteen times the limit is sent, whether anybody listens or not."""
    before, most_resident, most_spooled = service.resident_bytes(), 0, 0
    with service.connection() as connection:
        connection.sendall(begun_upload())
        piece = raw.chunk(b"x" * MB)
        for _ in range(16 * UPLOAD_BYTES // MB):
            connection.sendall(piece)
            most_resident = max(most_resident, service.resident_bytes())
            most_spooled = max(most_spooled, *service.spooled(), 0)
        problem(raw.read_answer(connection), 413, "body_too_large")
    assert most_resident - before < 2 * UPLOAD_BYTES + 8 * MB
    assert 0 < most_spooled <= UPLOAD_BYTES


def test_upload_may_be_as_large_as_the_limit_and_no_larger(service: Api) -> None:
    opening, closing = raw.part(b"file", filename=b"a.csv"), b"\r\n--" + raw.BOUNDARY + b"--\r\n"
    room = UPLOAD_BYTES - len(opening) - len(closing)
    for extra, status, code in ((0, 422, "invalid_request"), (1, 413, "body_too_large")):
        with service.connection() as connection:
            body = opening + b"x" * (room + extra) + closing
            connection.sendall(raw.upload_head(b"Transfer-Encoding: chunked"))
            for start in range(0, len(body), MB):
                connection.sendall(raw.chunk(body[start : start + MB]))
            connection.sendall(b"0\r\n\r\n")
            problem(raw.read_answer(connection), status, code)  # the form lacks its target


@pytest.mark.parametrize("path", [b"/jobs", b"/recommend"])
def test_other_bodies_have_a_lower_limit(service: Api, path: bytes) -> None:
    json_type = b"Content-Type: application/json"
    body = b'{"dataset_id": "' + b"x" * (1 << 16) + b'"}'
    with service.connection() as connection:
        connection.sendall(raw.head(json_type, b"Transfer-Encoding: chunked", path=path) + raw.chunk(body))
        problem(raw.read_answer(connection), 413, "body_too_large")
    with service.connection() as connection:
        connection.sendall(raw.head(json_type, b"Content-Length: 65537", path=path))
        problem(raw.read_answer(connection), 413, "body_too_large")


def test_length_that_says_too_little_does_not_let_more_in(service: Api) -> None:
    with service.connection() as connection:
        connection.sendall(begun_upload(length=100) + b"x" * 1000 + b"\r\n\r\n")
        received = raw.read_all(connection)
    # The rest is taken for a request, and is none.
    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"422", b"400"]


@pytest.mark.parametrize(
    "lines",
    [
        (b"Content-Length: -1",),
        (b"Content-Length: many",),
        (b"Content-Length: 10", b"Content-Length: 11"),
        (b"Content-Length: " + b"9" * 5000,),
        (b"Transfer-Encoding: gzip",),
    ],
    ids=["negative", "no number", "two", "5000 digits", "unknown encoding"],
)
def test_length_that_makes_no_sense_is_refused(service: Api, lines: tuple[bytes, ...]) -> None:
    with service.connection() as connection:
        connection.sendall(raw.upload_head(*lines))
        assert raw.read_answer(connection).status in {400, 413, 501}


def test_length_may_be_declared_and_missed_by_a_client_that_leaves(service: Api) -> None:
    with service.connection() as connection:
        connection.sendall(begun_upload(length=3 * MB) + b"x" * (2 * MB))
        wait_until(service.spooled, 5)


def test_client_that_leaves_a_chunked_body_leaves_nothing(service: Api) -> None:
    with service.connection() as connection:
        connection.sendall(begun_upload() + raw.chunk(b"x" * 2 * MB) + b"ffff\r\nhalf a chunk")
        wait_until(service.spooled, 5)


@pytest.mark.parametrize(
    "body",
    [
        (raw.part(b"a", b"1") + b"\r\n") * 60_000,
        (raw.part(b"file", b"x,y", filename=b"a.csv") + b"\r\n") * 30_000,
        raw.part(b"target", b"x" * 3 * MB),
        raw.part(b"x" * MB),
        raw.part(b"a").replace(b"\r\n\r\n", b"\r\nX-Odd: 1" * 50_000 + b"\r\n\r\n"),
        (b"--" + raw.BOUNDARY + b"\r\n\r\n\r\n") * 100_000,
        b"\r\n" * 100_000,
    ],
    ids=["fields", "files", "long field", "long name", "part headers", "100,000 nameless", "nothing"],
)
def test_form_of_too_many_or_too_long_parts_is_refused_quickly(service: Api, body: bytes) -> None:
    assert len(body) <= UPLOAD_BYTES
    before = service.resident_bytes()
    began = time.monotonic()
    with service.connection() as connection:
        connection.sendall(raw.upload_head(f"Content-Length: {len(body)}".encode()) + body)
        problem(raw.read_answer(connection), 422, "invalid_request")
    assert time.monotonic() - began < 5
    assert service.resident_bytes() - before < 16 * MB


@pytest.mark.parametrize("length", [3 * MB, None], ids=["declared", "chunked"])
def test_client_that_stops_half_way_is_told_so(service: Api, length: int | None) -> None:
    with service.connection() as connection:
        most = b"x" * 2 * MB
        connection.sendall(begun_upload(length) + (raw.chunk(most) if length is None else most))
        wait_until(service.spooled, 5)
        began = time.monotonic()
        problem(raw.read_answer(connection), 408, "request_timeout")
        assert IDLE_SECONDS - 0.1 < time.monotonic() - began < BODY_SECONDS
        assert raw.is_closed(connection)
        assert not service.spooled()


def test_client_that_sends_byte_by_byte_is_told_so(service: Api) -> None:
    """No pause is too long, but the whole is."""
    kinds = ((b"/datasets", raw.MULTIPART), (b"/recommend", raw.MULTIPART), (b"/jobs", b"application/json"))
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(service.connection()) for _ in kinds]
        for connection, (path, kind) in zip(connections, kinds, strict=True):
            connection.sendall(raw.head(b"Content-Type: " + kind, b"Content-Length: 10000", path=path))
        while not select.select(connections, [], [], 0.3)[0]:
            for connection in connections:
                connection.sendall(b"\n")
        assert BODY_SECONDS - 0.1 < time.monotonic() - began < BODY_SECONDS + 3
        for connection in connections:
            problem(raw.read_answer(connection), 408, "request_timeout")
            assert raw.is_closed(connection)


def test_bodies_in_progress_have_a_common_limit(service: Api) -> None:
    begun = begun_upload(length=UPLOAD_BYTES) + b"x" * (UPLOAD_BYTES - 100_000)
    with service.connection() as first, service.connection() as second, service.connection() as third:
        for connection in (first, second):
            connection.sendall(begun)
        wait_until(lambda: sum(service.spooled()) > 2 * (UPLOAD_BYTES - 200_000), 5)
        third.sendall(begun)
        answer = raw.read_answer(third)
        problem(answer, 503, "overloaded")
        assert int(answer.headers["retry-after"]) > 0
        assert sum(service.spooled()) <= SPOOL_BYTES


def test_header_without_end_is_refused_before_it_fills_the_memory(service: Api) -> None:
    before = service.resident_bytes()
    with service.connection() as connection:
        connection.sendall(b"POST /datasets HTTP/1.1\r\nHost: x\r\nX-Long: ")
        try:
            for _ in range(32):
                connection.sendall(b"x" * MB)
            assert raw.read_answer(connection).status == 400
        except (ConnectionResetError, BrokenPipeError):
            pass
        assert raw.is_closed(connection)
    assert service.resident_bytes() - before < 8 * MB


def test_client_that_leaves_while_its_file_is_read_gives_its_slot_back(service: Api) -> None:
    """More often than there are slots."""
    rows = b"".join(b"%d,%d,%d,%d\n" % (i, i % 97, i % 89, i % 3) for i in range(120_000))
    form = [
        raw.part(b"target", b"y\r\n"),
        raw.part(b"file", b"a,b,c,y\n" + rows + b"\r\n", filename=b"a.csv"),
        b"--" + raw.BOUNDARY + b"--\r\n",
    ]
    body = b"".join(form)
    assert len(body) < UPLOAD_BYTES
    for _ in range((os.cpu_count() or 1) + 1):
        with service.connection() as connection:
            connection.sendall(raw.upload_head(f"Content-Length: {len(body)}".encode()) + body)
            wait_until(lambda: any(isinstance(each, psutil.Process) for each in service.left()), 10)
        wait_until(lambda: not service.left(), 20)
