"""Train the networks that ship, and those that never saw a fold, for the proof. A run that was cut off goes on."""

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from rich.progress import track

from app.config import pin_threads
from app.metalearning.knowledge import networks_path
from app.metalearning.metadataset import load_evidence
from app.metalearning.table import TaskType
from workers.networks.ranking.fitting import Fitted, fit_once
from workers.training import networks
from workers.training.fitting import folds_of
from workers.training.networks import WithoutFold

WHOLE = "all"  # in place of a fold: none is left out


def train_networks(folder: Path, parts: Path, at_once: int) -> None:
    """Write `networks-*.npz`, `training/networks-*.npz` and `training/losses-*.npz` beside the evidence.

    Args:
        folder: of the meta-dataset.
        parts: for checkpoints and what is done.
        at_once: how many processes.
    """
    planned = [
        (task_type, fold)
        for task_type in TaskType
        for fold in (WHOLE, *sorted(set(folds_of(load_evidence(task_type, folder)))))
    ]
    with ProcessPoolExecutor(at_once, initializer=pin_threads) as pool:
        fitting = pool.map(partial(_fitted, folder, parts), planned)
        fitted = dict(zip(planned, track(fitting, "networks", total=len(planned)), strict=True))
    for task_type in TaskType:
        whole = fitted[task_type, WHOLE][1]
        whole.networks.save(networks_path(task_type, folder))
        without = [
            WithoutFold(held_out, each.networks)
            for (of, fold), (held_out, each) in fitted.items()
            if of is task_type and fold != WHOLE
        ]
        networks.save(without, task_type, folder)
        networks.save_losses(whole.losses, task_type, folder)


def _fitted(folder: Path, parts: Path, planned: tuple[TaskType, str]) -> tuple[tuple[str, ...], Fitted]:
    """The datasets of a fold, and the networks that did not see them."""
    task_type, fold = planned
    evidence = load_evidence(task_type, folder)
    held_out = [row for row, each in enumerate(folds_of(evidence)) if each == fold]
    known = evidence.of([row for row in range(len(evidence.datasets)) if row not in held_out])
    return tuple(evidence.datasets[row] for row in held_out), fit_once(known, parts)
