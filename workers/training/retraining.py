"""Fit the meta-learners of one task type anew, on what ships and what was learned since, and prove them."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from app.errors import LibraryMissingError
from app.isolation import Report
from app.metalearning.evidence import Evidence
from app.metalearning.knowledge import dump, load_trained
from app.metalearning.learned import grown, of_lines
from app.metalearning.metadataset import DATA_DIR, load_evidence
from app.metalearning.metalearners.trained import Trained
from app.metalearning.table import FloatArray, TaskType
from workers.training import networks
from workers.training.contract import KNOWLEDGE_FILE, LEARNED_FILE
from workers.training.fitting import folds_of, prove_all
from workers.training.forests import train
from workers.training.proof import Follow

if TYPE_CHECKING:
    from workers.networks.ranking.fitting import Fitted

N_LOSSES = 50  # of a network, as they are told
_STEPS_BETWEEN_TOLD = 25


def retrain(payload: dict[str, Any], report: Report) -> dict[str, Any]:
    """Read what was learned, fit, hold the shipped groups out in turn, and write the knowledge to the task's folder.

    Networks stay those that ship unless others are asked for: they know datasets by their metafeatures and results alone,
    old ones and new.

    The datasets that are held out are those that ship, always in the same folds: so the scores of all candidates that there
    ever were can be compared. What was learned teaches in every fold but those of its near-duplicates.

    Args:
        payload: `folder`, `task_type`, and `networks`: the folder for what is done of training them, or None.
        report: told of every fold, and of the progress of every network.

    Returns: the report of the proof, and `losses` by network where some were trained, N_LOSSES means of even parts.
    """
    folder = Path(payload["folder"])
    task_type = TaskType(payload["task_type"])
    shipped = load_evidence(task_type)
    evidence = grown(shipped, of_lines(json.loads((folder / LEARNED_FILE).read_text())))

    def follow(name: str) -> Follow:
        return lambda folds: _told(name, folds, report)

    folds: list[str | None] = [*folds_of(shipped), *[None] * (len(evidence.datasets) - len(shipped.datasets))]
    losses: dict[str, list[float]] = {}
    if payload["networks"] is None:
        answering = load_trained(task_type).networks
        without_fold = networks.training_of(shipped, task_type, DATA_DIR)
    else:
        rounds = _Rounds(Path(payload["networks"]), report, 1 + len(set(folds_of(shipped))))
        whole = rounds.fit(evidence)
        answering, without_fold = whole.networks, rounds.trained
        losses = {name: _in_parts(each) for name, each in whole.losses.items()}
    proven = prove_all(evidence, folds, without_fold, follow)
    trained = replace(train(evidence), networks=answering)
    (folder / KNOWLEDGE_FILE).write_bytes(dump(evidence, trained, proven))
    return {"report": proven, "losses": losses}


@dataclass
class _Rounds:
    """Trains the networks on one set of evidence after another."""

    parts: Path
    report: Report
    n_rounds: int
    n_done: int = 0

    def trained(self, known: Evidence) -> Trained:
        """The trees of what is known, and its networks."""
        return replace(train(known), networks=self.fit(known).networks)

    def fit(self, known: Evidence) -> "Fitted":
        """What was done before a worker was lost is there still.

        Raises: LibraryMissingError.
        """
        try:
            from workers.networks.ranking.fitting import fit_once  # noqa: PLC0415  PyTorch is an extra
        except ModuleNotFoundError as error:
            raise LibraryMissingError(
                f"The worker that took this up cannot train networks: {error}.",
                "Install the extra `deep` (requirements/deep.txt) wherever a worker of the queue gpu runs.",
            ) from error
        fitted = fit_once(known, self.parts, lambda name: partial(self._steps_told, name))
        self.n_done += 1
        return fitted

    def _steps_told(self, name: str, steps: Iterable[int], total: int) -> Iterator[int]:
        phase = f"training {name}, round {self.n_done + 1} of {self.n_rounds}"
        for step in steps:
            if step % _STEPS_BETWEEN_TOLD == 0:
                self.report({"kind": "progress", "phase": phase, "done": step, "total": total})
            yield step


def _in_parts(losses: FloatArray) -> list[float]:
    return [float(part.mean()) for part in np.array_split(losses, N_LOSSES)]


def _told(name: str, folds: list[str], report: Report) -> Iterator[str]:
    for done, fold in enumerate(folds):
        report({"kind": "progress", "phase": name, "done": done, "total": len(folds)})
        yield fold
