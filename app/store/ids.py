"""Ids: random, and in the order in which a process makes them, so that lists can page by them."""

import secrets
import threading
import time

_TICKS_PER_MILLISECOND = 4096
_lock = threading.Lock()
_last_tick = 0


def new_id(prefix: str) -> str:
    """An id that sorts behind every earlier one of this process, and by the clock among those of others.

    48 bits of milliseconds, 12 of their fractions, 36 of chance: the layout of UUID version 7 (RFC 9562, 6.2 method 3).
    """
    return f"{prefix}_{_next_tick():015x}{secrets.token_hex(5)[:9]}"


def _next_tick() -> int:
    global _last_tick  # noqa: PLW0603  the order is the process's
    with _lock:
        _last_tick = max(_last_tick + 1, time.time_ns() * _TICKS_PER_MILLISECOND // 1_000_000)
        return _last_tick
