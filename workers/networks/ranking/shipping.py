"""Train the networks that ship, and those that never saw a fold, for the proof. A run that was cut off goes on."""

import hashlib
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from app.config import pin_threads
from app.metalearning.knowledge import networks_path
from app.metalearning.metadataset import load_evidence
from app.metalearning.metalearners.networks import Networks
from app.metalearning.table import TaskType
from workers.networks.ranking.fitting import fit_networks
from workers.training import networks
from workers.training.fitting import folds_of
from workers.training.networks import WithoutFold

WHOLE = "all"  # what the part is called in which no fold is left out
_LOSSES = "losses.npz"


def train_networks(folder: Path, parts: Path, at_once: int) -> None:
    """Write `networks-*.npz`, `training/networks-*.npz` and `training/losses-*.npz` beside the evidence.

    Args:
        folder: of the meta-dataset.
        parts: for checkpoints, loss curves and finished networks, by what they were trained on and how.
        at_once: how many processes.
    """
    parts /= _version(folder)
    planned = [
        (task_type, fold)
        for task_type in TaskType
        for fold in (WHOLE, *sorted(set(folds_of(load_evidence(task_type, folder)))))
    ]
    with ProcessPoolExecutor(at_once, initializer=pin_threads) as pool:
        fitting = pool.map(partial(_fitted, folder, parts), planned)
        fitted = dict(zip(planned, track(fitting, "networks", total=len(planned)), strict=True))
    for task_type in TaskType:
        fitted[task_type, WHOLE].networks.save(networks_path(task_type, folder))
        without = [part for (of, fold), part in fitted.items() if of is task_type and fold != WHOLE]
        networks.save(without, task_type, folder)
        with np.load(_part(parts, task_type, WHOLE) / _LOSSES, allow_pickle=False) as losses:
            networks.save_losses({name: losses[name] for name in losses.files}, task_type, folder)


def _fitted(folder: Path, parts: Path, planned: tuple[TaskType, str]) -> WithoutFold:
    """The networks of one fold, trained unless they are among the parts."""
    task_type, fold = planned
    evidence = load_evidence(task_type, folder)
    held_out = [row for row, each in enumerate(folds_of(evidence)) if each == fold]
    names = tuple(evidence.datasets[row] for row in held_out)
    part = _part(parts, task_type, fold)
    finished = part / "networks.npz"
    if not finished.exists():
        known = evidence.of([row for row in range(len(evidence.datasets)) if row not in held_out])
        found = fit_networks(known, part)
        losses: dict[str, Any] = {**found.losses}
        np.savez_compressed(part / _LOSSES, **losses)
        found.networks.save(finished)
    return WithoutFold(names, Networks.load(finished))


def _version(folder: Path) -> str:
    """Of the evidence, and of the code that trains on it: parts of another version are not gone on with."""
    digest = hashlib.sha256()
    here = Path(__file__).parent
    for path in (
        *sorted(folder.glob("evidence-*.npz")),
        *sorted(here.glob("*.py")),
        here.parent / "training.py",
        here.parent / "maml.py",
    ):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _part(parts: Path, task_type: TaskType, fold: str) -> Path:
    return parts / str(task_type) / fold
