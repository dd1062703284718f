"""A proxy in front of the broker: it drops every connection, or falls silent, when it is told to."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_PIECE_BYTES = 1 << 16


class Proxy:
    """Passes bytes on between a port of its own and the port behind it."""

    def __init__(self, behind: int) -> None:
        self._behind = behind
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        self._flowing = threading.Event()
        self._flowing.set()
        threading.Thread(target=self._accept, daemon=True).start()

    def drop(self) -> int:
        """Break every connection off; how many there were."""
        with self._lock:
            broken, self._connections = self._connections, set()
        for connection in broken:
            _end(connection)
        return len(broken) // 2

    def freeze(self) -> None:
        """Pass nothing on; connections stay open, and new ones are accepted."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Pass on what waited, and what comes."""
        self._flowing.set()

    def close(self) -> None:
        """Accept nothing more, and break off what there is."""
        self.thaw()
        self._listener.close()
        self.drop()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(("127.0.0.1", self._behind))
        except OSError:  # nobody is there: neither am I
            _end(client)
            return
        pair = (client, server)
        with self._lock:
            self._connections.update(pair)
        for source, target in (pair, pair[::-1]):
            threading.Thread(target=self._pass_on, args=(source, target), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(_PIECE_BYTES):
                self._flowing.wait()
                target.sendall(piece)
        with self._lock:
            self._connections -= {source, target}
        _end(source)
        _end(target)


@contextmanager
def proxy(behind: int) -> Iterator[Proxy]:
    """A proxy in front of this port, as long as the context lasts."""
    opened = Proxy(behind)
    try:
        yield opened
    finally:
        opened.close()


def _end(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
