"""How fast this machine is: a fixed piece of work, so that times from different machines can be compared."""

import time

import numpy as np


def probe_seconds(repeats: int = 3) -> float:
    """Median CPU seconds of the fixed work: matrix products, sorting, and plain Python."""
    seconds = []
    for _ in range(repeats):
        generator = np.random.default_rng(0)
        began = time.process_time()
        matrix = generator.normal(size=(300, 300))
        for _ in range(10):
            matrix = np.tanh(matrix @ matrix.T / 300)
        np.sort(generator.normal(size=1_000_000))
        sum(index * index % 7 for index in range(300_000))
        seconds.append(time.process_time() - began)
    return float(np.median(seconds))
