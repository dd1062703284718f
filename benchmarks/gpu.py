"""`make bench-gpu`: how much sooner a GPU is done than a CPU core, and whether it computes the same.

The networks that ship are trained for some steps from the same first weights on the same batches, and PyTorch's learners of the
portfolio fitted, each on both devices in processes of their own. Runs in .venv-deep on a machine with a GPU.
"""

import json
import os
import subprocess
import sys
from typing import Any

import numpy as np

from benchmarks.gpu_runs import RUNS
from benchmarks.recording import ROOT, record
from workers.devices import places_of_gpus

EARLY = 10  # steps: later ones follow from what rounding made of these


def main() -> None:
    """Measure on both devices and record how they compare."""
    gpus = places_of_gpus()
    if not gpus:
        sys.exit("There is no GPU here: nvidia-smi tells of none.")
    print(f"on {gpus[0].name}")
    figures: dict[str, float] = {}
    for name in RUNS:
        figures |= compared(name, run(name, ""), run(name, str(gpus[0].number)))
    record("gpu", figures)


def run(name: str, visible: str) -> dict[str, Any]:
    """A run in a process that sees these GPUs."""
    print(f"{name} on {f'GPU {visible}' if visible else 'the CPU'}", flush=True)
    finished = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu_runs", name],
        cwd=ROOT,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": visible},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    told: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
    return told


def compared(name: str, on_cpu: dict[str, Any], on_gpu: dict[str, Any]) -> dict[str, float]:
    """The ratio of seconds, and how far the numbers lie apart: losses of the first steps, or probabilities."""
    one, other = np.array(on_cpu["values"]), np.array(on_gpu["values"])
    if name.startswith("training"):
        apart = np.abs(other - one)[:EARLY] / np.abs(one)[:EARLY]
        difference = {
            f"{name}: first {EARLY} losses, largest relative difference [ratio]": float(apart.max())
        }
        difference[f"{name}: last losses, relative difference [ratio]"] = float(
            abs(other[-EARLY:].mean() - one[-EARLY:].mean()) / abs(one[-EARLY:].mean())
        )
    else:
        difference = {f"{name}: probabilities, mean difference [ratio]": float(np.abs(other - one).mean())}
    return {
        f"{name}: CPU [s]": on_cpu["seconds"],
        f"{name}: GPU [s]": on_gpu["seconds"],
        f"{name}: speed of the GPU against the CPU [ratio]": on_cpu["seconds"] / on_gpu["seconds"],
        **difference,
    }


if __name__ == "__main__":
    main()
