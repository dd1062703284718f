import errno
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from app import isolation
from app.confinement import KernelLimits
from app.errors import InvalidRequestError, MachineError, from_dict
from app.isolation import Child, Ending, Limits
from tests.processes import commanded, lives

# One forkserver serves all tests of a process, those that measure in children too.
isolation.preload("workers.experiments.evaluation")


@pytest.fixture
def child(tmp_path):
    """A child that runs a function of tests.children; its messages are in `heard`."""
    children = []

    def child(function, payload=None, *, wall_seconds=60.0, memory_bytes=8 << 30, **limits):
        heard = []
        children.append(
            Child(
                f"tests.children:{function}",
                payload or {},
                tmp_path / "task",
                Limits(wall_seconds, memory_bytes, **limits),
                on_message=heard.append,
            )
        )
        children[-1].heard = heard
        return children[-1]

    yield child
    assert not commanded("sleep", psutil.Process().children(recursive=True))


def is_gone(pid):
    """Whether a process ends within some seconds (a zombie has ended, only nobody has asked how)."""
    for _ in range(60):
        try:
            if not lives(psutil.Process(pid)):
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


def wait_for_message(running):
    while not running.heard:
        assert running.wait() is None
    return running.heard[0]


@pytest.mark.requirement("R7")
def test_value_comes_back_from_a_process_group_of_its_own(child, tmp_path):
    outcome = child("echo", {"a": [1, "ü", None]}).run()
    assert outcome.ending is Ending.OK
    assert outcome.value["payload"] == {"a": [1, "ü", None]}
    assert outcome.value["pid"] == outcome.value["group"] != psutil.Process().pid
    assert is_gone(outcome.value["pid"])
    assert (tmp_path / "task").is_dir()


def test_messages_arrive_in_order_before_the_value(child):
    running = child("tell", {"times": 200})
    assert running.run().ending is Ending.OK
    assert running.heard == [{"number": number} for number in range(200)]


def test_large_value_comes_back(child):
    text = "x" * 5_000_000
    assert child("echo", {"text": text}).run().value["payload"] == {"text": text}


def test_refusal_crosses_the_border_as_itself(child):
    outcome = child("refuse").run()
    assert outcome.ending is Ending.ERROR
    error = from_dict(outcome.error)
    assert type(error) is InvalidRequestError
    assert (error.detail, error.advice, error.evidence) == (
        "The request is odd.",
        "Ask otherwise.",
        {"line": 3},
    )


def test_full_disk_is_told_as_the_machines_trouble_whatever_a_library_made_of_it(child):
    outcome = child("fill_the_disk").run()
    assert outcome.ending is Ending.ERROR
    error = from_dict(outcome.error)
    assert type(error) is MachineError
    assert "No space left on device" in error.detail


def test_any_other_error_is_internal_and_its_traceback_is_kept(child):
    outcome = child("stumble").run()
    assert outcome.ending is Ending.ERROR
    assert outcome.error["code"] == "internal_error"
    assert outcome.error["detail"] == "KeyError: 'what is not there'"
    assert "Traceback" in outcome.log_tail


def test_internal_error_tells_where_it_happened_without_what_it_says(child):
    evidence = child("stumble_on_a_cell").run().error["evidence"]
    where = [line.rpartition(", line ")[0] or line for line in evidence["trace"]]
    assert where == [
        "app.confinement.enter",
        "tests.children.stumble_on_a_cell",
        "RuntimeError",
        "tests.children.stumble_on_a_cell",
        "ValueError",
    ]
    assert "Jane" not in str(evidence)


@pytest.mark.parametrize("how", ["refuse", "stumble", "return"])
def test_no_text_of_a_child_holds_what_a_database_refuses(child, how):
    running = child("tell_what_no_database_takes", {"how": how})
    outcome = running.run()
    told = json.dumps([outcome.error, outcome.value, running.heard, outcome.log_tail], ensure_ascii=False)
    told.encode()  # no lone surrogate
    assert "\\u0000" not in told
    clean = "a\ufffdb\ufffdc"
    if how == "refuse":
        error = from_dict(outcome.error)
        assert (error.detail, error.advice, error.evidence) == (clean, clean, {clean: [clean]})
    if how == "return":
        assert outcome.value == {clean: [{"text": clean, "number": 1, "nothing": None}]}
        assert running.heard == [{"text": clean}]


@pytest.mark.parametrize("function", ["no_such_function", "mumble", "vanish", "segfault", "kill_itself"])
def test_child_that_dies_or_cannot_answer_leaves_an_outcome(child, function):
    outcome = child(function).run()
    assert outcome.ending is (Ending.ERROR if function in ("no_such_function", "mumble") else Ending.CRASH)
    assert outcome.value is None


@pytest.mark.parametrize(("function", "code"), [("vanish", 3), ("segfault", -11), ("kill_itself", -9)])
def test_crash_keeps_last_words_and_exit_code(child, function, code):
    tail = child(function).run().log_tail
    assert f"exit code {code}." in tail
    assert "\x00" not in tail
    assert ("last words" in tail) == (function == "vanish")


@pytest.mark.parametrize(("seconds", "ending", "limit"), [(0, Ending.CRASH, 20.0), (60, Ending.TIMEOUT, 0.5)])
def test_message_that_breaks_off_holds_nobody_up(child, seconds, ending, limit):
    outcome = child("break_off", {"seconds": seconds}, wall_seconds=limit).run()
    assert outcome.ending is ending


@pytest.mark.parametrize(
    "line", ["", "gibberish", "[]", "7", "null", "{}", '{"kind": "value"}', '{"kind": "error"}', "\\xff"]
)
def test_what_is_no_message_is_a_crash(child, line):
    assert child("babble", {"line": line}, wall_seconds=5).run().ending is Ending.CRASH


def test_message_without_end_is_a_crash_before_it_fills_the_memory(child, monkeypatch):
    monkeypatch.setattr(isolation, "_MOST_MESSAGE_BYTES", 1 << 20)
    assert child("flood").run().ending is Ending.CRASH


@pytest.mark.requirement("R9")
@pytest.mark.requirement("R13")
@pytest.mark.parametrize(
    ("function", "payload", "limits"),
    [
        ("loop", {}, {"wall_seconds": 0.4}),
        ("sleep", {"seconds": 60}, {"wall_seconds": 0.4}),
        ("loop", {"first": ["fit"]}, {"fit_cpu_seconds": 0.3}),
        ("sleep", {"seconds": 60, "first": ["fit"]}, {"fit_wall_seconds": 0.3}),
        ("loop", {"first": ["fit", "progress", "fit"]}, {"fit_cpu_seconds": 0.3}),
    ],
    ids=["wall", "idle wall", "fit CPU", "fit wall", "second fit"],
)
def test_limits_end_what_would_never_end(child, function, payload, limits):
    running = child(function, payload, **limits)
    running.start()
    pid = running._process.pid
    while (outcome := running.wait()) is None:
        pass
    assert outcome.ending is Ending.TIMEOUT
    assert is_gone(pid)


@pytest.mark.parametrize(
    ("payload", "limits"),
    [
        ({"seconds": 0.4}, {"fit_wall_seconds": 0.2}),
        ({"seconds": 0.4, "first": ["fit", "progress"]}, {"fit_wall_seconds": 0.2}),
        ({"seconds": 0.4, "first": ["fit"]}, {"fit_cpu_seconds": 0.35}),
    ],
    ids=["no fit", "fit is over", "fit sleeps"],
)
def test_limits_of_a_fit_hold_only_during_a_fit(child, payload, limits):
    assert child("sleep", payload, **limits).run().ending is Ending.OK


@pytest.mark.requirement("R9")
def test_child_that_never_stops_talking_is_ended_too(child):
    running = child("tell", {"times": 40, "pause": 0.05}, wall_seconds=0.3)
    running.start()
    while (outcome := running.wait(seconds=10)) is None:
        pass
    assert outcome.ending is Ending.TIMEOUT
    assert len(running.heard) < 40


@pytest.mark.requirement("R13")
def test_memory_limit_ends_what_takes_too_much(child):
    running = child("hoard", memory_bytes=600 << 20, wall_seconds=30)
    outcome = running.run()
    assert (outcome.ending, outcome.limit) == (Ending.MEMORY, "memory_bytes")
    assert max(each["resident_bytes"] for each in running.heard) < (600 + 256) << 20


@pytest.mark.requirement("R13")
def test_memory_limit_is_kept_to_256_megabytes(child):
    """The child grows by up to two gigabytes a second."""
    limit = 1 << 30
    running = child("hoard", memory_bytes=limit, wall_seconds=30)
    running.start()
    status, peak = Path(f"/proc/{running._process.pid}/status"), 0
    while (outcome := running.wait(0.005)) is None:
        peak = max(
            [peak, *(int(line.split()[1]) << 10 for line in status.open() if line.startswith("VmHWM"))]
        )
    assert outcome.ending is Ending.MEMORY
    assert limit * 0.9 < peak < limit + (256 << 20)


@pytest.mark.requirement("R7")
@pytest.mark.requirement("R9")
def test_child_that_nobody_can_watch_any_more_is_killed(child, monkeypatch):
    """Listing processes takes descriptors, which the machine may have run out of."""
    running = child("loop", wall_seconds=60)
    running.start()
    pid = running._process.pid

    def none_left():
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr(psutil, "pids", none_left)
    with pytest.raises(OSError, match="too many"):
        running.wait()
    monkeypatch.undo()
    assert is_gone(pid)


def test_warming_up_fails_where_no_child_comes_of_it(monkeypatch):
    monkeypatch.setattr(Child, "run", lambda _: isolation.Outcome(Ending.CRASH, log_tail="it was killed"))
    with pytest.raises(ChildProcessError, match="it was killed"):
        isolation.warm_up()


@pytest.mark.requirement("R9")
@pytest.mark.requirement("R13")
def test_time_limit_is_kept_closely(child):
    running = child("loop", wall_seconds=1.0)
    running.start()
    began = time.monotonic()
    while (outcome := running.wait()) is None:
        pass
    assert outcome.ending is Ending.TIMEOUT
    assert 0.9 < time.monotonic() - began < 6


@pytest.mark.requirement("R13")
def test_memory_of_the_whole_group_counts(child):
    """None of them has more than some 200 megabytes of its own."""
    together = {"processes": 4, "megabytes": 200}
    assert child("hoard_in_company", together, memory_bytes=700 << 20).run().ending is Ending.MEMORY
    alone = {"processes": 1, "megabytes": 200}
    outcome = child("hoard_in_company", alone, memory_bytes=700 << 20, wall_seconds=1.5).run()
    assert outcome.ending is Ending.TIMEOUT


def test_burst_of_allocation_ends_at_the_limit_although_nobody_looked(child, monkeypatch):
    monkeypatch.setattr(isolation, "_POLL_SECONDS", 60.0)
    running = child("burst", kernel=KernelLimits(data_bytes=900 << 20))
    outcome = running.run()
    assert (outcome.ending, outcome.limit) == (Ending.MEMORY, "memory_bytes")
    assert 100 < running.heard[0]["megabytes"] < 900


@pytest.mark.parametrize(
    ("function", "payload", "kernel", "ending", "limit"),
    [
        ("loop", {}, KernelLimits(cpu_seconds=1), Ending.TIMEOUT, "cpu_seconds"),
        ("write_much", {"megabytes": 9}, KernelLimits(file_bytes=8 << 20), Ending.FILE_SIZE, "file_bytes"),
        ("write_much", {"megabytes": 8}, KernelLimits(file_bytes=8 << 20), Ending.OK, ""),
        ("sleep", {"seconds": 1.3}, KernelLimits(cpu_seconds=1), Ending.OK, ""),
    ],
    ids=["CPU", "file", "file just fits", "sleep costs no CPU"],
)
def test_kernel_holds_a_limit_that_nobody_watches(child, function, payload, kernel, ending, limit):
    outcome = child(function, payload, wall_seconds=30, kernel=kernel).run()
    assert (outcome.ending, outcome.limit) == (ending, limit)


def test_descriptors_are_as_few_as_allowed(child):
    few = child("open_many", {"files": 100}, kernel=KernelLimits(descriptors=32)).run().value
    assert few["errno"] == "EMFILE"
    assert 20 < few["opened"] < 32
    assert child("open_many", {"files": 100}).run().value["opened"] == 100


def test_child_is_given_its_pipe_the_standard_three_and_a_folder_and_nothing_else(child, tmp_path):
    """Whatever the caller holds open, sockets and files that are inheritable included."""
    with socket.socket() as held, (tmp_path / "held").open("wb") as file:
        held.bind(("127.0.0.1", 0))
        os.set_inheritable(held.fileno(), True)
        os.set_inheritable(file.fileno(), True)
        seen = child("look_around").run().value
    descriptors = {int(number): target for number, target in seen["descriptors"].items()}
    log = str(tmp_path / "task" / "log.txt")
    assert (descriptors.pop(0), descriptors.pop(1), descriptors.pop(2)) == ("/dev/null", log, log)
    assert len(descriptors) == 1
    assert descriptors.popitem()[1].startswith("pipe:")
    assert seen["temporary"] == str(tmp_path / "task" / "tmp")


@pytest.mark.requirement("R6")
@pytest.mark.parametrize(("function", "politely"), [("beget", True), ("refuse_to_stop", False)])
def test_stop_ends_a_child_whether_it_wants_or_not(child, function, politely, monkeypatch):
    monkeypatch.setattr(isolation, "_KILL_AFTER_SECONDS", 10.0 if politely else 0.2)
    running = child(function, {"seconds": 60})
    running.start()
    wait_for_message(running)
    pid, began = running._process.pid, time.monotonic()
    assert running.stop().ending is Ending.STOPPED
    assert time.monotonic() - began < 5
    assert is_gone(pid)


def test_stop_right_after_the_start_leaves_nothing(child):
    running = child("sleep", {"seconds": 60})
    running.start()
    pid = running._process.pid
    assert running.stop().ending is Ending.STOPPED
    assert is_gone(pid)


@pytest.mark.requirement("R7")
@pytest.mark.parametrize(
    ("seconds", "limits", "ending"),
    [(0, {}, Ending.OK), (60, {"wall_seconds": 3.0}, Ending.TIMEOUT)],
    ids=["after the value", "after a limit"],
)
def test_nothing_that_the_child_started_is_left(child, seconds, limits, ending):
    running = child("beget", {"seconds": seconds}, **limits)
    assert running.run().ending is ending
    assert is_gone(running.heard[0]["pid"])


PARENT = """
import sys
from pathlib import Path
from app.isolation import Child, Limits
child = Child("tests.children:loop", {"first": ["progress"]}, Path(sys.argv[1]), Limits(60, 8 << 30))
child.on_message = lambda message: print(child._process.pid, flush=True)
child.run()
"""


@pytest.mark.requirement("R7")
def test_child_dies_with_a_parent_that_is_killed(tmp_path):
    command = [sys.executable, "-c", PARENT, tmp_path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    try:
        assert is_gone(child.pid)
    finally:
        if not is_gone(child.pid):
            child.kill()
