"""What `make bench-gpu` does twice, on either device: `python -m benchmarks.gpu_runs NAME` prints seconds and numbers."""

# ruff: noqa: E402  threads are fixed before any numeric library loads
from app.config import pin_threads

pin_threads()

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import torch
from sklearn.datasets import make_classification

from app.metalearning.metadataset import load_evidence
from app.metalearning.portfolio import find_configuration
from app.metalearning.table import FloatArray, TaskType
from workers.experiments import pipelines
from workers.networks.fewshot import learners
from workers.networks.ranking import fitting
from workers.networks.training import device

STEPS = 200
N_ROWS, N_COLUMNS = 6_000, 20


def ranking(name: str) -> FloatArray:
    """The loss of every step of a network that ranks."""
    plans = {each: replace(plan, steps=STEPS) for each, plan in fitting.PLANS.items()}
    return fitting.fit_networks(load_evidence(TaskType.CLASSIFICATION), names=[name], plans=plans).losses[
        name
    ]


def few_shot(name: str) -> FloatArray:
    """The loss of every step of a few-shot learner."""
    make, plan = learners.LEARNERS[name]
    return learners.trained(make, replace(plan, steps=STEPS))[1]


def learner(configuration: str) -> FloatArray:
    """The probabilities that a network of the portfolio gives rows that it did not see."""
    data, target = make_classification(N_ROWS, N_COLUMNS, n_informative=10, random_state=0)
    frame = pd.DataFrame(data, columns=[f"x{number}" for number in range(N_COLUMNS)])
    half = N_ROWS // 2
    pipeline = pipelines.build(find_configuration(configuration).pipeline)
    pipeline.fit(frame[:half], target[:half])
    return np.asarray(pipeline.predict_proba(frame[half:])[:, 1], dtype=np.float64)


RUNS: dict[str, Callable[[], FloatArray]] = (
    {f"training {name}": partial(ranking, name) for name in fitting.PLANS}
    | {f"training {name} few-shot": partial(few_shot, name) for name in learners.LEARNERS}
    | {name: partial(learner, name) for name in ("clf-realmlp-default", "clf-tabm-default")}
)


def main() -> None:
    """Do one, once what a device does at its first use is over."""
    torch.ones(1, device=device()).cpu()
    began = time.perf_counter()
    values = RUNS[sys.argv[1]]()
    told = {"device": device().type, "seconds": time.perf_counter() - began, "values": values.tolist()}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
