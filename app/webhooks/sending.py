"""Sending one message: to a checked address, without redirects or proxies, and never longer than agreed.

The socket is connected here, to the address that was checked, while the certificate and the header `Host` are of the name. The
connection is used once. Whatever drips in slowly ends with the time that all of it may take.
"""

import http
import http.client
import io
import socket
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from app.errors import WebhookUrlError
from app.webhooks.addresses import Address, Endpoint, Networks, Resolver, read, resolve
from app.webhooks.signing import signed_headers

CONNECT_SECONDS = 5.0
TOTAL_SECONDS = 15.0
_MOST_BYTES = 16 << 10  # of an answer, head included: nobody looks at its body


@dataclass(frozen=True)
class Answer:
    """What the receiver said: a status, or why there is none."""

    status: int | None
    error: str | None = None
    retry_after: float | None = None


@dataclass(frozen=True)
class Sender:
    """Sends messages to public addresses and to the networks that are allowed."""

    allowed: Networks = ()
    resolver: Resolver | None = None
    tls: ssl.SSLContext = field(default_factory=ssl.create_default_context)
    connect_seconds: float = CONNECT_SECONDS
    total_seconds: float = TOTAL_SECONDS

    def send(self, url: str, message_id: str, body: str, secrets: tuple[str, ...]) -> Answer:
        """Post the signed message; never raises for what the address, the network or the receiver does."""
        # A name server has its own patience; one that was slow leaves that much less to the receiver, or nothing.
        deadline = time.monotonic() + self.total_seconds
        content = body.encode()
        try:
            endpoint = read(url)
            addresses = resolve(endpoint, self.allowed, self.resolver)
            headers = signed_headers(message_id, int(time.time()), content, secrets)
            return self._post(endpoint, addresses, _request(endpoint, headers, content), deadline)
        except WebhookUrlError as error:
            return Answer(None, error.detail)
        except TimeoutError:
            return Answer(None, "The receiver did not answer in time.")
        except ssl.SSLError as error:
            return Answer(None, f"No secure connection: {error.reason or 'the certificate is refused'}.")
        except OSError as error:
            return Answer(None, f"The connection failed: {error.strerror or type(error).__name__}.")
        except http.client.HTTPException as error:
            return Answer(None, f"The answer is no HTTP: {type(error).__name__}.")

    def _post(self, endpoint: Endpoint, addresses: list[Address], request: bytes, deadline: float) -> Answer:
        with self._connect(endpoint, addresses, deadline) as connection:
            connection.settimeout(_left(deadline))
            connection.sendall(request)
            response = _FinalResponse(_Incoming(connection, deadline), method="POST")  # type: ignore[arg-type]  # it asks for a file alone
            response.begin()
            # A well-bred receiver is heard out; its status is known however the body ends.
            with suppress(OSError, http.client.HTTPException, ValueError):
                response.read(_MOST_BYTES)
            return Answer(response.status, retry_after=_seconds(response.headers.get("Retry-After")))

    def _connect(self, endpoint: Endpoint, addresses: list[Address], deadline: float) -> socket.socket:
        """A connection to the first of the addresses that takes one; those that are silent leave time for the others."""
        until = min(deadline, time.monotonic() + self.connect_seconds)
        for untried in range(len(addresses), 0, -1):
            address = (str(addresses[-untried]), endpoint.port)
            try:
                connection = socket.create_connection(address, timeout=_left(until) / untried)
                break
            except OSError:
                if untried == 1:
                    raise
        if not endpoint.is_secure:
            return connection
        try:
            connection.settimeout(_left(deadline))
            return self.tls.wrap_socket(connection, server_hostname=endpoint.host)
        except BaseException:
            connection.close()
            raise


class _FinalResponse(http.client.HTTPResponse):
    """The response after those that only announce it, of which the standard library skips 100 alone."""

    def begin(self) -> None:
        """Read the status line and the headers."""
        super().begin()
        while 100 <= self.status < 200 and self.status != http.HTTPStatus.SWITCHING_PROTOCOLS:
            self.headers = None  # type: ignore[assignment]  # begins anew
            super().begin()


class _Incoming(io.RawIOBase):
    """What comes in until the deadline, and no more than anybody needs."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection, self._deadline = connection, deadline
        self._left = _MOST_BYTES

    def makefile(self, *_: Any) -> io.BufferedReader:
        """The file that an HTTP response reads."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Wait for some bytes."""
        if self._left <= 0:
            raise http.client.HTTPException("The answer is too long.")
        self._connection.settimeout(_left(self._deadline))
        count = self._connection.recv_into(memoryview(buffer)[: self._left])
        self._left -= count
        return count


def _request(endpoint: Endpoint, headers: dict[str, str], content: bytes) -> bytes:
    lines = {
        "Host": endpoint.authority,
        "User-Agent": "metaselect",
        "Content-Type": "application/json",
        "Content-Length": str(len(content)),
        "Connection": "close",
        **headers,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST {endpoint.target} HTTP/1.1\r\n{head}\r\n".encode("ascii") + content


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _seconds(retry_after: str | None) -> float | None:
    """The pause that the receiver asks for, in seconds or until a date; None where it asks for nothing that can be read."""
    given = (retry_after or "").strip()
    if given.isascii() and given.isdecimal():
        return float(given[:9])
    try:
        until = parsedate_to_datetime(given)
    except (ValueError, OverflowError):  # the latter where a number of the date is huge
        return None
    aware = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max(0.0, (aware - datetime.now(UTC)).total_seconds())
