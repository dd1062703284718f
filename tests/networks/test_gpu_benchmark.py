"""What `make bench-gpu` compares, on a machine without a GPU: the CPU with itself."""

import pytest

pytest.importorskip("torch", reason="the extra `deep` is not installed")

from benchmarks import gpu, gpu_runs

pytestmark = pytest.mark.deep


def test_a_device_computes_the_same_as_itself():
    one, other = (gpu.run("training embedding", "") for _ in range(2))
    assert (one["device"], len(one["values"])) == ("cpu", gpu_runs.STEPS)
    figures = gpu.compared("training embedding", one, other)
    assert [value for name, value in figures.items() if "difference" in name] == [0.0, 0.0]
    assert figures["training embedding: speed of the GPU against the CPU [ratio]"] == pytest.approx(
        one["seconds"] / other["seconds"]
    )


def test_no_gpu_is_said_to_be_none(monkeypatch):
    monkeypatch.setattr("workers.devices._ASK", ("no-such-tool",))
    with pytest.raises(SystemExit, match="no GPU"):
        gpu.main()
