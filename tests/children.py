"""What tests run in child processes: every way in which a task can end."""

import ctypes
import gc
import os
import signal
import struct
import subprocess
import time
from multiprocessing.connection import Connection
from typing import Any

from app.errors import InvalidRequestError
from app.isolation import Report

Payload = dict[str, Any]


def echo(payload: Payload, report: Report) -> Payload:
    return {"payload": payload, "pid": os.getpid(), "group": os.getpgid(0)}


def tell(payload: Payload, report: Report) -> Payload:
    for number in range(payload["times"]):
        report({"number": number})
        time.sleep(payload.get("pause", 0))
    return {}


def refuse(payload: Payload, report: Report) -> Payload:
    raise InvalidRequestError("The request is odd.", "Ask otherwise.", line=3)


def stumble(payload: Payload, report: Report) -> Payload:
    return payload["what is not there"]


def mumble(payload: Payload, report: Report) -> Payload:
    os.system("echo a library prints")
    return {"value": float("nan")}


def vanish(payload: Payload, report: Report) -> Payload:
    os.write(2, b"last words\x00")
    os._exit(3)


def segfault(payload: Payload, report: Report) -> Payload:
    ctypes.string_at(0)
    return {}


def kill_itself(payload: Payload, report: Report) -> Payload:
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def break_off(payload: Payload, report: Report) -> Payload:
    """Announce a hundred bytes, write one, and die."""
    pipe = next(each for each in gc.get_objects() if isinstance(each, Connection) and each.writable)
    os.write(pipe.fileno(), struct.pack("!i", 100) + b"{")
    os._exit(0)


def loop(payload: Payload, report: Report) -> Payload:
    for kind in payload.get("first", ()):
        report({"kind": kind})
    while True:
        pass


def sleep(payload: Payload, report: Report) -> Payload:
    for kind in payload.get("first", ()):
        report({"kind": kind})
    time.sleep(payload["seconds"])
    return {}


def hoard(payload: Payload, report: Report) -> Payload:
    held = []
    while True:
        held.append(bytearray(os.urandom(1 << 20)) * 20)
        time.sleep(0.01)


def refuse_to_stop(payload: Payload, report: Report) -> Payload:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    report({"ready": True})
    time.sleep(60)
    return {}


def beget(payload: Payload, report: Report) -> Payload:
    """Start a process of one's own, and then do as asked."""
    pid = subprocess.Popen(["sleep", "60"]).pid
    report({"pid": pid})
    time.sleep(payload["seconds"])
    return {"pid": pid}
