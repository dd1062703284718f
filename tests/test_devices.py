"""A worker's device: what the driver tells of, one child on each, and what a child without memory comes to."""

import os

import pytest

from app.config import Settings
from app.confinement import _wants_memory
from app.isolation import Child, Ending, Limits
from workers import devices
from workers.devices import CPU, Device, places


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """Puts a driver's tool into the path that prints these lines, and ends so."""

    def driver(lines, status=0):
        tool = tmp_path / "nvidia-smi"
        tool.write_text("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in lines) + f"exit {status}\n")
        tool.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    return driver


def settings(**changes):
    return Settings(worker_queue="gpu", **changes)


def test_every_gpu_has_one_child(driver):
    driver(["NVIDIA H200", "NVIDIA H200"])
    assert places(settings(worker_slots=4)) == [Device("NVIDIA H200", 0), Device("NVIDIA H200", 1)]
    assert places(settings(worker_slots=1)) == [Device("NVIDIA H200", 0)]


def test_without_a_driver_that_answers_the_cpu_computes(driver, monkeypatch):
    driver(["NVIDIA-SMI has failed"], status=9)
    assert places(settings(worker_slots=3)) == [Device(CPU)] * 3
    monkeypatch.setattr(devices, "_ASK", ("no-such-tool",))
    assert places(settings()) == [Device(CPU)] * 2


def test_a_gpu_is_left_alone_where_the_cpu_is_asked_for(driver):
    driver(["NVIDIA H200"])
    assert places(settings(worker_device="cpu")) == [Device(CPU)] * 2
    assert places(Settings(worker_queue="cpu")) == [Device(CPU)] * 2


@pytest.mark.parametrize(("device", "visible"), [(Device("NVIDIA H200", 1), "1"), (Device(CPU), "")])
def test_a_child_sees_its_own_gpu_alone(tmp_path, device, visible):
    child = Child(
        "tests.children:environment",
        {"name": "CUDA_VISIBLE_DEVICES"},
        tmp_path,
        Limits(30.0, 1 << 30),
        environment=device.environment,
    )
    assert child.run().value == {"value": visible}


@pytest.mark.parametrize("name", ["memory", "torch", "xgboost", "catboost"])
def test_a_gpu_without_memory_is_an_outcome(tmp_path, name):
    outcome = Child("tests.children:want_memory", {"of": name}, tmp_path, Limits(30.0, 1 << 30)).run()
    assert (outcome.ending, outcome.limit) == (Ending.MEMORY, "memory_bytes")


def test_other_errors_are_not_taken_for_want_of_memory():
    assert not _wants_memory(ValueError("the word cuda alone"))
    assert not _wants_memory(RuntimeError("out of memory, or so it says"))
