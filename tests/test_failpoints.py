"""Failpoints: nothing unless armed, once if armed, and every commit of the service is one."""

import os
import re
import time
from pathlib import Path

import pytest

from app import failpoints
from app.failpoints import MOMENTS, Step, disk_full

ROOT = Path(__file__).parents[1]


@pytest.fixture
def folder(tmp_path: Path):
    failpoints.use(tmp_path)
    yield tmp_path
    failpoints.use(None)


def take(step: Step) -> None:
    with failpoints.around(step, disk_full):
        pass


@pytest.mark.parametrize("moment", MOMENTS)
def test_armed_failpoint_fails_once(folder: Path, moment: str) -> None:
    take(Step.RING)
    armed = failpoints.arm(folder, Step.RING, moment, "error")
    take(Step.ACCEPT_JOB)
    assert armed.exists()
    with pytest.raises(OSError, match="No space left"):
        take(Step.RING)
    assert not armed.exists()
    take(Step.RING)


def test_delay_lets_time_pass(folder: Path) -> None:
    failpoints.arm(folder, Step.RING, "before", "delay 0.2")
    began = time.monotonic()
    take(Step.RING)
    assert time.monotonic() - began >= 0.2


def test_kill_ends_the_process_before_or_after_the_step(folder: Path) -> None:
    for moment, is_taken in (("before", False), ("after", True)):
        taken = folder / f"taken {moment}"
        failpoints.arm(folder, Step.RING, moment, "kill")
        pid = os.fork()
        if pid == 0:
            with failpoints.around(Step.RING, disk_full):
                taken.touch()
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -9
        assert taken.exists() == is_taken


def test_every_commit_of_the_service_is_a_step_and_every_step_is_taken() -> None:
    sources = {path: path.read_text() for part in ("app", "workers") for path in (ROOT / part).rglob("*.py")}
    bare = {path.name for path, text in sources.items() if re.search(r"session\.commit\(\)", text)}
    assert bare == {"database.py"}, "commit by app.store.database.commit, with a name"
    used = set(re.findall(r"Step\.([A-Z_]+)", "".join(sources.values())))
    assert used == {step.name for step in Step}
    assert 2 * len(used) >= 25
