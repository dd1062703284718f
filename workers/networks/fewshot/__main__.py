"""`python -m workers.networks.fewshot [names]`: train the few-shot learners on generated tasks, and write what ships of them.

A run that was cut off goes on from build/networks; the weights go to data/ beside this, in half precision, with the loss and all
that made them.
"""

# ruff: noqa: E402  threads are fixed before any numeric library loads
from app.config import pin_threads

pin_threads()

import sys
from dataclasses import replace
from pathlib import Path

from workers.networks.fewshot import learners
from workers.networks.training import device

DATA = Path(__file__).with_name("data")
CHECKPOINTS = Path("build") / "networks"
_STEPS_ON_A_GPU = 10  # times as many


def main() -> None:
    """Train those that are named, or all."""
    for name in sys.argv[1:] or learners.LEARNERS:
        make, plan = learners.LEARNERS[name]
        if device().type == "cuda":
            plan = replace(plan, steps=plan.steps * _STEPS_ON_A_GPU)
        network, losses = learners.trained(make, plan, CHECKPOINTS / f"{name}.pt")
        learners.ship(network, losses, plan, DATA / f"{name}.npz")
        print(f"{name}: loss {losses[:100].mean():.3f} at first, {losses[-500:].mean():.3f} at last")  # noqa: T201  a command


if __name__ == "__main__":
    main()
