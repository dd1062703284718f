"""Networks that never saw a fold's datasets: so whoever has no PyTorch can hold them out like everything else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from app.metalearning.evidence import Evidence
from app.metalearning.metalearners.networks import Networks
from app.metalearning.metalearners.trained import Trained
from app.metalearning.table import FloatArray, TaskType
from workers.training.forests import train
from workers.training.proof import Train

_FOLDER = "training"  # beside what ships to answer, which API processes read at their start
_HELD_OUT = "held_out"


@dataclass(frozen=True)
class WithoutFold:
    """Networks, and the datasets that they never saw."""

    held_out: tuple[str, ...]
    networks: Networks


def save(folds: Sequence[WithoutFold], task_type: TaskType, folder: Path) -> None:
    """Write the networks of all folds, in half precision."""
    arrays: dict[str, Any] = {}
    for number, fold in enumerate(folds):
        arrays[f"{number}:{_HELD_OUT}"] = np.array(fold.held_out)
        for name, values in fold.networks.arrays().items():
            if name != "known":  # the evidence has it
                arrays[f"{number}:{name}"] = values.astype(np.float16) if values.dtype.kind == "f" else values
    path = _path(task_type, folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)


def save_losses(losses: Mapping[str, FloatArray], task_type: TaskType, folder: Path) -> None:
    """Write the loss of every step of the networks that answer, by network."""
    arrays: dict[str, Any] = {name: values.astype(np.float32) for name, values in losses.items()}
    np.savez_compressed(_path(task_type, folder, "losses"), **arrays)


def load_losses(task_type: TaskType, folder: Path) -> dict[str, FloatArray]:
    """What `save_losses` wrote."""
    with np.load(_path(task_type, folder, "losses"), allow_pickle=False) as losses:
        return {name: losses[name] for name in losses.files}


def load(evidence: Evidence, task_type: TaskType, folder: Path) -> list[WithoutFold]:
    """What `save` wrote of networks that were trained on this evidence; none where there is no file.

    Raises: RuntimeError where they were trained on other evidence.
    """
    path = _path(task_type, folder)
    if not path.exists():
        return []
    parts: dict[str, dict[str, Any]] = {}
    with np.load(path, allow_pickle=False) as arrays:
        for name in arrays.files:
            number, _, array = name.partition(":")
            parts.setdefault(number, {})[array] = arrays[name]
    return [_understood(part, evidence) for part in parts.values()]


def training_of(evidence: Evidence, task_type: TaskType, folder: Path) -> Train:
    """Grow the trees on what is known, and take the networks that saw none of the datasets that are not.

    Args:
        evidence: what ships, of which folds are held out.
        task_type: of the evidence.
        folder: of the meta-dataset.
    """
    folds = load(evidence, task_type, folder)

    def train_without_fold(known: Evidence) -> Trained:
        trained = train(known)
        if not folds:
            return trained
        unseen = [each.networks for each in folds if set(each.held_out).isdisjoint(known.datasets)]
        if len(unseen) != 1:
            raise RuntimeError(
                "No networks were trained on just these datasets: metaselect metadataset train-networks"
            )
        return replace(trained, networks=unseen[0])

    return train_without_fold


def _understood(part: dict[str, Any], evidence: Evidence) -> WithoutFold:
    held_out = tuple(part.pop(_HELD_OUT).tolist())
    seen = [row for row, name in enumerate(evidence.datasets) if name not in held_out]
    networks = Networks.of_arrays({**part, "known": evidence.metafeatures[seen]})
    if networks.configurations != evidence.configurations or not set(held_out) <= set(evidence.datasets):
        raise RuntimeError(
            "The networks were trained on other evidence: metaselect metadataset train-networks"
        )
    return WithoutFold(held_out, networks)


def _path(task_type: TaskType, folder: Path, what: str = "networks") -> Path:
    return folder / _FOLDER / f"{what}-{task_type}.npz"
