"""Failpoints: every step that others can see, where a test can have the process die, the step fail, or time pass.

A step is a commit, a message or a renamed file. It is reached twice, before it is taken and after: a crash before leaves
nothing behind, one after leaves all of it and loses the answer. Nothing happens at a failpoint unless a file in the
folder of the setting `FAILPOINTS_DIR` arms it: named `<step>.<moment>`, it holds `kill`, `error` or `delay <seconds>`,
and is used up by the first process that comes by.
"""

import errno
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path


class Step(StrEnum):
    """All there are, by who takes them."""

    # The door
    CLAIM_KEY = "claim_key"
    RELEASE_KEY = "release_key"
    STORE_DATASET = "store_dataset"
    DELETE_DATASET = "delete_dataset"
    STORE_RECOMMENDATION = "store_recommendation"
    RECOMMEND_ALGORITHMS = "recommend_algorithms"
    DELETE_META_DATASET = "delete_meta_dataset"
    ACCEPT_JOB = "accept_job"
    ACCEPT_CANCEL = "accept_cancel"
    REGISTER_WEBHOOK = "register_webhook"
    DELETE_WEBHOOK = "delete_webhook"
    ROTATE_SECRET = "rotate_secret"  # noqa: S105  the name of a step
    TEST_WEBHOOK = "test_webhook"
    RETRY_DELIVERY = "retry_delivery"
    REPORT_EVALUATIONS = "report_evaluations"
    REMOVE_REPORT = "remove_report"
    TRUST_SOURCE = "trust_source"
    ROLL_BACK = "roll_back"
    RING = "ring"
    # Workers
    CLAIM_TASK = "claim_task"
    RENEW_LEASE = "renew_lease"
    APPLY_OUTCOME = "apply_outcome"
    RELEASE_TASK = "release_task"
    END_CANCELLED = "end_cancelled"
    ADVANCE_JOB = "advance_job"
    RECONCILE = "reconcile"
    SIGN_OFF = "sign_off"
    FORGET_KEYS = "forget_keys"
    FORGET_DELIVERIES = "forget_deliveries"
    FORGET_PREDICTIONS = "forget_predictions"
    EXPIRE_DATASET = "expire_dataset"
    CACHE_BLOB = "cache_blob"
    CLAIM_DELIVERY = "claim_delivery"
    SEND_DELIVERY = "send_delivery"
    SETTLE_DELIVERY = "settle_delivery"
    # Their children
    KEEP_PROBE = "keep_probe"
    # Commands
    IMPORT_META_DATASET = "import_meta_dataset"


BEFORE, AFTER = "before", "after"
MOMENTS = (BEFORE, AFTER)

_folder: Path | None = None


def use(folder: Path | None) -> None:
    """Look for armed failpoints in this folder; with None, which every service in earnest has, never."""
    global _folder  # noqa: PLW0603  a failpoint is reached from everywhere, and belongs to the process
    _folder = folder


def folder() -> Path | None:
    """Where this process looks, for its children to look there too."""
    return _folder


def arm(folder: Path, step: Step, moment: str, action: str) -> Path:
    """Have the next process that comes to this failpoint `kill` itself, raise an `error`, or `delay <seconds>`.

    Returns the file that is gone once that has happened.
    """
    folder.mkdir(parents=True, exist_ok=True)
    writing, armed = folder / f"{step}.{moment}.writing", folder / f"{step}.{moment}"
    writing.write_text(action)
    return writing.rename(armed)


@contextmanager
def around(step: Step, failure: Callable[[], Exception]) -> Iterator[None]:
    """Take the step inside; `failure` makes the error that it would fail with."""
    _reach(step, BEFORE, failure)
    yield
    _reach(step, AFTER, failure)


def disk_full() -> Exception:
    """What writing to a full disk fails with."""
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _reach(step: Step, moment: str, failure: Callable[[], Exception]) -> None:
    if _folder is None:
        return
    armed = _folder / f"{step}.{moment}"
    used = armed.with_suffix(f".used-{os.getpid()}-{time.monotonic_ns()}")
    try:
        armed.rename(used)
    except FileNotFoundError:
        return
    action, _, argument = used.read_text().partition(" ")
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "delay":
        time.sleep(float(argument))
    elif action == "error":
        raise failure()
    else:
        raise ValueError(f"{armed} holds {action!r}, which is no action")
